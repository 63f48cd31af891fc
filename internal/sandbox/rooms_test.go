package sandbox_test

import (
	"context"
	"slices"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

// sentAgain matches a text that its sender encrypted again. The client asks its own phone for it, too, which may be
// faster; that one has no retry count.
func sentAgain(text string) func(*events.Message) bool {
	has := hasText(text)
	return func(m *events.Message) bool { return m.RetryCount > 0 && has(m) }
}

func hasText(text string) func(*events.Message) bool {
	return func(m *events.Message) bool { return m.Message.GetConversation() == text }
}

// TestGroupMessages: the first message of a sender brings its key in the same stanza, which makes an event of its own.
func TestGroupMessages(t *testing.T) {
	for _, addressing := range []string{"lid", "pn"} {
		t.Run(addressing, func(t *testing.T) {
			n, c := startPaired(t)
			jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot, third}, Addressing: addressing})
			id := n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "one", PushName: "Ana"})
			key := wait[*events.Message](c, nil)
			if key.Info.ID != id || key.RawMessage.GetSenderKeyDistributionMessage() == nil || key.Message.GetConversation() != "" {
				t.Errorf("first came %+v %v", key.Info, key.RawMessage)
			}
			evt := wait[*events.Message](c, nil)
			main, alternative := n.lid(t, contact), pn(contact)
			if addressing == "pn" {
				main, alternative = alternative, main
			}
			if evt.Info.ID != id || evt.Message.GetConversation() != "one" || evt.Info.Chat != jid || !evt.Info.IsGroup || evt.Info.PushName != "Ana" ||
				evt.Info.Sender != main || evt.Info.SenderAlt != alternative || string(evt.Info.AddressingMode) != addressing {
				t.Errorf("got %+v %q", evt.Info, evt.Message.GetConversation())
			}
			n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "two"})
			if evt = wait[*events.Message](c, nil); evt.Message.GetConversation() != "two" {
				t.Errorf("got %v", evt.RawMessage)
			}
			n.send(t, sandbox.SendRequest{From: bot, To: jid.String(), Text: "from my phone"})
			if evt = wait(c, hasText("from my phone")); !evt.Info.IsFromMe || evt.Info.Chat != jid {
				t.Errorf("got %+v", evt.Info)
			}
			eventually(t, "all are confirmed", func() bool { return len(n.confirmed(t, bot)) == 3 })
			if got := n.messages(t, third, "received"); len(got) != 3 || got[0].To != jid.String() || got[0].Text != "one" {
				t.Errorf("the other member got %+v", got)
			}
			n.mustObey(t)
		})
	}
}

func TestSendToGroup(t *testing.T) {
	for _, addressing := range []string{"lid", "pn"} {
		t.Run(addressing, func(t *testing.T) {
			n := startNetwork(t, sandbox.Options{})
			one, two, other := newClient(t, n), newClient(t, n), newClient(t, n)
			one.pair(n, bot)
			two.pair(n, bot)
			other.pair(n, third)
			jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot, third}, Addressing: addressing})
			for _, c := range []*client{one, two, other} {
				wait[*events.JoinedGroup](c, nil)
			}
			for _, text := range []string{"first", "second", "third"} {
				id := one.sendText(jid, text).ID
				evt := wait(two, hasText(text))
				if evt.Info.ID != id || !evt.Info.IsFromMe || evt.Info.Chat != jid {
					t.Errorf("the own companion got %+v", evt.Info)
				}
				evt = wait(other, hasText(text))
				if evt.Info.ID != id || evt.Info.IsFromMe || evt.Info.Chat != jid || evt.Info.Sender.Device != one.Store.ID.Device {
					t.Errorf("another account got %+v", evt.Info)
				}
				who := n.lid(t, contact)
				if addressing == "pn" {
					who = pn(contact)
				}
				wait(one, func(r *events.Receipt) bool {
					return r.MessageIDs[0] == id && r.Type == types.ReceiptTypeDelivered && r.Chat == jid && r.Sender == who
				})
			}
			other.sendText(jid, "answer")
			for _, c := range []*client{one, two} {
				wait(c, hasText("answer"))
			}
			got := n.messages(t, contact, "received")
			if len(got) != 4 || got[0].Text != "first" || got[0].From != bot || got[0].To != jid.String() || got[3].From != third {
				t.Errorf("the contact got %+v", got)
			}
			n.mustObey(t)
		})
	}
}

