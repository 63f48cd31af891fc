package main

import (
	"context"
	"strings"
	"testing"
)

// What comes twice, out of turn or unasked is a fault of the run.
func TestEndpointFaults(t *testing.T) {
	load := newLoad("RUN00001", 2, 1) // the events 0, 2, 4 are of one chat
	for _, c := range []struct {
		name  string
		run   string
		order []int
		fault string // "" for none
	}{
		{"in order", "RUN00001", []int{0, 1, 3, 2, 4, 5}, ""},
		{"out of order", "RUN00001", []int{0, 1, 2, 5}, "event 2 of chat 1 came when 1 was due"},
		{"twice", "RUN00001", []int{0, 1, 2, 3, 2, 4, 5}, "event 1 of chat 0 came twice"},
		{"of another run", "RUN00002", []int{0}, "not expected"},
		{"one too many", "RUN00001", []int{0, 1, 2, 3, 4, 5, 6}, "not expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &endpoint{}
			if _, err := e.expect(context.Background(), expectation{Run: c.run, Chats: 2, PerChat: 3, Ordered: true, Times: true}); err != nil {
				t.Fatal(err)
			}
			for at, i := range c.order {
				body, err := load.body(i, "http://127.0.0.1/")
				if err != nil {
					t.Fatal(err)
				}
				e.arrived(body, int64(at+1))
			}
			r, err := e.result()
			switch {
			case c.fault == "" && err != nil:
				t.Error(err)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("%v, want %q", err, c.fault)
			case c.fault == "":
				if a := r.(arrivals); a.Last != 6 || len(a.At) != 6 || a.At[1] != 4 {
					t.Errorf("%+v", a)
				}
			}
		})
	}
}

// A child tells of what it cannot do, and goes on.
func TestChildAnswers(t *testing.T) {
	var out strings.Builder
	in := `{"Do":"expect","Args":{"Run":"RUN00001","Chats":1,"PerChat":1}}` + "\n" + `{"Do":"expect","Args":7}` + "\n"
	if err := runChild(context.Background(), []string{"endpoint"}, strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"Error":""`) || !strings.Contains(lines[1], "decoding an order") {
		t.Errorf("%q", lines)
	}
	if err := runChild(context.Background(), []string{"endpoint"}, strings.NewReader(`{"Do":"fly"}`), &out); err == nil {
		t.Error("an order that nobody knows was obeyed")
	}
}
