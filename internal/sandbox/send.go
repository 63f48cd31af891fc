package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"crypto/rand"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// SendRequest lets a phone send a message. Give Text or Message.
type SendRequest struct {
	From string `json:"from"` // number of the sender's phone; made if it is new
	To   string `json:"to"`   // number of the receiver, made if it is new; or the JID of a group, a channel or the status broadcast
	Text string `json:"text,omitempty"`
	// Message is a waE2E.Message as protobuf's JSON, for example {"imageMessage":{…}}.
	Message json.RawMessage `json:"message,omitempty"`
	// ID of the message; one is made if empty. With Count, the ids get "-1", "-2" and so on.
	ID string `json:"id,omitempty"`
	// PushName that the sender has from now on.
	PushName string `json:"pushName,omitempty"`
	// Addressing is the form of the stanza's sender: "pn" (the default) by number with the LID beside it, "lid" the
	// other way round. A group has a form of its own, so that this makes no difference there.
	Addressing string `json:"addressing,omitempty"`
	// Audience narrows down who gets a status or a channel's message; empty: every account.
	Audience []string `json:"audience,omitempty"`
	// Unreadable keeps the receiver's companions from reading the message: "damaged" ones cannot be decrypted until they
	// are asked for again, "view_once" ones are for the phone alone, "malformed" ones are what an attacker sends: they
	// name keys that have no bytes. Not for rooms.
	Unreadable string `json:"unreadable,omitempty"`
	// Count sends so many messages, the texts numbered from 1. 0 and 1 send one, unnumbered. At most 100,000.
	Count int `json:"count,omitempty"`
}

// SendResult names the messages sent.
type SendResult struct {
	ID  string    `json:"id"`            // of the first
	IDs []string  `json:"ids,omitempty"` // of all, if Count was above 1
	At  time.Time `json:"at,omitzero"`   // when the phone sent the first, before it encrypted it; of SendMessage only
}

// What SendRequest.Unreadable can be.
const (
	unreadableDamaged   = "damaged"
	unreadableOnce      = "view_once"
	unreadableMalformed = "malformed"
)

const (
	maxCount  = 100_000
	sendChunk = 128 // messages encrypted before others get their turn
)

// SendMessage lets a phone send a message: to all companions of the receiver, to the sender's own companions as a
// message from themselves, and to the receiver's phone. It returns when the stanzas are kept; whether they are on the
// wire depends on the companions' connections. Errors: Invalid.
func (s *Server) SendMessage(ctx context.Context, r SendRequest) (SendResult, error) {
	r.From, r.To = normalizeNumber(r.From), normalizeReceiver(r.To)
	body, err := r.check()
	if err != nil {
		return SendResult{}, err
	}
	count := max(r.Count, 1)
	ids := make([]string, count)
	var failed error
	var at time.Time
	var done <-chan struct{}
	for start := 0; start < count && failed == nil && ctx.Err() == nil; start += sendChunk {
		done = s.update(func(t *batch) {
			if start == 0 {
				at = time.Now()
			}
			for i := start; i < min(start+sendChunk, count) && failed == nil; i++ {
				ids[i], failed = s.sendOne(t, &r, body, i)
			}
		})
	}
	if failed != nil {
		return SendResult{}, failed
	}
	select {
	case <-done:
	case <-ctx.Done():
		return SendResult{}, ctx.Err()
	case <-s.ctx.Done():
		return SendResult{}, errorf(Conflict, "The sandbox is shutting down")
	}
	if count == 1 {
		return SendResult{ID: ids[0], At: at}, nil
	}
	return SendResult{ID: ids[0], IDs: ids, At: at}, nil
}