func TestGroupReceipts(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot, third}})
	wait[*events.JoinedGroup](c, nil)
	id := c.sendText(jid, "who reads this?").ID
	ctx := context.Background()
	if err := n.SendReceipt(ctx, sandbox.ReceiptRequest{ID: id, Type: "read", Number: contact}); err != nil {
		t.Fatal(err)
	}
	isRead := func(r *events.Receipt) bool {
		return r.Type == types.ReceiptTypeRead && r.MessageIDs[0] == id && r.Chat == jid
	}
	if r := wait(c, isRead); r.Sender != n.lid(t, contact) {
		t.Errorf("read by %s", r.Sender)
	}
	if err := n.SendReceipt(ctx, sandbox.ReceiptRequest{ID: id, Type: "read", Numbers: []string{contact, third}}); err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{contact, third} { // one stanza, two events
		if r := wait(c, isRead); r.Sender != n.lid(t, number) {
			t.Errorf("read by %s", r.Sender)
		}
	}
	id = n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "and this?"})
	evt := wait(c, hasText("and this?"))
	if err := c.MarkRead(ctx, []string{id}, evt.Info.Timestamp, jid, evt.Info.Sender); err != nil {
		t.Fatal(err)
	}
	n.seesRead(t, c)
	n.mustObey(t)
}

// TestGroupClientAsksAgain: a client that lost a sender key asks the phone for the message, and gets the key with it.
func TestGroupClientAsksAgain(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "one"})
	evt := wait(c, hasText("one"))
	c.forgetSenderKey(t, jid, evt.Info.Sender)
	id := n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "two"})
	if evt := wait[*events.UndecryptableMessage](c, nil); evt.Info.ID != id || evt.Info.Chat != jid {
		t.Errorf("got %+v", evt)
	}
	if evt := wait(c, sentAgain("two")); evt.Info.ID != id || evt.Info.Chat != jid {
		t.Errorf("got %+v", evt.Info)
	}
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "three"})
	wait(c, hasText("three"))
	n.mustObey(t)
}

// forgetSenderKey makes the client lose the key with which somebody sends to a group.
func (c *client) forgetSenderKey(t *testing.T, group, sender types.JID) {
	t.Helper()
	// there is no deletion in this store: an empty record is as good
	if err := c.Store.SenderKeys.PutSenderKey(context.Background(), group.String(), sender.SignalAddress().String(), []byte{}); err != nil {
		t.Fatal(err)
	}
}

// TestGroupPhoneAsksAgain: a phone claims that it could not decrypt, first with its old session, then with new keys.
func TestGroupPhoneAsksAgain(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot, third}})
	wait[*events.JoinedGroup](c, nil)
	id := c.sendText(jid, "say again?").ID
	for _, number := range []string{contact, third, contact} {
		if err := n.SendReceipt(context.Background(), sandbox.ReceiptRequest{ID: id, Type: "retry", Number: number}); err != nil {
			t.Fatal(err)
		}
		wait(c, func(r *events.Receipt) bool {
			return r.Type == types.ReceiptTypeRetry && r.Chat == jid && r.Sender == n.lid(t, number)
		})
		// the phone confirms what it got this time
		wait(c, func(r *events.Receipt) bool {
			return r.MessageIDs[0] == id && r.Type == types.ReceiptTypeDelivered && r.Sender == n.lid(t, number)
		})
	}
	if got := n.messages(t, contact, "received"); len(got) != 1 || got[0].Retries != 3 {
		t.Errorf("the contact got %+v", got)
	}
	c.sendText(jid, "good")
	n.mustObey(t)
}

