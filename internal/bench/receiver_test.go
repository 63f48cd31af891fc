package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// two are the chats of these tests.
var two = []chat{{"bench-0", "100", "1"}, {"bench-0", "100", "2"}}

// arrives posts a message to r as the gateway does.
func arrives(t *testing.T, r *receiver, c chat, id, text string) {
	t.Helper()
	body := fmt.Sprintf(`{"event":"messages.upsert","instance":%q,"data":{"key":{"remoteJid":"%s@s.whatsapp.net"},"message":{"conversation":%q}}}`, c.instance, c.contact, text)
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	req.Header.Set("webhook-id", id)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d", w.Code)
	}
}

func TestReceiverCounts(t *testing.T) {
	r := &receiver{}
	c := r.expect("run", two, 3)
	r.sent(c, two[0], 2, time.Now())
	for i := range 3 {
		arrives(t, r, two[1], fmt.Sprint("b", i), fmt.Sprint(c.blockText(0), " ", i+1)) // as the network numbers them
		arrives(t, r, two[0], fmt.Sprint("a", i), c.text(i))
	}
	if err := r.wait(t.Context(), c); err != nil {
		t.Error(err)
	}
	if err := r.finish(c); err != nil {
		t.Error(err)
	}
	if took := r.latencies(c); len(took) != 1 || took[0] <= 0 || took[0] > time.Minute {
		t.Errorf("latencies %v, want one", took)
	}
}

func TestReceiverComplains(t *testing.T) {
	for name, c := range map[string]struct {
		posts [][2]string // webhook-id, text
		want  string
	}{
		"disorder":        {[][2]string{{"a", "run 0 1"}, {"c", "run 2 1"}}, "message 2 of chat bench-0/1 came when 1 was due"},
		"repeat":          {[][2]string{{"a", "run 0 1"}, {"a", "run 0 1"}}, "1 deliveries were repeated"},
		"duplicate":       {[][2]string{{"a", "run 0 1"}, {"b", "run 0 1"}}, "message 0 of chat bench-0/1 came twice"},
		"no id":           {[][2]string{{"", "run 0 1"}}, "without a webhook-id"},
		"another run's":   {[][2]string{{"a", "ran 0 1"}}, "not expected, the first: bench-0/1 ran 0 1"},
		"out of range":    {[][2]string{{"a", "run 3 1"}}, "not expected"},
		"not of the kind": {[][2]string{{"a", "hello"}}, "not expected"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &receiver{}
			tally := r.expect("run", two, 3)
			for _, p := range c.posts {
				arrives(t, r, two[0], p[0], p[1])
			}
			if err := r.finish(tally); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestReceiverCountsOpenings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{opens: map[string]int{"a": 1}, opened: make(chan struct{})}
		seen := r.seenOpen()
		done := make(chan error, 1)
		go func() { done <- r.waitOpen(t.Context(), []string{"a"}, seen) }()
		for _, state := range []string{"connecting", "open"} {
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("it waits no longer before %q (%v)", state, err)
			default:
			}
			body := fmt.Sprintf(`{"event":"connection.update","instance":"a","data":{"state":%q}}`, state)
			r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestChatsAreDistinct(t *testing.T) {
	for n, want := range map[int]int{1: chatsOfOne, 100: 100 * chatsOfMany} {
		keys := map[string]bool{}
		for _, c := range makeChats(n) {
			keys[c.key()] = true
		}
		if len(keys) != want {
			t.Errorf("%d instances have %d chats, want %d", n, len(keys), want)
		}
	}
}
