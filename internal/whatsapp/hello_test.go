package whatsapp

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pombo"
	"pombo/internal/sandbox"
)

// The first message of a contact is read in a session of our making: libsignal, which
// asks whom it trusts before it looks for keys, finds nothing left to do. Those that
// follow it before an answer name the same key, and use no other.
func TestHelloIsAnswered(t *testing.T) {
	f := &faulty{}
	w := newWorld(t, func(w *world) { w.options.WrapStores = f.over })
	w.pair()
	var mu sync.Mutex
	var calls []string
	f.set(func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		if slices.Contains([]string{"GetSession", "IsTrustedIdentity", "GetPreKey", "PutSession", "RemovePreKey"}, op) {
			calls = append(calls, op)
		}
		return nil
	}, nil)
	for i, want := range [][]string{
		{"GetSession", "GetPreKey", "IsTrustedIdentity", "RemovePreKey", "PutSession"},
		{"GetSession", "IsTrustedIdentity", "PutSession"},
	} {
		text := fmt.Sprint("hello ", i)
		r, err := w.box.SendMessage(w.ctx(), sandbox.SendRequest{From: contact1, To: account1, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		w.event(pombo.MessagesUpsert, r.ID)
		w.eventually("the message is confirmed", func() bool { return w.confirmed()[r.ID] })
		mu.Lock()
		if !slices.Equal(calls, want) {
			t.Errorf("message %d: the stores were asked to %q, want %q", i+1, calls, want)
		}
		calls = nil
		mu.Unlock()
	}
	w.noViolations()
}

// A first message that cannot be read begins nothing, and uses up no prekey: sent again,
// it names the same ones.
func TestHelloThatCannotBeRead(t *testing.T) {
	f := &faulty{}
	w := newWorld(t, func(w *world) { w.options.WrapStores = f.over })
	w.pair()
	before := f.seen()
	r, err := w.box.SendMessage(w.ctx(), sandbox.SendRequest{From: contact1, To: account1, Text: "hello", Unreadable: "damaged"})
	if err != nil {
		t.Fatal(err)
	}
	w.event(pombo.MessagesUndecryptable, r.ID)
	w.event(pombo.MessagesUpsert, "hello") // it was asked for again
	w.eventually("it is confirmed", func() bool { return w.confirmed()[r.ID] })
	after := f.seen()
	for op, want := range map[string]int{"GetPreKey": 2, "PutSession": 1, "RemovePreKey": 1} {
		if n := after[op] - before[op]; n != want {
			t.Errorf("%s was called %d times, want %d", op, n, want)
		}
	}
	w.noViolations()
}
