package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types/events"

	"pombo"
	"pombo/internal/sandbox"
)

// A stanza is confirmed only after its event is committed.
func TestConfirmedAfterCommit(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	var before map[string]bool
	var asked bool
	w.sink.setFail(func(e []pombo.Event) error {
		if e[0].Name == pombo.MessagesUpsert {
			before, asked = w.confirmed(), true
		}
		return nil
	})
	id := w.write("espera")
	w.event(pombo.MessagesUpsert, id)
	w.eventually("the message is confirmed", func() bool { return w.confirmed()[id] })
	w.sink.setFail(nil)
	if !asked || before[id] {
		t.Errorf("asked %v, confirmed before the commit: %v", asked, before[id])
	}
}

func TestFailingSinkWaits(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	var fails atomic.Int32
	w.sink.setFail(func([]pombo.Event) error {
		if fails.Add(1) <= 5 {
			return errBroken
		}
		return nil
	})
	id := w.write("depois")
	w.event(pombo.MessagesUpsert, id)
	w.eventually("the message is confirmed", func() bool { return w.confirmed()[id] })
	if got := len(w.sink.named(pombo.ConnectionUpdate)); got != 2 {
		t.Errorf("%d CONNECTION_UPDATE were told, want connecting and open", got)
	}
}

// A sink that fails for longer than a connection's patience makes it start over.
// What was not committed comes again, in order, and nothing was confirmed
// meanwhile.
func TestFailingSinkStartsOver(t *testing.T) {
	w := newWorld(t, func(w *world) { w.timing.patience = 100 * time.Millisecond })
	w.pair()
	var broken atomic.Bool
	broken.Store(true)
	w.sink.setFail(func([]pombo.Event) error {
		if broken.Load() {
			return errBroken
		}
		return nil
	})
	first, err := w.session.live()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range 20 {
		ids = append(ids, w.write(fmt.Sprintf("mensagem %02d", i)))
	}
	select {
	case <-first.over:
	case <-time.After(ample):
		t.Fatal("the connection was not given up")
	}
	if got := w.confirmed(); len(got) > 0 {
		t.Errorf("confirmed while nothing could be committed: %v", got)
	}
	broken.Store(false)
	for _, id := range ids {
		w.event(pombo.MessagesUpsert, id)
		w.eventually("it is confirmed", func() bool { return w.confirmed()[id] })
	}
	for i, e := range w.sink.named(pombo.MessagesUpsert) {
		if !strings.Contains(string(e.Data), fmt.Sprintf("mensagem %02d", i)) {
			t.Errorf("event %d is %s", i, e.Data)
		}
	}
	w.until(pombo.StateOpen)
}

// After a line is over, nothing of it is appended, even by a handler that is
// called all the same.
func TestNothingIsAppendedAfterTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	l, err := w.session.live()
	if err != nil {
		t.Fatal(err)
	}
	l.end(errBroken)
	before := len(w.sink.named(pombo.MessagesUpdate))
	if l.handle(&events.Receipt{MessageIDs: []string{"X"}}) {
		t.Error("a line that is over committed something")
	}
	if after := len(w.sink.named(pombo.MessagesUpdate)); after != before {
		t.Error("a line that is over appended something")
	}
	w.until(pombo.StateOpen) // on another line
}

// A message whose translation panics is delivered as it came.
func TestPanicInTranslationLosesNothing(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.options.OnEvent = func(evt any) {
			if m, ok := evt.(*events.Message); ok && m.Message.GetConversation() == "bomba" {
				panic("injected")
			}
		}
	})
	w.pair()
	bad, good := w.write("bomba"), w.write("depois")
	w.event(pombo.MessagesUpsert, good)
	var data struct {
		MessageType string
		Raw         struct{ Error, Protobuf string }
	}
	if err := json.Unmarshal(w.event(pombo.MessagesUpsert, bad).Data, &data); err != nil {
		t.Fatal(err)
	}
	if data.MessageType != "unknown" || !strings.Contains(data.Raw.Error, "injected") || data.Raw.Protobuf == "" {
		t.Errorf("got %+v", data)
	}
	w.eventually("both are confirmed", func() bool { c := w.confirmed(); return c[bad] && c[good] })
}

// A panic beside translation is no success either: the message comes again.
func TestPanicInHandlerStartsOver(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	var once atomic.Bool
	w.sink.setFail(func(e []pombo.Event) error {
		if e[0].Name == pombo.MessagesUpsert && once.CompareAndSwap(false, true) {
			panic("injected")
		}
		return nil
	})
	id := w.write("de novo")
	w.event(pombo.MessagesUpsert, id)
	w.eventually("it is confirmed", func() bool { return w.confirmed()[id] })
	if !once.Load() {
		t.Error("nothing panicked")
	}
}

