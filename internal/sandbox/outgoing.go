package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// The <ack error> codes with which the server refuses an outgoing message.
const (
	ackMalformed   = 400
	ackUnsupported = 405
	ackReusedKey   = 479
)

// submission is a message stanza that a client sends, while it is taken apart.
type submission struct {
	c       *conn
	from    *device
	stanza  *node
	to      types.JID
	at      time.Time
	retry   int         // which answer to a retry receipt it is; 0: the first sending
	refused int         // <ack error>, if a part cannot be taken
	lid     bool        // the receivers of a room are addressed by LID
	message *message    // what a phone could read
	readBy  []*user     // receivers whose phones could
	reached []types.JID // devices it was addressed to
}

// handleMessage takes a message from a client: what it encrypted for phones is decrypted and kept, what it encrypted
// for companions is queued for them, and the client gets its <ack> when all that is durable. The same stanza again,
// as clients send it after a lost connection, is acknowledged and dropped.
func (c *conn) handleMessage(n *node) {
	c.s.update(func(t *batch) {
		sub := &submission{c: c, from: c.device, stanza: n, to: jid(n, "to"), at: now()}
		parts, direct := sub.parts()
		sub.retry = direct
		key := fmt.Sprintf("%s/%s/%d", str(n, "id"), sub.to, direct)
		if participant := jid(n, "participant"); !participant.IsEmpty() { // of several that asked again
			key += "/" + participant.String()
		}
		if first, ok := c.device.user.seen[key]; ok {
			sub.at = first
			sub.ack(t)
			return
		}
		if code := c.s.faults.refuseMessage(c.device.user.number); code != 0 {
			sub.refused = code
			sub.ack(t)
			return
		}
		if !isRoom(sub.to) && !slices.Contains([]string{types.DefaultUserServer, types.HiddenUserServer}, sub.to.Server) {
			sub.refused = ackUnsupported
			sub.ack(t)
			return
		}
		if str(n, "id") == "" || len(parts) == 0 {
			sub.refused = ackMalformed
			c.s.recordViolation(t, ViolationMalformed, sub.sender(), "a message without id or without anything encrypted in it")
			sub.ack(t)
			return
		}
		if isRoom(sub.to) {
			sub.toRoom(t, parts)
			sub.done(t, key)
			return
		}
		sub.checkIdentity(t, parts)
		for _, p := range parts {
			sub.take(t, p)
		}
		sub.done(t, key)
	})
}

// done keeps and acknowledges what was taken.
func (sub *submission) done(t *batch, key string) {
	if sub.refused == 0 {
		sub.c.s.remember(t, sub.from.user, key, sub.at)
	}
	sub.keep(t)
	sub.ack(t)
}

func (sub *submission) sender() string { return sub.from.user.pn(sub.from.id).String() }

// part is what a submission holds for one device.
type part struct {
	to  types.JID
	enc node
}

// parts lists what is encrypted for whom. An answer to a retry receipt and a word to the own phone hold one part
// directly; count is its retry count.
func (sub *submission) parts() (out []part, count int) {
	if participants, ok := sub.stanza.GetOptionalChildByTag("participants"); ok {
		for _, p := range participants.GetChildrenByTag("to") {
			enc, ok := p.GetOptionalChildByTag("enc")
			if !ok {
				continue
			}
			// whatsmeow lists the own devices twice in a message to oneself; what it encrypted last is its session
			to := jid(&p, "jid")
			out = slices.DeleteFunc(out, func(earlier part) bool { return earlier.to == to })
			out = append(out, part{to, enc})
		}
		if len(out) == 0 { // for a number that nobody has: the client found no devices
			out = append(out, part{to: sub.to})
		}
		return out, 0
	}
	enc, ok := sub.stanza.GetOptionalChildByTag("enc")
	if !ok {
		return nil, 0
	}
	to := sub.to
	if participant := jid(sub.stanza, "participant"); !participant.IsEmpty() {
		to = participant
	}
	return []part{{to, enc}}, number(&enc, "count")
}