// TestNewMember: whoever comes gets the keys; whoever went gets nothing, and the keys change.
func TestNewMember(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	c, other := newClient(t, n), newClient(t, n)
	c.pair(n, bot)
	other.pair(n, third)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	wait[*events.JoinedGroup](c, nil)
	c.sendText(jid, "before")
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "before"})
	change := func(action string) {
		t.Helper()
		_, err := n.ChangeParticipants(context.Background(), sandbox.ParticipantsRequest{ID: jid.User, From: contact, Action: action, Participants: []string{third}})
		if err != nil {
			t.Fatal(err)
		}
		wait[*events.GroupInfo](c, nil)
	}
	change("add")
	wait[*events.JoinedGroup](other, nil)
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "by a phone"})
	wait(other, hasText("by a phone"))
	c.sendText(jid, "by a client")
	wait(other, hasText("by a client"))
	change("remove")
	wait(other, func(e *events.GroupInfo) bool { return len(e.Leave) == 1 })
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "among us"})
	if evt := wait(c, func(m *events.Message) bool { return m.Info.Sender == n.lid(t, contact) }); evt.RawMessage.GetSenderKeyDistributionMessage() == nil {
		wait(c, func(m *events.Message) bool { return m.RawMessage.GetSenderKeyDistributionMessage() != nil })
	}
	wait(c, hasText("among us"))
	c.sendText(jid, "among us, too")
	if _, err := other.SendMessage(context.Background(), jid, textMessage("let me in")); err == nil {
		t.Error("somebody who is not in the group could send to it")
	}
	for _, m := range n.messages(t, third, "received") {
		if m.Text == "among us" || m.Text == "among us, too" || m.Text == "before" {
			t.Errorf("somebody who was not there got %q", m.Text)
		}
	}
	n.mustObey(t)
}

// TestClientLosesItsSenderKey: a client that goes back to an older state of its sender key uses an iteration twice;
// that is refused and recorded, also after a restart.
func TestClientLosesItsSenderKey(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir})
	c := newClient(t, n)
	c.pair(n, bot)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	wait[*events.JoinedGroup](c, nil)
	ctx := context.Background()
	c.sendText(jid, "one")
	address := c.Store.LID.SignalAddress().String()
	saved, err := c.Store.SenderKeys.GetSenderKey(ctx, jid.String(), address)
	if err != nil || saved == nil {
		t.Fatalf("no sender key: %v", err)
	}
	c.sendText(jid, "two")
	c.close()
	n.stop()
	n = startNetwork(t, sandbox.Options{DataDir: dir})
	c.open(n)
	c.connect()
	wait[*events.Connected](c, nil)
	if err = c.Store.SenderKeys.PutSenderKey(ctx, jid.String(), address, saved); err != nil {
		t.Fatal(err)
	}
	if _, err = c.SendMessage(ctx, jid, textMessage("three")); err == nil {
		t.Error("a reused iteration was taken")
	}
	violations, err := n.Violations(ctx)
	if err != nil || len(violations) != 1 || violations[0].Kind != sandbox.ViolationReusedKey {
		t.Errorf("violations %+v, %v", violations, err)
	}
	if got := n.messages(t, contact, "received"); len(got) != 2 {
		t.Errorf("the contact got %+v", got)
	}
}

