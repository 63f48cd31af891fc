package sandbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo/internal/sandbox"
)

func TestSend(t *testing.T) {
	n, c := startPaired(t)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hello"})
	wait[*events.Message](c, nil)
	for i := range 3 {
		text := strings.Repeat("x", i+1)
		resp, err := c.SendMessage(context.Background(), pn(contact), &waE2E.Message{Conversation: &text})
		if err != nil {
			t.Fatal(err)
		}
		wait(c, func(r *events.Receipt) bool {
			return r.MessageIDs[0] == resp.ID && r.Type == types.ReceiptTypeDelivered && r.Sender == pn(contact)
		})
	}
	n.mustObey(t)
}

func (c *client) sendText(to types.JID, text string) whatsmeow.SendResponse {
	c.t.Helper()
	resp, err := c.SendMessage(context.Background(), to, &waE2E.Message{Conversation: &text})
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

func TestSendFirst(t *testing.T) {
	n, c := startPaired(t)
	if _, err := n.AddContact(context.Background(), sandbox.ContactRequest{Number: contact, Name: "Ana"}); err != nil {
		t.Fatal(err)
	}
	id := c.sendText(pn(contact), "hello").ID
	received := n.messages(t, contact, "received")
	if len(received) != 1 || received[0].ID != id || received[0].Text != "hello" || received[0].From != bot {
		t.Fatalf("the contact got %+v", received)
	}
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hello yourself"})
	wait[*events.Message](c, nil)
	c.sendText(pn(contact), "fine")
	if got := n.messages(t, bot, "sent"); len(got) != 2 || got[1].Text != "fine" || got[1].To != contact {
		t.Errorf("the account's phone knows %+v", got)
	}
	n.mustObey(t)
}

func TestSendToSelf(t *testing.T) {
	n, c := startPaired(t)
	c.sendText(pn(bot), "note")
	if got := n.messages(t, bot, "received"); len(got) != 1 || got[0].Text != "note" {
		t.Errorf("the phone got %+v", got)
	}
	n.mustObey(t)
}

func TestSendToLID(t *testing.T) {
	n, c := startPaired(t)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi", Addressing: "lid"})
	evt := wait[*events.Message](c, nil)
	id := c.sendText(evt.Info.Chat, "to your LID").ID
	receipt := wait(c, func(r *events.Receipt) bool { return r.Type == types.ReceiptTypeDelivered })
	if receipt.MessageIDs[0] != id || receipt.Chat != evt.Info.Chat {
		t.Errorf("got %+v", receipt)
	}
	if got := n.messages(t, contact, "received"); len(got) != 1 || got[0].Text != "to your LID" {
		t.Errorf("the contact got %+v", got)
	}
	n.mustObey(t)
}

func TestUsers(t *testing.T) {
	n, c := startPaired(t)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "I exist"})
	found, err := c.IsOnWhatsApp(context.Background(), []string{"+" + contact, "+5511900009999"})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || !found[0].IsIn || found[0].JID != pn(contact) || found[0].Query != "+"+contact || found[1].IsIn {
		t.Errorf("got %+v", found)
	}
	info, err := c.GetUserInfo(context.Background(), []types.JID{pn(contact)})
	if err != nil || info[pn(contact)].LID.Server != types.HiddenUserServer || len(info[pn(contact)].Devices) != 1 {
		t.Errorf("got %+v, %v", info, err)
	}
	if _, err = c.GetProfilePictureInfo(context.Background(), pn(contact), nil); !errors.Is(err, whatsmeow.ErrProfilePictureNotSet) {
		t.Errorf("picture: %v", err)
	}
	if _, err = c.GetGroupInfo(context.Background(), types.NewJID("123", types.GroupServer)); !errors.Is(err, whatsmeow.ErrGroupNotFound) {
		t.Errorf("group: %v", err)
	}
	if groups, err := c.GetJoinedGroups(context.Background()); err != nil || len(groups) != 0 {
		t.Errorf("groups: %v, %v", groups, err)
	}
	if _, err = c.TryFetchPrivacySettings(context.Background(), true); err != nil {
		t.Errorf("privacy: %v", err)
	}
	if _, err = c.GetBlocklist(context.Background()); err != nil {
		t.Errorf("blocklist: %v", err)
	}
	if _, err = c.GetStatusPrivacy(context.Background()); err != nil {
		t.Errorf("status privacy: %v", err)
	}
	if err = c.FetchAppState(context.Background(), appstate.WAPatchRegular, true, false); err != nil {
		t.Errorf("app state: %v", err)
	}
	c.sendText(pn("5511900009999"), "to nobody")
	n.mustObey(t)
}