// checkIdentity holds the sender to the rule that a message opening a session carries the sender's signed identity.
func (sub *submission) checkIdentity(t *batch, parts []part) {
	opens := slices.ContainsFunc(parts, func(p part) bool { return str(&p.enc, "type") == "pkmsg" })
	if !opens {
		return
	}
	d := sub.from
	var signed waAdv.ADVSignedDeviceIdentity
	raw := content(sub.stanza.GetChildByTag("device-identity"))
	details := signed.GetDetails
	switch err := proto.Unmarshal(raw, &signed); {
	case err != nil || len(raw) == 0:
		sub.c.s.recordViolation(t, ViolationBadSignature, sub.sender(), "a message that opens a session has no device-identity")
	case !verify(*d.user.identity.Pub, slices.Concat(whatsmeow.AdvAccountSignaturePrefix, details(), d.identity[:]), signed.GetAccountSignature()),
		!verify(d.identity, slices.Concat(whatsmeow.AdvDeviceSignaturePrefix, details(), d.identity[:], d.user.identity.Pub[:]), signed.GetDeviceSignature()):
		sub.c.s.recordViolation(t, ViolationBadSignature, sub.sender(), "the device-identity of a message has a wrong signature")
	}
}

// take delivers one part.
func (sub *submission) take(t *batch, p part) {
	u := sub.c.s.find(p.to)
	if u == nil {
		return
	}
	if p.enc.Tag != "enc" {
		return
	}
	sub.reached = append(sub.reached, p.to)
	if p.to.Device == 0 {
		sub.toPhone(t, u, p)
		return
	}
	d := u.devices[p.to.Device]
	if d == nil && p.to.Device <= u.nextDevice {
		return // it was unlinked a moment ago: the client will learn from the answer
	}
	if d == nil || d == sub.from {
		sub.c.s.recordViolation(t, ViolationUnknownDevice, sub.sender(), fmt.Sprintf("message %s for %s", str(sub.stanza, "id"), p.to))
		return
	}
	sub.toCompanion(t, d, p)
}

// toPhone lets a phone decrypt its part. What it cannot decrypt it asks for again, as the original does; a message
// key that was used before is refused.
func (sub *submission) toPhone(t *batch, u *user, p part) {
	s := sub.c.s
	plain, err := s.decrypt(t, u, sub.from, str(&p.enc, "type"), content(p.enc))
	var body waE2E.Message
	if err == nil {
		err = proto.Unmarshal(plain, &body)
	}
	id := str(sub.stanza, "id")
	switch {
	case errors.Is(err, signalerror.ErrOldCounter):
		sub.refused = ackReusedKey
		s.recordViolation(t, ViolationReusedKey, sub.sender(), fmt.Sprintf("message %s to %s: %v", id, p.to, err))
		return
	case err != nil:
		s.recordViolation(t, ViolationUndecryptable, sub.sender(), fmt.Sprintf("message %s to %s: %v", id, p.to, err))
		s.askAgain(t, u, sub.from, askedMessage{id: id, form: p.to, at: sub.at, count: sub.retry + 1})
		return
	}
	to := s.find(sub.to)
	if to == nil {
		to = u
	}
	if sub.message == nil {
		sub.message = &message{
			ID: id, From: sub.from.user.number, FromDevice: sub.from.id, To: to.number, At: sub.at,
			LID: sub.to.Server == types.HiddenUserServer, Peer: str(sub.stanza, "category") == "peer",
		}
	}
	if sub.message.Peer {
		s.peerRequest(t, sub.from, id, &body)
	}
	if u != sub.from.user {
		sub.message.Body = plain
		sub.readBy = append(sub.readBy, u)
		return
	}
	if inner := body.GetDeviceSentMessage().GetMessage(); inner != nil && sub.message.Body == nil {
		if raw, err := proto.Marshal(inner); err == nil {
			sub.message.Body = raw
		}
	} else if sub.message.Body == nil {
		sub.message.Body = plain
	}
	if to == u {
		sub.readBy = append(sub.readBy, u)
	}
	sub.ownPhoneReceipt(t, u, to)
}

