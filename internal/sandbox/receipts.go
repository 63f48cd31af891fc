package sandbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// handleAck takes a client's confirmation of a stanza.
func (c *conn) handleAck(n *node) {
	if c.device == nil {
		return
	}
	c.s.update(func(t *batch) {
		id := str(n, "id")
		if str(n, "class") == "message" && c.echoes[id] > 0 {
			c.echoes[id]--
			return
		}
		c.s.confirm(t, c.device, str(n, "class"), id, str(n, "type"), "ack")
	})
}

// handleReceipt takes a client's receipt: it confirms message stanzas, and tells the sender what happened to them.
func (c *conn) handleReceipt(n *node) {
	kind := str(n, "type")
	ids := []string{str(n, "id")}
	list := n.GetChildByTag("list")
	for _, item := range list.GetChildrenByTag("item") {
		ids = append(ids, str(&item, "id"))
	}
	c.s.update(func(t *batch) {
		switch kind {
		case "", "inactive", "sender", "peer_msg":
			for _, id := range ids {
				c.s.confirm(t, c.device, "message", id, "", "receipt")
			}
		case "retry":
			// The client acks the stanza as well (whatsmeow message.go, decryptMessages).
			// That must not confirm what is sent again, under the same ID.
			if c.s.confirm(t, c.device, "message", ids[0], "", "retry") {
				if c.echoes == nil {
					c.echoes = map[string]int{}
				}
				c.echoes[ids[0]]++
			}
			c.s.resend(t, c.device, n)
		case "server-error":
			c.s.mediaRetry(t, c.device, n)
		}
		if slices.Contains([]string{"", "inactive", "read", "read-self", "played", "played-self"}, kind) {
			if to := jid(n, "to"); isRoom(to) {
				c.s.passOnInRoom(t, c.device, n, kind, ids)
			} else {
				c.s.passOn(t, c.device, to, kind, ids)
			}
		}
		answer := node{Tag: "ack", Attrs: attrs{"class": "receipt", "id": ids[0], "from": n.Attrs["to"], "type": kind}}
		if participant, ok := n.Attrs["participant"]; ok {
			answer.Attrs["participant"] = participant
		}
		t.then(func() { c.send(answer) })
	})
}

// passOn tells the sender of messages, and the receiver's other companions, what a companion did with them.
func (s *Server) passOn(t *batch, d *device, to types.JID, kind string, ids []string) {
	sender := s.find(to)
	if sender == nil || sender == d.user {
		return
	}
	self := kind == "read-self" || kind == "played-self"
	at := now()
	for _, id := range ids {
		if m := sender.sentByID[id]; m != nil && !self {
			s.addReceipt(t, m, receiptName(kind), d.user.pn(d.id), at)
		}
	}
	n := node{Tag: "receipt", Attrs: attrs{"from": d.user.as(to, d.id), "id": ids[0], "t": unix(at), "type": kind}}
	n.Content = furtherIDs(ids)
	if !self {
		for _, other := range sender.companions() {
			s.enqueue(t, other, d.user.number, n)
		}
	}
	if kind == "" || kind == "inactive" {
		return
	}
	n.Attrs = attrs{"from": d.user.as(to, d.id), "id": ids[0], "t": unix(at), "type": kind, "recipient": sender.as(to, 0)}
	for _, other := range d.user.companions() {
		if other != d {
			s.enqueue(t, other, d.user.number, n)
		}
	}
}

// receiptName is what people call a receipt's type: on the wire, "delivered" is no type at all.
func receiptName(kind string) string {
	if kind == "" {
		return "delivered"
	}
	return kind
}

func (s *Server) addReceipt(t *batch, m *message, kind string, by types.JID, at time.Time) {
	m.Receipts = append(m.Receipts, Receipt{Type: kind, Device: by.String(), At: at.UTC()})
	s.saveMessage(t, m)
}

// phoneReceipt lets a phone say what happened to a message that it received. kind is delivered, read or played.
func (s *Server) phoneReceipt(t *batch, phone *user, m *message, kind string) {
	sender := s.world.users[m.From]
	at := now()
	s.addReceipt(t, m, kind, phone.pn(0), at)
	var like types.JID
	if m.LID {
		like.Server = types.HiddenUserServer
	}
	n := inRoom(node{Tag: "receipt", Attrs: attrs{"from": phone.as(like, 0), "id": m.ID, "t": unix(at)}}, m.room())
	if kind != "delivered" {
		n.Attrs["type"] = kind
	}
	for _, d := range sender.companions() {
		s.enqueue(t, d, phone.number, n)
	}
}

// askedMessage names a message that a phone asks for again.
type askedMessage struct {
	id    string
	form  types.JID // how the phone was addressed
	room  types.JID // where, if it was not sent to the phone alone
	at    time.Time
	count int // 1 for the first time; from the second on the phone sends new keys along
}

