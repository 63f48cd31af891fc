package app_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// names lists the events of an instance, each delivery once, in the order in
// which the receiver took them.
func names(posts []pombotest.Post, instance string) []string {
	var out []string
	for _, p := range posts {
		if p.Instance == instance {
			out = append(out, p.Event)
		}
	}
	return out
}

// The events of an instance's deletion arrive after it, also those of the logout
// that is a part of it, and also if its endpoint was down; what its chats had
// pending does not. The name is free at once, and its new owner is told nothing
// of the old one.
func TestDelete(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "gone", phone, receiver.URL)
	receiver.Wait(t, "connection.update", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), `"open"`) })
	var old []struct{ ID, Token string }
	gateway.Must("GET", "/instance/fetchInstances?instanceName=gone", nil, &old)

	var down atomic.Bool
	down.Store(true)
	receiver.Answer(func(int, pombotest.Post) int {
		if down.Load() {
			return 429 // unlike 503, it never lets a lane go on without the event
		}
		return 200
	})
	id := network.Write(contact, phone, "too late")
	// It is stored. It may wait behind the news of its contact, which is refused.
	pombotest.Eventually(t, time.Minute, "the message to be stored", func() bool {
		confirmed, err := network.Confirmed(t.Context(), phone)
		return err == nil && slices.ContainsFunc(confirmed, func(c sandbox.Confirmation) bool { return c.ID == id })
	})
	gateway.Must("DELETE", "/instance/delete/gone", nil, nil)
	if message := gateway.Refused("GET", "/instance/connectionState/gone", nil, 404); !strings.Contains(message, `\"gone\" instance does not exist`) {
		t.Errorf("a deleted instance is refused with %s", message)
	}
	if state, err := network.State(t.Context()); err != nil || len(state.Accounts) != 0 {
		t.Errorf("the phone still lists %+v, %v", state.Accounts, err)
	}

	// The name is used again while the old one's last events wait.
	successor := pombotest.NewReceiver(t)
	pombotest.Create(t, gateway.Client, "gone", successor.URL)
	down.Store(false)
	want := []string{"status.instance", "logout.instance", "connection.update", "remove.instance", "instance.delete"}
	receiver.Until(t, "the events of the deletion", func([]pombotest.Post) bool {
		got := names(receiver.Accepted(), "gone")
		return len(got) > len(want) && slices.Equal(got[len(got)-len(want):], want)
	})
	for _, p := range receiver.Accepted() {
		if p.Message().Key.ID == id {
			t.Error("a message that was pending came after the deletion")
		}
		if !strings.Contains(string(p.Body), `"apikey":"`+old[0].Token+`"`) {
			t.Errorf("an event of the deleted instance has another key: %s", p.Body)
		}
	}
	closed := receiver.Named("connection.update")
	var last struct {
		State        string
		StatusReason int
	}
	if err := json.Unmarshal(closed[len(closed)-1].Data, &last); err != nil || last.State != "close" || last.StatusReason != 401 {
		t.Errorf("the connection ends with %s", closed[len(closed)-1].Data)
	}
	successor.Wait(t, "status.instance", nil)
	if got := names(successor.Accepted(), "gone"); !slices.Equal(got, []string{"instance.create", "status.instance"}) {
		t.Errorf("the new instance of that name was told %v", got)
	}
	network.CheckRules(t)
}

// An instance that was never paired is deleted just so.
func TestDeleteUnpaired(t *testing.T) {
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, pombotest.NewSandbox(t), app.Faults{})
	pombotest.Create(t, gateway.Client, "new", receiver.URL)
	gateway.Must("GET", "/instance/connect/new", nil, nil) // a code is shown
	receiver.Wait(t, "qrcode.updated", nil)                // what is pending when it is deleted is not told
	gateway.Must("DELETE", "/instance/delete/new", nil, nil)
	receiver.Wait(t, "instance.delete", nil)
	want := []string{"instance.create", "status.instance", "connection.update", "qrcode.updated", "remove.instance", "instance.delete"}
	if got := names(receiver.Accepted(), "new"); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