// ownPhoneReceipt is how the sender's own phone confirms its copy.
func (sub *submission) ownPhoneReceipt(t *batch, u, chat *user) {
	kind := "sender"
	n := node{Tag: "receipt", Attrs: attrs{
		"from": u.as(sub.to, 0), "id": str(sub.stanza, "id"), "t": unix(sub.at),
	}}
	if sub.message.Peer {
		kind = "peer_msg"
	} else {
		n.Attrs["recipient"] = chat.as(sub.to, 0)
	}
	n.Attrs["type"] = kind
	sub.c.s.enqueue(t, sub.from, u.number, n)
}

// toCompanion queues a part, as it is, for another real client.
func (sub *submission) toCompanion(t *batch, d *device, p part) {
	s, u := sub.c.s, sub.from.user
	if detail := d.reusesKey(sub.from, p.enc); detail != "" {
		sub.refused = ackReusedKey
		s.recordViolation(t, ViolationReusedKey, sub.sender(), fmt.Sprintf("message %s to %s: %s", str(sub.stanza, "id"), p.to, detail))
		return
	}
	m := &message{
		ID: str(sub.stanza, "id"), From: u.number, FromDevice: sub.from.id, At: sub.at,
		LID: p.to.Server == types.HiddenUserServer,
	}
	n := node{Tag: "message", Attrs: attrs{"id": m.ID, "type": sub.stanza.Attrs["type"], "t": unix(m.At), "notify": u.name}}
	if to := s.find(sub.to); to != nil {
		m.To = to.number
		s.address(n.Attrs, m, d.user)
	} else {
		n.Attrs["from"], n.Attrs["recipient"] = u.as(p.to, sub.from.id), sub.to
	}
	if edit := str(sub.stanza, "edit"); edit != "" {
		n.Attrs["edit"] = edit
	}
	children := []node{p.enc}
	for _, child := range sub.stanza.GetChildren() {
		if child.Tag == "meta" || child.Tag == "biz" || child.Tag == "device-identity" && str(&p.enc, "type") == "pkmsg" {
			children = append(children, child)
		}
	}
	n.Content = children
	s.enqueue(t, d, u.number, n)
}

// keep notes the message with the phones that read it, and lets them say so.
func (sub *submission) keep(t *batch) {
	m, s := sub.message, sub.c.s
	if m == nil || m.Body == nil || sub.refused != 0 {
		return
	}
	if known := sub.from.user.sentByID[m.ID]; known != nil { // an answer to a retry receipt
		m = known
	}
	s.keepSent(t, sub.from.user, m)
	for _, u := range sub.readBy {
		kept := s.keepReceived(t, u, m)
		if u != sub.from.user {
			s.phoneReceipt(t, u, kept, "delivered")
		}
	}
}

// ack answers the client once the message is durable. If the client's idea of the devices is out of date, the answer
// carries the hash of the right list, at which the client forgets its own (whatsmeow send.go, SendMessage).
func (sub *submission) ack(t *batch) {
	n := node{Tag: "ack", Attrs: attrs{"class": "message", "id": str(sub.stanza, "id"), "from": sub.to, "t": unix(sub.at)}}
	if sub.refused != 0 {
		n.Attrs["error"] = sub.refused
	} else if hash := sub.staleDevices(); hash != "" {
		n.Attrs["phash"] = hash
	}
	if sub.c.s.faults.swallowAck(sub.from.user.number) {
		return
	}
	t.then(func() { sub.c.send(n) })
}

// remember notes that an outgoing stanza was handled.
func (s *Server) remember(t *batch, u *user, key string, at time.Time) {
	const limit = 10_000
	u.seen[key] = at
	u.seenOrder = append(u.seenOrder, key)
	t.put(tableSeen, u.number+"/"+key, func() []byte { return []byte(unix(at)) })
	if len(u.seenOrder) > limit {
		t.drop(tableSeen, u.number+"/"+u.seenOrder[0])
		delete(u.seen, u.seenOrder[0])
		u.seenOrder = u.seenOrder[1:]
	}
}
