package sandbox_test

import (
	"context"
	"testing"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

// TestClientAsksAgain: a client that lost its sessions asks the phone for the message again.
func TestClientAsksAgain(t *testing.T) {
	n, c := startPaired(t)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "first"})
	lid := wait[*events.Message](c, nil).Info.SenderAlt
	c.sendText(pn(contact), "answer") // so that the phone stops opening the session in each message
	ctx := context.Background()
	if err := c.Store.Sessions.DeleteAllSessions(ctx, lid.SignalAddressUser()); err != nil {
		t.Fatal(err)
	}
	id := n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "second"})
	wait[*events.UndecryptableMessage](c, nil)
	evt := wait(c, func(m *events.Message) bool { return m.RetryCount > 0 }) // the own phone gives it, too
	if evt.Info.ID != id || evt.Message.GetConversation() != "second" {
		t.Errorf("got %s %q", evt.Info.ID, evt.Message.GetConversation())
	}
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "third"})
	wait(c, func(m *events.Message) bool { return m.Message.GetConversation() == "third" })
	c.sendText(pn(contact), "all is well")
	n.mustObey(t)
}

// TestPhoneAsksAgain: a phone claims that it could not decrypt, first with its old session, then with new keys.
func TestPhoneAsksAgain(t *testing.T) {
	n, c := startPaired(t)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi"})
	wait[*events.Message](c, nil)
	id := c.sendText(pn(contact), "say again?").ID
	for range 2 {
		if err := n.SendReceipt(context.Background(), sandbox.ReceiptRequest{ID: id, Type: "retry"}); err != nil {
			t.Fatal(err)
		}
		wait(c, func(r *events.Receipt) bool { return r.Type == types.ReceiptTypeRetry })
		// the phone confirms what it got this time
		wait(c, func(r *events.Receipt) bool { return r.MessageIDs[0] == id && r.Type == types.ReceiptTypeDelivered })
	}
	if got := n.messages(t, contact, "received"); len(got) != 1 || got[0].Retries != 2 || len(got[0].Receipts) != 3 {
		t.Errorf("the contact got %+v", got)
	}
	if err := n.SendReceipt(context.Background(), sandbox.ReceiptRequest{ID: id, Type: "read"}); err != nil {
		t.Fatal(err)
	}
	wait(c, func(r *events.Receipt) bool { return r.MessageIDs[0] == id && r.Type == types.ReceiptTypeRead })
	c.sendText(pn(contact), "good")
	n.mustObey(t)
}

// TestClientLosesItsRatchet: a client that goes back to an older state of a session uses message keys twice; that is
// refused and recorded.
func TestClientLosesItsRatchet(t *testing.T) {
	n, c := startPaired(t)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi"})
	lid := wait[*events.Message](c, nil).Info.SenderAlt
	ctx := context.Background()
	c.sendText(pn(contact), "one")
	address := lid.SignalAddress().String()
	saved, err := c.Store.Sessions.GetSession(ctx, address)
	if err != nil || saved == nil {
		t.Fatalf("no session for %s: %v", address, err)
	}
	c.sendText(pn(contact), "two")
	if err = c.Store.Sessions.PutSession(ctx, address, saved); err != nil {
		t.Fatal(err)
	}
	if _, err = c.SendMessage(ctx, pn(contact), textMessage("three")); err == nil {
		t.Error("a reused message key was taken")
	}
	violations, err := n.Violations(ctx)
	if err != nil || len(violations) != 1 || violations[0].Kind != sandbox.ViolationReusedKey {
		t.Errorf("violations %+v, %v", violations, err)
	}
	if got := n.messages(t, contact, "received"); len(got) != 2 {
		t.Errorf("the contact got %+v", got)
	}
}
