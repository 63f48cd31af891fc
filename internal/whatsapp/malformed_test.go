package whatsapp

import (
	"context"
	"slices"
	"testing"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"

	"pombo"
	"pombo/internal/sandbox"
)

// What strangers send reaches parsers that panic. Such a message is told as one that
// cannot be read and never comes again; nobody else's is held up.
func TestMalformedMessages(t *testing.T) {
	const evil = "5511966660000"
	for name, request := range map[string]func(w *world) sandbox.SendRequest{
		"before it is decrypted": func(*world) sandbox.SendRequest {
			return sandbox.SendRequest{To: account1, Text: "x", Unreadable: "malformed"}
		},
		"after": func(w *world) sandbox.SendRequest {
			group, err := w.box.CreateGroup(w.ctx(), sandbox.GroupRequest{From: evil, Subject: "g", Participants: []string{account1}})
			if err != nil {
				t.Fatal(err)
			}
			return sandbox.SendRequest{To: group.JID, Message: []byte(`{"conversation":"x","senderKeyDistributionMessage":{
				"groupID":"` + group.JID + `","axolotlSenderKeyDistributionMessage":""}}`)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.pair()
			message := request(w)
			message.ID, message.From = "EVIL", evil
			if _, err := w.box.SendMessage(w.ctx(), message); err != nil {
				t.Fatal(err)
			}
			w.event(pombo.MessagesUndecryptable, `"EVIL"`)
			w.eventually("it is confirmed", func() bool { return w.confirmed()["EVIL"] })
			if _, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "an answer"}); err != nil {
				t.Error(err) // it has kept the turn
			}
			w.write("another")
			w.event(pombo.MessagesUpsert, "another")
			w.cut()
			w.until(pombo.StateOpen)
			w.write("after a reconnect")
			w.event(pombo.MessagesUpsert, "after a reconnect")
			if n := len(w.sink.named(pombo.MessagesUndecryptable)); n != 1 {
				t.Errorf("it was told %d times", n)
			}
			w.noViolations()
		})
	}
}

// What was read of a message until its handling panicked does not keep others from
// reading and writing sessions.
func TestUnitOfMalformedMessage(t *testing.T) {
	w := newWorld(t, nil)
	l := w.session.newLine(w.devices.NewDevice())
	defer l.close()
	f := &fakeUnit{}
	l.unit = f
	g := &guard{l: l, in: f, unit: f}
	l.surviving(func(ctx context.Context, _ *waBinary.Node) {
		if err := g.DoDecryptionTxn(ctx, func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
		panic("no key")
	})(w.ctx(), &waBinary.Node{Tag: "message"})
	if f.open || !slices.Equal(f.calls, []string{"keep"}) {
		t.Errorf("the unit is open: %t; it was asked to %q", f.open, f.calls)
	}
	owner := new(byte)
	if err := l.turn.take(w.ctx(), owner, time.Hour); err != nil {
		t.Error(err)
	}
}