// After a restart each instance is told that the application started, its webhook
// and its name are as they were, what was pending arrives first, and it connects
// again by itself.
func TestRestart(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "stays", phone, "")
	gateway.Must("POST", "/webhook/set/stays", map[string]any{
		"enabled": true, "url": receiver.URL + "/hook", "webhook_by_events": true, "events": []string{"APPLICATION_STARTUP", "MESSAGES_UPSERT", "CONNECTION_UPDATE"},
	}, nil)
	pombotest.Create(t, gateway.Client, "unpaired", receiver.URL)
	receiver.Wait(t, "status.instance", nil)
	_, before := gateway.Do("GET", "/webhook/find/stays", nil)

	var down atomic.Bool
	down.Store(true)
	receiver.Answer(func(int, pombotest.Post) int {
		if down.Load() {
			return 503
		}
		return 200
	})
	id := network.Write(contact, phone, "before the restart")
	receiver.Wait(t, "messages.upsert", nil)
	gateway.Stop()
	while := network.Write(contact, phone, "during the restart")
	down.Store(false)
	gateway.Start()
	if _, after := gateway.Do("GET", "/webhook/find/stays", nil); string(after) != string(before) {
		t.Errorf("the webhook was %s and is %s", before, after)
	}
	pombotest.WaitState(t, gateway.Client, "stays", "open")
	for _, id := range []string{id, while} {
		p := receiver.Wait(t, "messages.upsert", func(p pombotest.Post) bool { return p.Status == 200 && p.Message().Key.ID == id })
		if p.Path != "/hook/messages-upsert" {
			t.Errorf("it was posted to %s", p.Path)
		}
	}
	for _, name := range []string{"stays", "unpaired"} {
		p := receiver.Wait(t, "application.startup", func(p pombotest.Post) bool { return p.Instance == name })
		if !strings.Contains(string(p.Data), `"instance":"`+name+`"`) {
			t.Errorf("got %s", p.Data)
		}
	}
	if state := gateway.State("unpaired"); state != "close" {
		t.Errorf("the instance without a phone is %s", state)
	}
	var order []string
	for _, p := range receiver.Named("messages.upsert") {
		order = append(order, p.Message().Key.ID)
	}
	if !slices.Equal(order, []string{id, while}) {
		t.Errorf("the messages came as %v", order)
	}
	network.CheckRules(t)
}

// Paired instances connect at start: all of them, and one after the other.
func TestManyReconnectAtStart(t *testing.T) {
	many := 50
	if raceDetector {
		many = 12
	}
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	number := func(i int) string { return phone[:9] + string(rune('0'+i/10)) + string(rune('0'+i%10)) + "00" }
	name := func(i int) string { return "i" + number(i)[9:11] }
	opened := func(since time.Time, changes int) map[string]int {
		n := map[string]int{}
		receiver.Until(t, "the changes of all connections", func(posts []pombotest.Post) bool {
			clear(n)
			for _, p := range posts {
				if p.Event == "connection.update" && p.At.After(since) {
					n[p.Instance]++
				}
			}
			for i := range many {
				if n[name(i)] < changes {
					return false
				}
			}
			return true
		})
		return n
	}
	for i := range many {
		pombotest.Pair(t, gateway.Client, network.Server, name(i), number(i), receiver.URL)
	}
	opened(time.Time{}, 2) // nothing of that is left for after the restart
	gateway.Stop()
	for i := range many {
		network.Write(contact, number(i), "hello")
	}
	began := time.Now()
	gateway.Start()
	if d := time.Since(began); d > patience {
		t.Errorf("the gateway answered after %s", d)
	}
	receiver.Until(t, "a message for each instance", func(posts []pombotest.Post) bool {
		told := map[string]bool{}
		for _, p := range posts {
			if p.Event == "messages.upsert" {
				told[p.Instance] = true
			}
		}
		return len(told) == many
	})
	t.Logf("%d instances had their messages %s after the start", many, time.Since(began))
	for i := range many {
		pombotest.WaitState(t, gateway.Client, name(i), "open")
	}
	for name, n := range opened(began, 2) { // connecting, open
		if n != 2 {
			t.Errorf("%s told %d changes of its connection", name, n)
		}
	}
	network.CheckRules(t)
}