// Killed between the commit and the confirmation, a gateway gets the message
// again and has it once.
func TestLostConfirmation(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.fault(sandbox.FaultRequest{Kind: sandbox.FaultUnconfirmed})
	id := w.write("uma vez")
	w.event(pombo.MessagesUpsert, id)
	w.cut()
	if w.confirmed()[id] {
		t.Fatal("the confirmation was not lost")
	}
	w.fault(sandbox.FaultRequest{Kind: sandbox.FaultClear})
	w.cut()
	w.eventually("it is confirmed", func() bool { return w.confirmed()[id] })
	if got := len(w.sink.named(pombo.MessagesUpsert)); got != 1 {
		t.Errorf("%d events of one message", got)
	}
}

// A request to send again is answered after a restart, from what was kept.
func TestRetryAfterRestart(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	sent, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "guardado"})
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.start()
	if state, _ := w.connect(""); state != pombo.StateOpen {
		t.Fatalf("the state is %s", state)
	}
	before, err := w.box.Violations(w.ctx())
	if err != nil {
		t.Fatal(err)
	}
	// A phone that could read what was sent again says once more that it has it.
	var delivered atomic.Int32
	w.sink.setFail(func(e []pombo.Event) error {
		if e[0].Name == pombo.MessagesUpdate && strings.Contains(string(e[0].Data), sent.ID) {
			delivered.Add(1)
		}
		return nil
	})
	for n := range int32(2) { // the second time new keys come along
		if err := w.box.SendReceipt(w.ctx(), sandbox.ReceiptRequest{ID: sent.ID, Type: "retry", Number: contact1}); err != nil {
			t.Fatal(err)
		}
		w.eventually("the message was sent again", func() bool { return delivered.Load() > n })
	}
	after, err := w.box.Violations(w.ctx())
	if err != nil || len(after) != len(before) {
		t.Errorf("rules were broken: %+v, %v", after, err)
	}
	if got := w.sink.named(pombo.MessagesUpdate); len(got) != 1 {
		t.Errorf("%d MESSAGES_UPDATE of one delivery", len(got))
	}
}

// watchSends counts how often a kept message was read, which is done to send it
// again.
func (w *world) watchSends() func() int {
	var n atomic.Int32
	w.sent.mu.Lock()
	w.sent.read = func(string) { n.Add(1) }
	w.sent.mu.Unlock()
	return func() int { return int(n.Load()) }
}

// While what was sent cannot be read, a request to send again is not confirmed:
// it comes again, and is answered then.
func TestRetryWaitsForTheStore(t *testing.T) {
	w := newWorld(t, func(w *world) { w.timing.patience = 50 * time.Millisecond })
	w.pair()
	sent, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "guardado"})
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.start()
	w.connect("")
	first, err := w.session.live()
	if err != nil {
		t.Fatal(err)
	}
	w.sent.setFail(errBroken)
	if err := w.box.SendReceipt(w.ctx(), sandbox.ReceiptRequest{ID: sent.ID, Type: "retry", Number: contact1}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.over:
	case <-time.After(ample):
		t.Fatal("the connection was not given up")
	}
	again := w.watchSends()
	w.sent.setFail(nil)
	w.eventually("the request came again", func() bool { return again() > 0 })
}

// A kept message is given only to the chat that it was sent to.
func TestRetryOnlyForItsChat(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	sent, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "segredo"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := w.session.live()
	if err != nil {
		t.Fatal(err)
	}
	to, other := mustJID(t, chat1), mustJID(t, "5511900000000@s.whatsapp.net")
	if m := l.messageForRetry(to, to, sent.ID); m.GetExtendedTextMessage().GetText() != "segredo" {
		t.Errorf("its own chat got %v", m)
	}
	lid, err := l.client.Store.LIDs.GetLIDForPN(context.Background(), to)
	if err != nil || lid.IsEmpty() {
		t.Fatalf("the hidden form is not known: %v, %v", lid, err)
	}
	if m := l.messageForRetry(lid, lid, sent.ID); m == nil {
		t.Error("its own chat by its hidden form got nothing")
	}
	if m := l.messageForRetry(other, other, sent.ID); m != nil {
		t.Errorf("another chat got %v", m)
	}
	if m := l.messageForRetry(to, to, "3EB0UNKNOWN"); m != nil {
		t.Errorf("an unknown ID got %v", m)
	}
}

func TestErrOver(t *testing.T) {
	if !errors.Is(errOver, context.Canceled) {
		t.Error("whatsmeow would ask for the message again")
	}
}
