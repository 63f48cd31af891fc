package sandbox

import (
	"testing"

	"go.mau.fi/whatsmeow/types"
)

// TestMalformedRoomStanzas: what makes no sense is answered or noted, and breaks nothing.
func TestMalformedRoomStanzas(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	c := &conn{s: s, ready: make(chan struct{}, 1)}
	var g *group
	s.update(func(b *batch) {
		owner := s.ensureUser(b, "5511900000001")
		c.device = newDevice(owner, 1)
		owner.devices[1] = c.device
		g, _ = s.createGroup(b, owner, newGroup{subject: "Team", participants: []*user{s.ensureUser(b, "5511900000002")}})
	})
	iq := func(to types.JID, kind string, content ...node) node {
		return node{Tag: "iq", Attrs: attrs{"id": "1", "xmlns": "w:g2", "type": kind, "to": to}, Content: content}
	}
	empty := []node{{Tag: "participant"}}
	stanzas := []node{
		iq(types.GroupServerJID, "get"), iq(types.GroupServerJID, "set"), iq(types.GroupServerJID, "set", node{Tag: "create"}),
		iq(types.GroupServerJID, "set", node{Tag: "leave", Content: []node{{Tag: "group"}}}), iq(types.GroupServerJID, "get", node{Tag: "invite"}),
		iq(types.EmptyJID, "get", node{Tag: "query"}), iq(types.NewJID("1", types.GroupServer), "get", node{Tag: "query"}),
		{Tag: "iq", Attrs: attrs{"id": "1", "xmlns": "w:profile:picture", "type": "set", "target": types.NewJID("1", types.GroupServer)}},
		{Tag: "iq", Attrs: attrs{"id": "1", "xmlns": "w:profile:picture", "type": "set", "target": g.jid()}},
		{Tag: "message", Attrs: attrs{"id": "M1", "to": g.jid()}},
		{Tag: "message", Attrs: attrs{"id": "M2", "to": g.jid()}, Content: []node{{Tag: "enc"}}},
		{Tag: "message", Attrs: attrs{"id": "M3", "to": g.jid()}, Content: []node{
			{Tag: "participants", Content: []node{{Tag: "to", Content: []node{{Tag: "enc"}}}}}, {Tag: "enc", Attrs: attrs{"type": "skmsg"}, Content: []byte{1}},
		}},
		{Tag: "message", Attrs: attrs{"id": "M4", "to": types.StatusBroadcastJID}, Content: []node{{Tag: "enc", Attrs: attrs{"type": "skmsg"}}}},
		{Tag: "receipt", Attrs: attrs{"id": "M1", "to": g.jid()}}, {Tag: "receipt", Attrs: attrs{"id": "M1", "to": g.jid(), "type": "retry"}},
		{Tag: "receipt", Attrs: attrs{"id": "M1", "to": g.jid(), "type": "read", "participant": types.NewJID("2", types.DefaultUserServer)}},
		{Tag: "call"}, {Tag: "call", Attrs: attrs{"id": "1"}, Content: []node{{Tag: "reject"}}}, {Tag: "call", Attrs: attrs{"id": "1"}, Content: []node{{Tag: "offer"}}},
		{Tag: "presence"}, {Tag: "presence", Attrs: attrs{"type": "subscribe"}}, {Tag: "presence", Attrs: attrs{"type": "unsubscribe"}},
		{Tag: "chatstate"}, {Tag: "chatstate", Attrs: attrs{"to": types.NewJID("1", types.GroupServer)}},
	}
	for _, tag := range []string{
		"add", "remove", "promote", "demote", "subject", "description", "ephemeral", "member_add_mode", "membership_approval_mode",
		"membership_requests_action", "accept", "invite", "links", "nonsense",
	} {
		stanzas = append(stanzas, iq(g.jid(), "set", node{Tag: tag}), iq(g.jid(), "set", node{Tag: tag, Content: empty}), iq(g.jid(), "get", node{Tag: tag}))
	}
	for _, n := range stanzas {
		if n.Attrs == nil {
			n.Attrs = attrs{}
		}
		c.out = nil
		c.handle(&n) // a panic fails the test
		if len(c.out) == 0 && n.Tag != "presence" && n.Tag != "chatstate" {
			t.Errorf("nothing answers %s", n.XMLString())
		}
	}
	if len(g.Members) != 2 || g.Subject != "Team" {
		t.Errorf("the group is %+v now", g)
	}
}
