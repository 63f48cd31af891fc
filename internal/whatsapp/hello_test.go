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
