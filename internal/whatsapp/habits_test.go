package whatsapp

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
	"pombo/internal/sandbox"
)

// A call is rejected and answered once, only if the settings say so, and not when
// it was rung long ago.
func TestRejectCall(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	l, err := w.session.live()
	if err != nil {
		t.Fatal(err)
	}
	caller := types.NewJID(contact1, types.DefaultUserServer)
	ring := func(id string, at time.Time) {
		t.Helper()
		if !l.handle(&events.CallOffer{BasicCallMeta: types.BasicCallMeta{From: caller, CallCreator: caller, CallID: id, Timestamp: at}}) {
			t.Fatalf("the call %s was not committed", id)
		}
	}
	ring("early", time.Now())
	w.session.SetSettings(pombo.Settings{RejectCall: true, MsgCall: "no calls"})
	ring("old", time.Now().Add(-time.Hour))
	ring("first", time.Now())
	ring("first", time.Now())
	w.session.SetSettings(pombo.Settings{RejectCall: true, MsgCall: "write instead"})
	ring("second", time.Now())
	var texts []string
	w.eventually("the second call is answered", func() bool {
		got, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: contact1})
		if err != nil {
			t.Fatal(err)
		}
		texts = nil
		for _, m := range got {
			texts = append(texts, m.Text)
		}
		return len(texts) >= 2
	})
	if len(texts) != 2 || texts[0] != "no calls" || texts[1] != "write instead" {
		t.Errorf("the caller got %q", texts)
	}
}

// No more chores wait than choresMax, and none is done once the line is over.
func TestChoresAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	l, err := w.session.live()
	if err != nil {
		t.Fatal(err)
	}
	begun, hold := make(chan struct{}), make(chan struct{})
	l.later("test", func(context.Context) { close(begun); <-hold })
	<-begun
	var done atomic.Int32
	for range choresMax + 5 {
		l.later("test", func(context.Context) { done.Add(1) })
	}
	close(hold)
	w.eventually("the chores are done", func() bool {
		l.chores.mu.Lock()
		defer l.chores.mu.Unlock()
		return !l.chores.working
	})
	if done.Load() != choresMax {
		t.Errorf("%d chores were done, want %d", done.Load(), choresMax)
	}
	l.end(errClosed)
	l.later("test", func(context.Context) { t.Error("a chore was done on a line that is over") })
}

// Whether the account is online is shown at once: what comes to one that is not
// gets receipts of the kind "inactive".
func TestAlwaysOnline(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	l, err := w.session.live()
	if err != nil {
		t.Fatal(err)
	}
	l.appState.name.Lock()
	l.client.Store.PushName = "Loja" // without a name whatsmeow announces nothing
	l.appState.name.Unlock()
	for _, on := range []bool{true, false} {
		w.session.SetSettings(pombo.Settings{AlwaysOnline: on})
		want := map[bool]string{true: "delivered", false: "inactive"}[on]
		w.eventually("receipts are "+want, func() bool { return w.receipt(w.write("hello")) == want })
	}
}

// receipt waits for the first receipt that a companion sends for a message, and
// returns its kind.
func (w *world) receipt(id string) (kind string) {
	w.t.Helper()
	w.eventually("there is a receipt for "+id, func() bool {
		sent, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: contact1, Direction: "sent"})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, m := range sent {
			for _, r := range m.Receipts {
				if m.ID == id && strings.Contains(r.Device, ":") {
					kind = r.Type
				}
			}
		}
		return kind != ""
	})
	return kind
}
