package evolution

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"pombo"
)

// ReadMessages is a request to mark messages as read (chat/markMessageAsRead).
type ReadMessages struct {
	Keys     []pombo.MessageKey
	Warnings []string
}

// DecodeReadMessages reads the body of chat/markMessageAsRead: {"readMessages":
// [{"id","fromMe","remoteJid","participant"?}]}, spelled read_messages in 1.x.
// Errors are of kind Invalid.
func DecodeReadMessages(body []byte) (*ReadMessages, error) {
	r, err := newChatReader(body)
	if err != nil {
		return nil, err
	}
	list := r.field(r.o, "readMessages", "read_messages")
	if r.err == nil && (!list.given() || list.v.kind != arrayValue || len(list.v.list) == 0) {
		r.fail(`%s must be an array of one message or more, as in [{"id": "3A…", "fromMe": false, "remoteJid": "5511999990000@s.whatsapp.net"}]`, list.path)
	}
	out := &ReadMessages{}
	for i := range itemsOf(list, r.err) {
		item := field{path: fmt.Sprintf("%s[%d]", list.path, i), v: &list.v.list[i]}
		key := r.key(item)
		if strings.HasSuffix(key.RemoteJID, groupServer) && !key.FromMe && key.Participant == "" {
			r.warnings = append(r.warnings, item.path+" has no participant: in a group WhatsApp wants to know who wrote the message")
		}
		out.Keys = append(out.Keys, key)
	}
	out.Warnings, err = r.done()
	return out, err
}

func itemsOf(f field, err error) []value {
	if err != nil || f.v == nil {
		return nil
	}
	return f.v.list
}

// MessagesRead is the answer to chat/markMessageAsRead.
func MessagesRead() json.RawMessage {
	return raw(ordered{{"message", "Read messages"}, {"read", "success"}})
}

// ShowPresence is a request to show what the account is doing (chat/sendPresence).
type ShowPresence struct {
	Typing pombo.Typing
	// Dialect is the one of the request, which the answer follows.
	Dialect  Dialect
	Warnings []string
}

var presences = []string{"composing", "recording", "paused", "available", "unavailable"}

// DecodeShowPresence reads the body of chat/sendPresence in both forms: {"number",
// "presence","delay"} of 2.x and {"number","options":{"presence","delay"}} of 1.x.
// Without a delay it is 0. Errors are of kind Invalid.
func DecodeShowPresence(body []byte) (*ShowPresence, error) {
	r, err := newChatReader(body)
	if err != nil {
		return nil, err
	}
	out := &ShowPresence{Dialect: V2}
	out.Typing.Number = r.number()
	o := r.o
	if f := r.field(o, "options"); f.given() && r.err == nil {
		out.Dialect = V1
		if o, r.err = f.object(); r.err != nil {
			return nil, r.err
		}
	}
	presence, delay := r.field(o, "presence"), r.field(o, "delay")
	out.Typing.Presence = r.text(presence)
	if r.err == nil && !slices.Contains(presences, out.Typing.Presence) {
		r.fail("%s is %q: it must be one of %s", presence.path, clip(out.Typing.Presence, 40), strings.Join(presences, ", "))
	}
	if r.err == nil {
		var ms *int64
		if ms, r.err = delay.integer(0, maxDelay.Milliseconds(), "milliseconds"); ms != nil {
			out.Typing.Delay = time.Duration(*ms) * time.Millisecond
		}
	}
	if o != r.o {
		r.warnings = append(r.warnings, o.unknown()...)
	}
	out.Warnings, err = r.done()
	return out, err
}

// Answer returns the body of the answer; in 1.x it is empty.
func (s *ShowPresence) Answer() json.RawMessage {
	if s.Dialect == V1 {
		return nil
	}
	return raw(ordered{{"presence", s.Typing.Presence}})
}

// UpdateMessage is a request to edit a message (chat/updateMessage).
type UpdateMessage struct {
	Edit     pombo.Edit
	Warnings []string
}

