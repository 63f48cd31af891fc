package sandbox_test

import (
	"context"
	"testing"

	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

// TestAckAfterRetryReceipt: a client that asks for a message again also acks it. That says nothing about what it gets
// for an answer, which has the same ID: until that is confirmed it comes again.
func TestAckAfterRetryReceipt(t *testing.T) {
	n, c := startPaired(t)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "first"})
	lid := wait[*events.Message](c, nil).Info.SenderAlt
	c.sendText(pn(contact), "answer") // so that the phone stops opening the session in each message
	if err := c.Store.Sessions.DeleteAllSessions(context.Background(), lid.SignalAddressUser()); err != nil {
		t.Fatal(err)
	}
	refused := make(chan struct{}, 16)
	c.mu.Lock()
	c.fail = func(evt any) bool {
		if _, ok := evt.(*events.Message); ok {
			refused <- struct{}{}
			return true
		}
		return false
	}
	c.mu.Unlock()
	id := n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "second"})
	<-refused // the answer to the retry receipt, or to a second one with keys
	c.mu.Lock()
	c.fail = nil
	c.mu.Unlock()
	if _, err := n.SetFault(context.Background(), sandbox.FaultRequest{Kind: sandbox.FaultDrop}); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.Message](c, nil); evt.Info.ID != id || evt.Message.GetConversation() != "second" {
		t.Errorf("got %s %q", evt.Info.ID, evt.Message.GetConversation())
	}
	n.mustObey(t)
}