func TestTwoCompanions(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	one, two := newClient(t, n), newClient(t, n)
	one.pair(n, bot)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "before"})
	wait[*events.Message](one, nil)
	one.sendText(pn(contact), "alone") // and so caches its own device list
	two.pair(n, bot)
	eventually(t, "the first knows of the second", func() bool {
		devices, err := one.GetUserDevices(context.Background(), []types.JID{pn(bot)})
		return err == nil && len(devices) == 3
	})
	id := one.sendText(pn(contact), "both").ID
	evt := wait[*events.Message](two, nil)
	if evt.Info.ID != id || !evt.Info.IsFromMe || evt.Info.Chat != pn(contact) || evt.Message.GetConversation() != "both" {
		t.Errorf("the second got %+v %q", evt.Info, evt.Message.GetConversation())
	}
	if evt.Info.Sender != *one.Store.ID {
		t.Errorf("from %s, not %s", evt.Info.Sender, one.Store.ID)
	}
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "to both"})
	for _, c := range []*client{one, two} {
		wait(c, func(m *events.Message) bool { return m.Message.GetConversation() == "to both" })
	}
	two.sendText(pn(contact), "answer")
	wait(one, func(m *events.Message) bool { return m.Message.GetConversation() == "answer" && m.Info.IsFromMe })
	if err := two.Logout(context.Background()); err != nil {
		t.Fatal(err)
	}
	one.sendText(pn(contact), "alone again")
	n.mustObey(t)
}

func TestTwoAccounts(t *testing.T) {
	n, one, two := startTwo(t, bot, contact)
	for i := range 3 {
		text := strings.Repeat("a", i+1)
		id := one.sendText(pn(contact), text).ID
		evt := wait[*events.Message](two, nil)
		if evt.Info.ID != id || evt.Message.GetConversation() != text || evt.Info.Sender != *one.Store.ID || evt.Info.Chat != pn(bot) {
			t.Errorf("got %+v %q", evt.Info, evt.Message.GetConversation())
		}
		if err := two.MarkRead(context.Background(), []string{id}, evt.Info.Timestamp, evt.Info.Chat, evt.Info.Sender); err != nil {
			t.Fatal(err)
		}
		wait(one, func(r *events.Receipt) bool { return r.Type == types.ReceiptTypeRead && r.MessageIDs[0] == id })
		two.sendText(pn(bot), text)
		wait[*events.Message](one, nil)
	}
	n.mustObey(t)
}

func TestRepeatedID(t *testing.T) {
	n, c := startPaired(t)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi"})
	for range 2 {
		_, err := c.SendMessage(context.Background(), pn(contact), &waE2E.Message{Conversation: proto.String("once")},
			whatsmeow.SendRequestExtra{ID: "3EB0SAME"})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := n.messages(t, contact, "received"); len(got) != 1 {
		t.Errorf("the contact got %+v", got)
	}
	n.mustObey(t)
}

func TestReactionsAndMedia(t *testing.T) {
	n, c := startPaired(t)
	id := n.send(t, sandbox.SendRequest{From: contact, To: bot, Message: []byte(`{"imageMessage":{"caption":"a cat","mimetype":"image/jpeg"}}`)})
	evt := wait[*events.Message](c, nil)
	if evt.Info.Type != "media" || evt.Info.MediaType != "image" || evt.Message.GetImageMessage().GetCaption() != "a cat" {
		t.Errorf("got %+v", evt.Info)
	}
	if _, err := c.SendMessage(context.Background(), pn(contact), c.BuildReaction(evt.Info.Chat, evt.Info.Sender, id, "👍")); err != nil {
		t.Fatal(err)
	}
	got := n.messages(t, contact, "received")
	if len(got) != 1 || got[0].Text != "👍" || !strings.Contains(string(got[0].Message), "reactionMessage") {
		t.Errorf("the contact got %+v", got)
	}
	n.mustObey(t)
}