// TestGroupsOutliveARestart: groups, their settings and the keys on both sides.
func TestGroupsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir})
	c := newClient(t, n)
	c.pair(n, bot)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Subject: "Lasting", Participants: []string{bot, third}})
	wait[*events.JoinedGroup](c, nil)
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "one"})
	wait(c, hasText("one"))
	c.sendText(jid, "two")
	before := n.view(t, jid)
	eventually(t, "one is confirmed", func() bool { return len(n.confirmed(t, bot)) == 1 })
	c.close()
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "three"})
	n.stop()

	n = startNetwork(t, sandbox.Options{DataDir: dir})
	if after := n.view(t, jid); after.Subject != before.Subject || after.InviteCode != before.InviteCode || !slices.Equal(after.Participants, before.Participants) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	c.open(n)
	c.connect()
	if evt := wait[*events.Message](c, nil); evt.Message.GetConversation() != "three" {
		t.Errorf("got %v", evt.RawMessage)
	}
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Text: "four"})
	if evt := wait[*events.Message](c, nil); evt.Message.GetConversation() != "four" { // no key this time
		t.Errorf("got %v", evt.RawMessage)
	}
	c.sendText(jid, "five")
	if got := n.messages(t, third, "received"); len(got) != 5 || got[4].Text != "five" {
		t.Errorf("the other member got %+v", got)
	}
	n.mustObey(t)
}