// askAgain sends a phone's retry receipt to the companion that sent a message (whatsmeow retry.go,
// handleRetryReceipt).
func (s *Server) askAgain(t *batch, phone *user, to *device, asked askedMessage) {
	if asked.count >= 5 { // as clients do
		return
	}
	children := []node{
		{Tag: "retry", Attrs: attrs{"count": asked.count, "id": asked.id, "t": unix(asked.at), "v": 1}},
		{Tag: "registration", Content: binary.BigEndian.AppendUint32(nil, phone.registrationID)},
	}
	if asked.count > 1 {
		signed := publicKey{ID: phone.signedPreKey.KeyID, Key: *phone.signedPreKey.Pub, Signature: phone.signedPreKey.Signature[:]}
		children = append(children, node{Tag: "keys", Content: keyNodes(phone.registrationID, *phone.identity.Pub, signed, s.takePhoneOne(t, phone))[1:]})
	}
	n := inRoom(node{Tag: "receipt", Attrs: attrs{
		"from": phone.as(asked.form, 0), "id": asked.id, "t": unix(now()), "type": "retry",
	}, Content: children}, asked.room)
	s.enqueue(t, to, phone.number, n)
}

// resend answers a companion's retry receipt: the sender's phone encrypts the message again, in a new session if the
// receipt brings keys. A receipt for another companion's message is passed on to that companion.
func (s *Server) resend(t *batch, d *device, n *node) {
	to, room := jid(n, "to"), types.EmptyJID
	if isRoom(to) {
		to, room = jid(n, "participant"), to
	}
	sender := s.find(to)
	retry := n.GetChildByTag("retry")
	id, count := str(&retry, "id"), number(&retry, "count")
	if sender == nil || id == "" {
		return
	}
	if to.Device != 0 {
		if other := sender.devices[to.Device]; other != nil {
			forwarded := inRoom(node{Tag: "receipt", Attrs: attrs{
				"from": d.user.as(to, d.id), "id": id, "t": unix(now()), "type": "retry",
			}, Content: n.Content}, room)
			if recipient := jid(n, "recipient"); !recipient.IsEmpty() {
				forwarded.Attrs["recipient"] = recipient
			}
			s.enqueue(t, other, d.user.number, forwarded)
		}
		return
	}
	m := sender.sentByID[id]
	if m == nil {
		s.log.Warn("A client asks for a message that its sender does not have", "id", id, "number", sender.number)
		return
	}
	if keys, ok := n.GetOptionalChildByTag("keys"); ok {
		if err := s.newSession(t, sender, d, n, keys); err != nil {
			s.recordViolation(t, ViolationBadSignature, d.user.pn(d.id).String(), fmt.Sprintf("retry receipt for %s: %v", id, err))
			return
		}
	}
	if err := s.sendAgain(t, m, d, count); err != nil {
		s.log.Error("A message could not be sent again", "id", id, "error", err)
	}
}

// newSession opens a session with the keys that a retry receipt brings.
func (s *Server) newSession(t *batch, phone *user, d *device, receipt *node, keys node) error {
	signed, ok := parseKey(keys.GetChildByTag("skey"))
	identity := content(keys.GetChildByTag("identity"))
	if !ok || len(identity) != 32 || [32]byte(identity) != d.identity {
		return fmt.Errorf("its keys are not the device's")
	}
	var one *publicKey
	if k, ok := parseKey(keys.GetChildByTag("key")); ok {
		one = &k
	}
	registrationID := d.registrationID
	if raw := content(receipt.GetChildByTag("registration")); len(raw) == 4 {
		registrationID = binary.BigEndian.Uint32(raw)
	}
	builder, _ := s.session(t, phone, d)
	return builder.ProcessBundle(context.Background(), bundle(registrationID, uint32(d.id), d.identity, signed, one))
}

func (s *Server) sendAgain(t *batch, m *message, d *device, count int) error {
	var body waE2E.Message
	if err := proto.Unmarshal(m.Body, &body); err != nil {
		return err
	}
	plain := m.Body
	if !m.room().IsEmpty() {
		var err error
		if plain, err = s.withSenderKey(t, m, d, &body); err != nil {
			return err
		}
	} else if d.user.number == m.From {
		var err error
		if plain, err = ownCopy(m, s.world.users[m.To], &body); err != nil {
			return err
		}
	}
	return s.sendTo(t, m, d, shapeOf(&body), plain, max(count, 1))
}

// furtherIDs is the content of a receipt for several messages, the first of which it names itself.
func furtherIDs(ids []string) any {
	if len(ids) < 2 {
		return nil
	}
	items := make([]node, len(ids)-1)
	for i, id := range ids[1:] {
		items[i] = node{Tag: "item", Attrs: attrs{"id": id}}
	}
	return []node{{Tag: "list", Content: items}}
}
