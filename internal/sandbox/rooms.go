package sandbox

import (
	"fmt"
	"strings"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// A room is a chat whose messages go to several people and say who wrote them: a group, or the status broadcast. A
// channel is one too, as far as the sandbox knows channels. The receiver of a message to a room is the room's JID.

// parseRoom reads the JID of a room; ok is false for anything else.
func parseRoom(text string) (room types.JID, ok bool) {
	name, server, _ := strings.Cut(strings.TrimSpace(text), "@")
	room = types.NewJID(name, server)
	return room, name != "" && (isRoom(room) || server == types.NewsletterServer)
}

// isRoom says whether a JID is that of a group or the status broadcast, whose messages are encrypted by sender keys.
func isRoom(j types.JID) bool {
	return j.Server == types.GroupServer && j.User != "" || j == types.StatusBroadcastJID
}

// normalizeReceiver is normalizeNumber for what may be a room.
func normalizeReceiver(text string) string {
	if room, ok := parseRoom(text); ok {
		return room.String()
	}
	return normalizeNumber(text)
}

// checkReceiver says whether a message can be for this.
func checkReceiver(field, to string) error {
	if _, ok := parseRoom(to); ok {
		return nil
	}
	return checkNumber(field, to)
}

// room is the room that a message was sent to, or an empty JID.
func (m *message) room() types.JID {
	if room, ok := parseRoom(m.To); ok {
		return room
	}
	return types.EmptyJID
}

// audience lists those who get what somebody sends to a room, the sender among them. named narrows a status or a
// channel down.
func (s *Server) audience(room types.JID, from *user, named []string) ([]*user, error) {
	if room.Server == types.GroupServer {
		g := s.world.groups[room.User]
		switch {
		case g == nil:
			return nil, errorf(NotFound, "There is no group %s: POST /sandbox/groups makes one", room)
		case !g.has(from):
			return nil, errorf(Conflict, "%s is not in this group", from.number)
		case g.Announce && !g.isAdmin(from):
			return nil, errorf(Conflict, "Only admins may send to this group, and %s is not one", from.number)
		case len(named) > 0:
			return nil, errorf(Invalid, "\"audience\" is for statuses and channels: a group's members all get its messages")
		}
		return s.membersOf(g), nil
	}
	out := []*user{from}
	if len(named) > 0 {
		for _, number := range named {
			u, err := s.known(number)
			if err != nil {
				return nil, err
			}
			if u != from {
				out = append(out, u)
			}
		}
		return out, nil
	}
	for _, number := range sortedKeys(s.world.users) {
		if u := s.world.users[number]; u != from && len(u.devices) > 0 {
			out = append(out, u)
		}
	}
	return out, nil
}

// deliverToRoom hands a phone's message to everybody in a room: encrypted once, with the phone's sender key, and with
// the key itself in the same stanza for the devices that do not have it.
func (s *Server) deliverToRoom(t *batch, m *message, body *waE2E.Message, named []string) error {
	room, from := m.room(), s.world.users[m.From]
	people, err := s.audience(room, from, named)
	if err != nil {
		return err
	}
	if room.Server == types.NewsletterServer {
		return s.deliverToChannel(t, m, body, people)
	}
	if g := s.world.groups[room.User]; g != nil {
		m.LID = g.LID
	}
	key, distribution, err := s.ownKeyFor(t, from, room.String())
	if err != nil {
		return err
	}
	distributed, err := proto.Marshal(distribution)
	if err != nil {
		return fmt.Errorf("encoding a sender key: %w", err)
	}
	sealed, err := key.seal(m.Body)
	if err != nil {
		return err
	}
	shape := shapeOf(body)
	for _, u := range people {
		for _, d := range u.companions() {
			var children []node
			if !key.given[d.address()] {
				kind, direct, err := s.encrypt(t, from, d, distributed)
				if err != nil {
					return err
				}
				key.given[d.address()] = true
				children = append(children, node{Tag: "enc", Attrs: attrs{"v": "2", "type": kind}, Content: direct})
			}
			n := s.messageNode(m, shape, d.user)
			n.Content = append(children, shape.enc("skmsg", sealed))
			s.enqueue(t, d, from.number, n)
		}
	}
	s.keepSent(t, from, m)
	for _, u := range people {
		if u != from {
			s.keepReceived(t, u, m)
			s.phoneReceipt(t, u, m, "delivered")
		}
	}
	return nil
}

// enc is the part of a stanza that holds a message encrypted.
func (s shape) enc(kind string, sealed []byte) node {
	n := node{Tag: "enc", Attrs: attrs{"v": "2", "type": kind}, Content: sealed}
	if s.media != "" {
		n.Attrs["mediatype"] = s.media
	}
	if s.hide {
		n.Attrs["decrypt-fail"] = "hide"
	}
	return n
}

// messageNode is a message's stanza without what is inside.
func (s *Server) messageNode(m *message, shape shape, owner *user) node {
	n := node{Tag: "message", Attrs: attrs{"id": m.ID, "type": shape.kind, "t": unix(m.At), "notify": s.world.users[m.From].name}}
	if shape.edit != "" {
		n.Attrs["edit"] = shape.edit
	}
	s.address(n.Attrs, m, owner)
	return n
}

// addressInRoom writes who a message in a room is from (whatsmeow message.go, parseMessageSource).
func (s *Server) addressInRoom(a attrs, room types.JID, m *message) {
	from := s.world.users[m.From]
	a["from"], a["participant"] = room, from.as(m.form(), m.FromDevice)
	suffix, other := from.alternative(m.form())
	a["participant_"+suffix] = other
	a["addressing_mode"] = "pn"
	if m.LID {
		a["addressing_mode"] = "lid"
	}
}

// withSenderKey puts a phone's sender key into a message that it encrypts again for one device, and notes that the
// device has it.
func (s *Server) withSenderKey(t *batch, m *message, d *device, body *waE2E.Message) ([]byte, error) {
	key, distribution, err := s.ownKeyFor(t, s.world.users[m.From], m.To)
	if err != nil {
		return nil, err
	}
	key.given[d.address()] = true
	body.SenderKeyDistributionMessage = distribution.GetSenderKeyDistributionMessage()
	return proto.Marshal(body)
}

// deliverToChannel hands a message to the followers of a channel, which is not encrypted.
func (s *Server) deliverToChannel(t *batch, m *message, body *waE2E.Message, people []*user) error {
	shape := shapeOf(body)
	plain := node{Tag: "plaintext", Attrs: attrs{}, Content: m.Body}
	if shape.media != "" {
		plain.Attrs["mediatype"] = shape.media
	}
	from := s.world.users[m.From]
	s.keepSent(t, from, m)
	for _, u := range people {
		for _, d := range u.companions() {
			s.enqueue(t, d, from.number, node{Tag: "message", Attrs: attrs{
				"from": m.room(), "id": m.ID, "type": shape.kind, "t": unix(m.At), "server_id": 100 + int(m.Seq%1_000_000_000),
			}, Content: []node{plain}})
		}
		if u != from {
			s.keepReceived(t, u, m)
		}
	}
	return nil
}
