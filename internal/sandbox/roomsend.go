package sandbox

import (
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/libsignal/signalerror"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// ackForbidden is the <ack error> of a message to a group by somebody who may not send there.
const ackForbidden = 403

// toRoom takes a client's message to a room: the phones of those in it decrypt it, their companions get it as it is.
// What the client encrypted for single devices is its sender key or, in an answer to a retry receipt, the message
// itself (whatsmeow send.go, sendGroup; retry.go, handleRetryReceipt).
func (sub *submission) toRoom(t *batch, parts []part) {
	s, room := sub.c.s, sub.to.String()
	people, refused := sub.receivers(parts)
	sealed, whole := sub.skmsg()
	if refused == 0 && whole {
		if detail := s.reusesSenderKey(t, sub.from, room, content(sealed)); detail != "" {
			refused = ackReusedKey
			s.recordViolation(t, ViolationReusedKey, sub.sender(), fmt.Sprintf("message %s to %s: %s", str(sub.stanza, "id"), room, detail))
		}
	}
	if sub.refused = refused; refused != 0 {
		return
	}
	sub.checkIdentity(t, parts)
	direct := map[*user]map[uint16]part{}
	for _, p := range parts {
		u := s.find(p.to)
		if u == nil || p.enc.Tag != "enc" || !slices.Contains(people, u) {
			continue
		}
		if p.to.Device != 0 && u.devices[p.to.Device] == nil && p.to.Device > u.nextDevice {
			s.recordViolation(t, ViolationUnknownDevice, sub.sender(), fmt.Sprintf("message %s for %s", str(sub.stanza, "id"), p.to))
			continue
		}
		if direct[u] == nil {
			direct[u] = map[uint16]part{}
		}
		direct[u][p.to.Device] = p
	}
	for _, u := range people {
		p, ok := direct[u][0]
		if ok || whole {
			sub.roomToPhone(t, u, p, sealed)
		}
		for _, d := range u.companions() {
			p, ok := direct[u][d.id]
			if d != sub.from && (ok || whole) { // clients encrypt for themselves, too
				sub.roomToCompanion(t, d, p, sealed)
			}
		}
	}
}

// skmsg is what the client encrypted with its sender key.
func (sub *submission) skmsg() (enc node, ok bool) {
	for _, enc := range sub.stanza.GetChildrenByTag("enc") {
		if str(&enc, "type") == "skmsg" {
			return enc, true
		}
	}
	return node{}, false
}

// receivers lists who gets the message: a group's members, or those whom the client lists for its status.
func (sub *submission) receivers(parts []part) (people []*user, refused int) {
	s, own := sub.c.s, sub.from.user
	if sub.to.Server == types.GroupServer {
		g := s.world.groups[sub.to.User]
		switch {
		case g == nil:
			return nil, 404
		case !g.has(own), g.Announce && !g.isAdmin(own) && sub.retry == 0:
			return nil, ackForbidden
		}
		sub.lid = g.LID
		return s.membersOf(g), 0
	}
	people = []*user{own}
	for _, p := range parts {
		if u := s.find(p.to); u != nil && !slices.Contains(people, u) {
			people = append(people, u)
		}
	}
	return people, 0
}

// roomToPhone lets a phone take the sender key and read the message. What it cannot decrypt it asks for again.
func (sub *submission) roomToPhone(t *batch, u *user, p part, sealed node) {
	s, id := sub.c.s, str(sub.stanza, "id")
	asked := askedMessage{id: id, form: formOf(sub.lid), room: sub.to, at: sub.at, count: sub.retry + 1}
	var plain []byte
	if p.enc.Tag == "enc" {
		direct, err := s.decrypt(t, u, sub.from, str(&p.enc, "type"), content(p.enc))
		var body waE2E.Message
		if err == nil {
			err = proto.Unmarshal(direct, &body)
		}
		if distribution := body.GetSenderKeyDistributionMessage(); err == nil && distribution != nil {
			err = s.takeSenderKey(t, u, sub.to.String(), sub.from, distribution.GetAxolotlSenderKeyDistributionMessage())
		}
		if sub.blame(t, u, err, asked) {
			return
		}
		plain = direct
	}
	if sealed.Tag == "enc" {
		var err error
		plain, err = s.unseal(t, u, sub.to.String(), sub.from, content(sealed))
		if errors.Is(err, errNoSenderKey) { // the client does not know yet that this phone is here
			s.askAgain(t, u, sub.from, asked)
			return
		}
		if sub.blame(t, u, err, asked) {
			return
		}
	}
	sub.read(t, u, plain)
}

// blame records what made a phone fail, and returns whether anything did. A message key that was used before is
// refused; anything else the phone asks for again.
func (sub *submission) blame(t *batch, u *user, err error, asked askedMessage) bool {
	s := sub.c.s
	switch {
	case err == nil:
		return false
	case errors.Is(err, signalerror.ErrOldCounter):
		sub.refused = ackReusedKey
		s.recordViolation(t, ViolationReusedKey, sub.sender(), fmt.Sprintf("message %s to %s: %v", asked.id, u.number, err))
	default:
		s.recordViolation(t, ViolationUndecryptable, sub.sender(), fmt.Sprintf("message %s to %s: %v", asked.id, u.number, err))
		s.askAgain(t, u, sub.from, asked)
	}
	return true
}

// read notes that a phone could read the message.
func (sub *submission) read(t *batch, u *user, plain []byte) {
	own := sub.from.user
	if sub.message == nil {
		sub.message = &message{
			ID: str(sub.stanza, "id"), From: own.number, FromDevice: sub.from.id, To: sub.to.String(), At: sub.at, LID: sub.lid, Body: plain,
		}
	}
	if u != own {
		sub.readBy = append(sub.readBy, u)
		return
	}
	sub.c.s.enqueue(t, sub.from, own.number, node{Tag: "receipt", Attrs: attrs{
		"from": sub.to, "participant": own.as(formOf(sub.lid), 0), "id": sub.message.ID, "t": unix(sub.at), "type": "sender",
	}})
}

// roomToCompanion queues the message for another real client, with what was encrypted for it alone first.
func (sub *submission) roomToCompanion(t *batch, d *device, p part, sealed node) {
	s := sub.c.s
	var children []node
	if p.enc.Tag == "enc" {
		if detail := d.reusesKey(sub.from, p.enc); detail != "" {
			sub.refused = ackReusedKey
			s.recordViolation(t, ViolationReusedKey, sub.sender(), fmt.Sprintf("message %s to %s: %s", str(sub.stanza, "id"), p.to, detail))
			return
		}
		children = append(children, p.enc)
	}
	if sealed.Tag == "enc" {
		children = append(children, sealed)
	}
	for _, child := range sub.stanza.GetChildren() {
		if child.Tag == "meta" || child.Tag == "biz" || child.Tag == "device-identity" && str(&p.enc, "type") == "pkmsg" {
			children = append(children, child)
		}
	}
	m := &message{From: sub.from.user.number, FromDevice: sub.from.id, LID: sub.lid}
	n := node{Tag: "message", Attrs: attrs{
		"id": str(sub.stanza, "id"), "type": sub.stanza.Attrs["type"], "t": unix(sub.at), "notify": sub.from.user.name,
	}, Content: children}
	s.addressInRoom(n.Attrs, sub.to, m)
	if edit := str(sub.stanza, "edit"); edit != "" {
		n.Attrs["edit"] = edit
	}
	s.enqueue(t, d, sub.from.user.number, n)
}

// staleMembers returns the hash of the right device list of a group if the client's was another, or "".
func (sub *submission) staleMembers() string {
	g := sub.c.s.world.groups[sub.to.User]
	claimed := str(sub.stanza, "phash")
	if g == nil || claimed == "" {
		return ""
	}
	var right []types.JID
	for _, u := range sub.c.s.membersOf(g) {
		right = append(right, u.jids(g.form())...)
	}
	if hash := listHash(right); hash != claimed {
		return hash
	}
	return ""
}