func TestAnnounceGroup(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	yes := true
	if _, err := n.ChangeGroup(context.Background(), sandbox.GroupChangeRequest{ID: jid.User, From: contact, Announce: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendMessage(context.Background(), jid, textMessage("may I?")); err == nil {
		t.Error("a member who is no admin could send")
	}
	_, err := n.SendMessage(context.Background(), sandbox.SendRequest{From: bot, To: jid.String(), Text: "may I?"})
	if sandbox.KindOf(err) != sandbox.Conflict {
		t.Errorf("by phone: %v", err)
	}
	n.mustObey(t)
}

func TestStatus(t *testing.T) {
	n, c := startPaired(t)
	for _, addressing := range []string{"pn", "lid"} {
		text := "my day by " + addressing
		id := n.send(t, sandbox.SendRequest{From: contact, To: "status@broadcast", Text: text, Addressing: addressing})
		evt := wait(c, hasText(text))
		if evt.Info.ID != id || evt.Info.Chat != types.StatusBroadcastJID || evt.Info.Sender.User != map[string]string{"pn": contact, "lid": n.lid(t, contact).User}[addressing] {
			t.Errorf("got %+v", evt.Info)
		}
	}
	eventually(t, "both are confirmed", func() bool { return len(n.confirmed(t, bot)) == 2 })
	if err := c.Store.Contacts.PutContactName(context.Background(), pn(contact), "Ana", "Ana"); err != nil {
		t.Fatal(err)
	}
	id := c.sendText(types.StatusBroadcastJID, "my own day").ID
	wait(c, func(r *events.Receipt) bool {
		return r.Type == types.ReceiptTypeDelivered && r.MessageIDs[0] == id && r.Chat == types.StatusBroadcastJID && r.Sender == pn(contact)
	})
	if got := n.messages(t, contact, "received"); len(got) != 1 || got[0].Text != "my own day" || got[0].To != "status@broadcast" {
		t.Errorf("the contact got %+v", got)
	}
	if err := n.SendReceipt(context.Background(), sandbox.ReceiptRequest{ID: id, Type: "read", Numbers: []string{contact}}); err != nil {
		t.Fatal(err)
	}
	wait(c, func(r *events.Receipt) bool { return r.Type == types.ReceiptTypeRead && r.Sender == pn(contact) })
	n.mustObey(t)
}

func TestChannel(t *testing.T) {
	n, c := startPaired(t)
	channel := types.NewJID("120363000000000001", types.NewsletterServer)
	id := n.send(t, sandbox.SendRequest{From: contact, To: channel.String(), Text: "news"})
	evt := wait[*events.Message](c, nil)
	if evt.Info.ID != id || evt.Info.Chat != channel || evt.Message.GetConversation() != "news" || evt.Info.ServerID == 0 {
		t.Errorf("got %+v", evt.Info)
	}
	eventually(t, "it is confirmed", func() bool { return len(n.confirmed(t, bot)) == 1 })
	if err := c.MarkRead(context.Background(), []string{id}, evt.Info.Timestamp, channel, types.EmptyJID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendMessage(context.Background(), channel, textMessage("mine")); err == nil {
		t.Error("a message to a channel was taken")
	}
	n.mustObey(t)
}

// TestGroupRepeatedID: a message that comes again under its id is acknowledged and dropped.
func TestGroupRepeatedID(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	wait[*events.JoinedGroup](c, nil)
	for range 2 {
		if _, err := c.SendMessage(context.Background(), jid, textMessage("once"), whatsmeow.SendRequestExtra{ID: "3EB0SAME"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.messages(t, contact, "received"); len(got) != 1 {
		t.Errorf("the contact got %+v", got)
	}
	n.mustObey(t)
}

// TestGroupCompanionAsksAgain: a client that lost its sessions asks another client for a group's message.
func TestGroupCompanionAsksAgain(t *testing.T) {
	n, one, two := startTwo(t, bot, third)
	jid := n.group(t, sandbox.GroupRequest{From: bot, Participants: []string{third}})
	wait[*events.JoinedGroup](one, nil)
	one.sendText(jid, "one")
	wait(two, hasText("one"))
	two.sendText(jid, "answer") // so that the session is no longer being opened
	wait(one, hasText("answer"))
	one.sendText(jid, "two")
	wait(two, hasText("two"))
	if err := two.Store.Sessions.DeleteAllSessions(context.Background(), one.Store.LID.SignalAddressUser()); err != nil {
		t.Fatal(err)
	}
	id := one.sendText(jid, "three").ID
	wait[*events.UndecryptableMessage](two, nil)
	if evt := wait(two, sentAgain("three")); evt.Info.ID != id || evt.Info.Chat != jid {
		t.Errorf("got %+v", evt.Info)
	}
	one.sendText(jid, "four")
	wait(two, hasText("four"))
	n.mustObey(t)
}

func TestAdminRevokes(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	wait[*events.JoinedGroup](c, nil)
	id := c.sendText(jid, "oops").ID
	n.send(t, sandbox.SendRequest{From: contact, To: jid.String(), Message: []byte(
		`{"protocolMessage":{"type":"REVOKE","key":{"remoteJID":"` + jid.String() + `","ID":"` + id + `","fromMe":false,"participant":"` + c.Store.LID.ToNonAD().String() + `"}}}`)})
	evt := wait(c, func(m *events.Message) bool { return m.Message.GetProtocolMessage() != nil })
	if evt.Info.Edit != types.EditAttributeAdminRevoke || evt.Message.GetProtocolMessage().GetKey().GetID() != id {
		t.Errorf("got %+v", evt.Info)
	}
	n.mustObey(t)
}

// TestStaleGroup: a client that does not know yet of a new member leaves it out; the member's phone asks for the
// message, and the client learns from the answer.
func TestStaleGroup(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	wait[*events.JoinedGroup](c, nil)
	c.sendText(jid, "before")
	n.settle(t, c)
	ctx := context.Background()
	if _, err := n.SetFault(ctx, sandbox.FaultRequest{Kind: sandbox.FaultLatency, Number: bot, Ms: 2000, Count: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := n.ChangeParticipants(ctx, sandbox.ParticipantsRequest{ID: jid.User, From: contact, Action: "add", Participants: []string{third}})
	if err != nil {
		t.Fatal(err)
	}
	id := c.sendText(jid, "who is new?").ID
	if r := wait(c, func(r *events.Receipt) bool { return r.Type == types.ReceiptTypeRetry }); r.MessageIDs[0] != id || r.Sender != n.lid(t, third) {
		t.Errorf("asked by %+v", r)
	}
	wait(c, func(r *events.Receipt) bool {
		return r.Type == types.ReceiptTypeDelivered && r.Sender == n.lid(t, third)
	})
	c.sendText(jid, "welcome")
	if got := n.messages(t, third, "received"); len(got) != 2 || got[0].ID != id || got[0].Text != "who is new?" || got[1].Text != "welcome" {
		t.Errorf("the new member got %+v", got)
	}
	n.mustObey(t)
}