// check validates a request and returns its message.
func (r *SendRequest) check() (*waE2E.Message, error) {
	if err := checkNumber("from", r.From); err != nil {
		return nil, err
	}
	if err := checkReceiver("to", r.To); err != nil {
		return nil, err
	}
	if r.Addressing != "" && r.Addressing != "pn" && r.Addressing != "lid" {
		return nil, errorf(Invalid, "\"addressing\" is %q: it is \"pn\" or \"lid\"", r.Addressing)
	}
	if r.Count < 0 || r.Count > maxCount {
		return nil, errorf(Invalid, "\"count\" is %d: it is between 1 and %d", r.Count, maxCount)
	}
	if !slices.Contains([]string{"", unreadableDamaged, unreadableOnce, unreadableMalformed}, r.Unreadable) {
		return nil, errorf(Invalid, "\"unreadable\" is %q: it is \"damaged\", \"view_once\" or \"malformed\"", r.Unreadable)
	}
	if _, room := parseRoom(r.To); room && r.Unreadable != "" {
		return nil, errorf(Invalid, "\"unreadable\" is for messages to a number")
	}
	switch hasMessage := len(r.Message) > 0 && string(r.Message) != "null"; {
	case hasMessage && r.Text != "":
		return nil, errorf(Invalid, "Give either \"text\" or \"message\", not both")
	case hasMessage:
		var body waE2E.Message
		if err := protojson.Unmarshal(r.Message, &body); err != nil {
			return nil, errorf(Invalid, "\"message\" is not a WhatsApp message in protobuf's JSON form: %s", strings.ReplaceAll(err.Error(), "\u00a0", " "))
		}
		return &body, nil
	case r.Text == "":
		return nil, errorf(Invalid, "Give the \"text\" to send, or a whole \"message\"")
	}
	return &waE2E.Message{Conversation: &r.Text}, nil
}

// sendOne sends the i-th message of a request.
func (s *Server) sendOne(t *batch, r *SendRequest, body *waE2E.Message, i int) (string, error) {
	id := r.ID
	if r.Count > 1 {
		body = proto.Clone(body).(*waE2E.Message)
		if r.Text != "" {
			body.Conversation = proto.String(fmt.Sprintf("%s %d", r.Text, i+1))
		}
		if id != "" {
			id = fmt.Sprintf("%s-%d", id, i+1)
		}
	}
	if id == "" {
		id = randomID(16)
	}
	from := s.ensureUser(t, r.From)
	if r.PushName != "" && from.name != r.PushName {
		from.name = r.PushName
		t.put(tableUsers, from.number, from.encode)
	}
	m := &message{ID: id, From: from.number, To: r.To, LID: r.Addressing == "lid", unreadable: r.Unreadable}
	return id, s.submit(t, m, body, r.Audience)
}

// sendBody sends a message to a number or a room.
func (s *Server) sendBody(t *batch, from *user, to string, lid bool, id string, body *waE2E.Message) (string, error) {
	return id, s.submit(t, &message{ID: id, From: from.number, To: to, LID: lid}, body, nil)
}

// submit sends a message of a phone that has neither its body nor its time yet; audience may narrow down who in a room
// gets it.
func (s *Server) submit(t *batch, m *message, body *waE2E.Message, audience []string) error {
	if body.MessageContextInfo == nil { // phones give every message a secret, which reactions and edits build on
		secret := make([]byte, 32)
		_, _ = rand.Read(secret)
		body.MessageContextInfo = &waE2E.MessageContextInfo{MessageSecret: secret}
	}
	raw, err := proto.Marshal(body)
	if err != nil {
		return errorf(Invalid, "The message cannot be encoded: %v", err)
	}
	m.At, m.Body = now(), raw
	if !m.room().IsEmpty() {
		return s.deliverToRoom(t, m, body, audience)
	}
	s.ensureUser(t, m.To)
	return s.deliver(t, m, body)
}

// deliver hands a phone's message to everyone who gets it.
func (s *Server) deliver(t *batch, m *message, body *waE2E.Message) error {
	from, to := s.world.users[m.From], s.world.users[m.To]
	shape := shapeOf(body)
	if to != from {
		for _, d := range to.companions() {
			if err := s.sendTo(t, m, d, shape, m.Body, 0); err != nil {
				return err
			}
		}
	}
	if len(from.devices) > 0 {
		copied, err := ownCopy(m, to, body)
		if err != nil {
			return err
		}
		for _, d := range from.companions() {
			if err := s.sendTo(t, m, d, shape, copied, 0); err != nil {
				return err
			}
		}
	}
	s.keepSent(t, from, m)
	s.keepReceived(t, to, m)
	if to != from {
		s.phoneReceipt(t, to, m, "delivered")
	}
	return nil
}

// ownCopy wraps a message for the sender's own devices.
func ownCopy(m *message, to *user, body *waE2E.Message) ([]byte, error) {
	like := types.JID{}
	if m.LID {
		like.Server = types.HiddenUserServer
	}
	copied, err := proto.Marshal(&waE2E.Message{
		DeviceSentMessage:  &waE2E.DeviceSentMessage{DestinationJID: proto.String(to.as(like, 0).String()), Message: body},
		MessageContextInfo: body.MessageContextInfo,
	})
	if err != nil {
		return nil, errorf(Invalid, "The message cannot be encoded: %v", err)
	}
	return copied, nil
}

