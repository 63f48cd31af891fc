package sandbox_test

import (
	"bytes"
	"context"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

// act does something to a message with a phone and returns what the client gets of it.
func (n *network) act(t *testing.T, c *client, r sandbox.ActionRequest) *events.Message {
	t.Helper()
	result, err := n.Act(context.Background(), r)
	if err != nil {
		t.Fatalf("%s: %v", r.Action, err)
	}
	return wait(c, func(m *events.Message) bool {
		return m.Info.ID == result.ID && m.Message.GetSenderKeyDistributionMessage() == nil
	})
}

// TestActions: what a contact does to messages reads in the client as if a person had done it.
func TestActions(t *testing.T) {
	n, c := startPaired(t)
	for _, room := range []types.JID{pn(contact), n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})} {
		to := bot
		if room.Server == types.GroupServer {
			to = room.String()
		}
		id := n.send(t, sandbox.SendRequest{From: contact, To: to, Text: "the rat"})
		wait(c, hasText("the rat"))
		evt := n.act(t, c, sandbox.ActionRequest{ID: id, From: contact, Action: "edit", Text: "the cat"})
		if p := evt.Message.GetProtocolMessage(); evt.Info.Edit != types.EditAttributeMessageEdit || p.GetKey().GetID() != id || p.GetEditedMessage().GetConversation() != "the cat" {
			t.Errorf("edit: %+v %v", evt.Info, evt.RawMessage)
		}
		evt = n.act(t, c, sandbox.ActionRequest{ID: id, From: contact, Action: "revoke"})
		if key := evt.Message.GetProtocolMessage().GetKey(); evt.Info.Edit != types.EditAttributeSenderRevoke || key.GetID() != id || !key.GetFromMe() {
			t.Errorf("revocation: %+v %v", evt.Info, evt.RawMessage)
		}
		own := c.sendText(room, "what do you think?").ID
		evt = n.act(t, c, sandbox.ActionRequest{ID: own, From: contact, Action: "react", Text: "👍"})
		if reaction := evt.Message.GetReactionMessage(); reaction.GetText() != "👍" || reaction.GetKey().GetID() != own || reaction.GetKey().GetFromMe() {
			t.Errorf("reaction: %v", evt.RawMessage)
		}
		poll, err := c.SendMessage(context.Background(), room, c.BuildPollCreation("Lunch?", []string{"yes", "no"}, 1))
		if err != nil {
			t.Fatal(err)
		}
		evt = n.act(t, c, sandbox.ActionRequest{ID: poll.ID, From: contact, Action: "vote", Options: []string{"yes"}})
		vote, err := c.DecryptPollVote(context.Background(), evt)
		if err != nil || len(vote.GetSelectedOptions()) != 1 || !bytes.Equal(vote.GetSelectedOptions()[0], whatsmeow.HashPollOptions([]string{"yes"})[0]) {
			t.Errorf("vote %v, %v", vote, err)
		}
		theirs := n.send(t, sandbox.SendRequest{From: contact, To: to, Message: []byte(
			`{"pollCreationMessage":{"name":"Dinner?","options":[{"optionName":"a"},{"optionName":"b"}]}}`)})
		wait(c, func(m *events.Message) bool { return m.Message.GetPollCreationMessage() != nil })
		evt = n.act(t, c, sandbox.ActionRequest{ID: theirs, From: contact, Action: "vote", Options: []string{"b"}})
		if vote, err = c.DecryptPollVote(context.Background(), evt); err != nil || len(vote.GetSelectedOptions()) != 1 {
			t.Errorf("vote in the own poll: %v, %v", vote, err)
		}
	}
	n.mustObey(t)
}

func TestActionRefusals(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	id := n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi"})
	for _, test := range []struct {
		request sandbox.ActionRequest
		kind    sandbox.Kind
	}{
		{sandbox.ActionRequest{ID: id, From: bot, Action: "x"}, sandbox.Invalid},
		{sandbox.ActionRequest{ID: "X", From: bot, Action: "react"}, sandbox.NotFound},
		{sandbox.ActionRequest{ID: id, From: third, Action: "react"}, sandbox.NotFound},
		{sandbox.ActionRequest{ID: id, From: bot, Action: "edit", Text: "x"}, sandbox.Invalid},
		{sandbox.ActionRequest{ID: id, From: bot, Action: "revoke"}, sandbox.Conflict},
		{sandbox.ActionRequest{ID: id, From: bot, Action: "vote"}, sandbox.Conflict},
	} {
		if _, err := n.Act(context.Background(), test.request); sandbox.KindOf(err) != test.kind {
			t.Errorf("%+v: %v", test.request, err)
		}
	}
}