// DecodeUpdateMessage reads the body of chat/updateMessage: {"number","text",
// "key":{"id","remoteJid","fromMe"}}. Errors are of kind Invalid.
func DecodeUpdateMessage(body []byte) (*UpdateMessage, error) {
	r, err := newChatReader(body)
	if err != nil {
		return nil, err
	}
	out := &UpdateMessage{}
	out.Edit.Number = r.number()
	text := r.field(r.o, "text")
	if out.Edit.Text = r.text(text); strings.TrimSpace(out.Edit.Text) == "" {
		r.fail("text is missing or empty: give the new text of the message")
	}
	key := r.field(r.o, "key")
	if r.err == nil && !key.given() {
		r.fail(`key is missing: name the message to edit, as in {"id": "3EB0…", "remoteJid": "5511999990000@s.whatsapp.net", "fromMe": true}`)
	}
	out.Edit.Key = r.key(key)
	out.Warnings, err = r.done()
	return out, err
}

// DeleteMessage is a request to delete a message for everyone
// (chat/deleteMessageForEveryone).
type DeleteMessage struct {
	Key      pombo.MessageKey
	Warnings []string
}

// DecodeDeleteMessage reads the body of chat/deleteMessageForEveryone: {"id",
// "fromMe","remoteJid","participant"?}, or the same within "key". Errors are of
// kind Invalid.
func DecodeDeleteMessage(body []byte) (*DeleteMessage, error) {
	r, err := newChatReader(body)
	if err != nil {
		return nil, err
	}
	f := r.field(r.o, "key")
	if r.err == nil && !f.given() {
		f = field{v: r.o.v}
	}
	out := &DeleteMessage{}
	if f.path == "" {
		out.Key = r.keyOf(r.o)
	} else {
		out.Key = r.key(f)
	}
	out.Warnings, err = r.done()
	return out, err
}

// chatReader reads a request about a chat; after an error it does nothing more.
type chatReader struct {
	o        *object
	err      error
	warnings []string
}

func newChatReader(body []byte) (*chatReader, error) {
	top, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	r := &chatReader{o: newObject("", top)}
	r.o.ignore("instanceName", "instance")
	return r, nil
}

// done returns the warnings, or the error.
func (r *chatReader) done() ([]string, error) {
	return append(r.o.unknown(), r.warnings...), r.err
}

func (r *chatReader) field(o *object, spellings ...string) (f field) {
	if r.err == nil {
		f, r.err = o.field(spellings...)
	}
	return f
}

func (r *chatReader) text(f field) (s string) {
	if r.err == nil {
		s, r.err = f.text()
	}
	return s
}

func (r *chatReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = pombo.Errorf(pombo.Invalid, format, args...)
	}
}

func (r *chatReader) number() string {
	n := r.text(r.field(r.o, "number"))
	if strings.TrimSpace(n) == "" {
		r.fail("number is missing or empty: give the phone number, with its country code, or the JID of the chat")
	}
	if r.err == nil {
		_, r.err = CreateJID(n)
	}
	return n
}

// key reads an object that names a message.
func (r *chatReader) key(f field) pombo.MessageKey {
	if r.err != nil {
		return pombo.MessageKey{}
	}
	var o *object
	if o, r.err = f.object(); o == nil {
		r.fail("%s is missing", f.path)
		return pombo.MessageKey{}
	}
	// What else the key of a webhook's payload has.
	o.ignore("remoteJidAlt", "participantAlt", "addressingMode", "server_id")
	key := r.keyOf(o)
	r.warnings = append(r.warnings, o.unknown()...)
	return key
}

func (r *chatReader) keyOf(o *object) (key pombo.MessageKey) {
	key.ID = r.text(r.field(o, "id"))
	key.RemoteJID = r.text(r.field(o, "remoteJid"))
	key.Participant = r.text(r.field(o, "participant"))
	fromMe := r.field(o, "fromMe")
	if r.err != nil {
		return key
	}
	var b *bool
	if b, r.err = fromMe.bool(); b != nil {
		key.FromMe = *b
	}
	switch {
	case r.err != nil:
	case key.ID == "":
		r.fail("%sid is missing or empty: give the ID of the message", o.path)
	case key.RemoteJID == "":
		r.fail("%sremoteJid is missing or empty: give the JID of the chat that the message is in", o.path)
	case b == nil:
		r.fail("%sfromMe is missing: say true if this account sent the message, false if not", o.path)
	default:
		if _, err := CreateJID(key.RemoteJID); err != nil {
			r.fail("%sremoteJid: %w", o.path, err)
		}
	}
	return key
}