// sendTo encrypts a phone's message for one companion and queues it. retry is 0, or which answer to a retry receipt
// it is.
func (s *Server) sendTo(t *batch, m *message, d *device, shape shape, plain []byte, retry int) error {
	from := s.world.users[m.From]
	n := s.messageNode(m, shape, d.user)
	if m.unreadable == unreadableOnce && d.user != from {
		n.Content = []node{{Tag: "unavailable", Attrs: attrs{"type": unreadableOnce}}}
		s.enqueue(t, d, from.number, n)
		return nil
	}
	kind, sealed, err := s.encrypt(t, from, d, plain)
	if err != nil {
		return err
	}
	switch {
	case d.user == from:
	case m.unreadable == unreadableDamaged && retry == 0:
		damage(kind, sealed)
	case m.unreadable == unreadableMalformed:
		kind, sealed = "pkmsg", malformed
	}
	enc := shape.enc(kind, sealed)
	if retry > 0 {
		enc.Attrs["count"] = retry
	}
	n.Content = []node{enc}
	s.enqueue(t, d, from.number, n)
	return nil
}

// malformed is a first message of Signal, version 3, whose base key, identity key and message are there, but empty
// (libsignal, WhisperTextProtocol.proto, PreKeySignalMessage).
var malformed = []byte{0x33, 2<<3 | 2, 0, 3<<3 | 2, 0, 4<<3 | 2, 0}

// damage changes the end of an encrypted message, which proves that nobody did. A message that opens a session holds it
// in field 4 (libsignal, WhisperTextProtocol.proto), after a byte for the version.
func damage(kind string, sealed []byte) {
	for rest := sealed[1:]; kind == "pkmsg" && len(rest) > 0; {
		field, form, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return
		}
		rest = rest[n:]
		if n = protowire.ConsumeFieldValue(field, form, rest); n < 0 {
			return
		}
		if field == 4 {
			sealed = rest[:n]
			break
		}
		rest = rest[n:]
	}
	sealed[len(sealed)-1] ^= 1
}

// address writes who a message is from, as a companion of the user owner sees it: the sender by number or LID with
// the other form beside it; in the sender's own copies also the chat (whatsmeow message.go, parseMessageSource).
func (s *Server) address(a attrs, m *message, owner *user) {
	if room := m.room(); !room.IsEmpty() {
		s.addressInRoom(a, room, m)
		return
	}
	from, to := s.world.users[m.From], s.world.users[m.To]
	if m.LID {
		a["from"], a["addressing_mode"] = from.lidJID(m.FromDevice), "lid"
	} else {
		a["from"] = from.pn(m.FromDevice)
	}
	switch {
	case owner == from && m.LID:
		a["recipient"], a["peer_recipient_pn"] = to.lidJID(0), to.pn(0)
	case owner == from:
		a["recipient"], a["peer_recipient_lid"] = to.pn(0), to.lidJID(0)
	case m.LID:
		a["sender_pn"] = from.pn(0)
	default:
		a["sender_lid"] = from.lidJID(0)
	}
}

// message is one message as a phone sent or received it. It never changes, but for what happened to it.
type message struct {
	Seq        uint64    `json:"seq"`
	ID         string    `json:"id"`
	From       string    `json:"from"` // numbers
	FromDevice uint16    `json:"fromDevice,omitempty"`
	To         string    `json:"to"`
	At         time.Time `json:"at"`
	Body       []byte    `json:"body"`           // waE2E.Message
	LID        bool      `json:"lid,omitempty"`  // addressed by LID
	Peer       bool      `json:"peer,omitempty"` // a client's word to its own phone, not shown to people
	Receipts   []Receipt `json:"receipts,omitempty"`
	Read       []string  `json:"read,omitempty"`    // numbers whose phones could read it
	Retries    int       `json:"retries,omitempty"` // how often its receiver asked for it again

	unreadable string // see SendRequest; nobody needs it once the message is on its way
}

// Receipt says what happened to a message at its receiver.
type Receipt struct {
	Type   string    `json:"type"`   // delivered, read, played, …
	Device string    `json:"device"` // JID of the device that says so
	At     time.Time `json:"at"`
}
