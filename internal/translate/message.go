package translate

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

var errUnknownContent = errors.New("the message is of a type that this version does not know")

// message makes what a stanza means: a MESSAGES_UPSERT of a message, a
// MESSAGES_EDITED, MESSAGES_DELETE or CHATS_UPDATE of an order about one, a
// MESSAGES_UPDATE of a vote.
func (s Scope) message(evt *events.Message) ([]pombo.Event, error) {
	content := content(evt)
	if s.leavesOut(evt.Info) {
		return nil, nil
	}
	if vote := s.pollVote(evt); vote != nil {
		return vote, nil
	}
	orders, err := s.protocol(evt)
	if err != nil {
		return nil, err
	}
	if !counts(content) {
		if len(content.ProtoReflect().GetUnknown()) > 0 {
			return nil, errUnknownContent
		}
		return orders, nil
	}
	upsert, err := s.upsertOf(evt, content)
	if err != nil {
		return nil, err
	}
	if orders == nil && !s.ChatUpdates {
		return []pombo.Event{upsert}, nil
	}
	out := append([]pombo.Event{upsert}, orders...)
	if s.ChatUpdates {
		out = append(out, s.chatOfMessage(evt, upsert.Chat))
	}
	return out, nil
}

// upsertOf makes a MESSAGES_UPSERT.
func (s Scope) upsertOf(evt *events.Message, content *waE2E.Message) (pombo.Event, error) {
	defer hideCopiedContext(evt, content)()
	content = s.ownReaction(evt.Info, content)

	key, lane := s.messageKey(evt.Info)
	body := envelope{
		scope: s, key: key, fromMe: evt.Info.IsFromMe, id: evt.Info.ID,
		pushName: s.pushName(evt.Info), status: "DELIVERY_ACK", time: evt.Info.Timestamp,
	}
	if evt.Info.IsFromMe {
		body.status = "SERVER_ACK"
	}
	file, url := s.attach(evt.Info, occurrence(evt), content)
	body.url, body.end = url, &file.Offset
	data, err := body.append(make([]byte, 0, 1024), content)
	if err != nil {
		return pombo.Event{}, err
	}
	upsert := s.upsert(evt, lane, data)
	if file.ID != "" {
		upsert.Attachment = file
	}
	return upsert, nil
}

// upsert wraps data. What is unset, the store fills in.
func (s Scope) upsert(evt *events.Message, lane string, data []byte) pombo.Event {
	return pombo.Event{
		Instance: s.Instance, Name: pombo.MessagesUpsert, Key: occurrence(evt),
		Chat: lane, Sender: s.sender(), Time: evt.Info.Timestamp, Data: data,
	}
}

// occurrence identifies a message by chat, sender and ID, as the stanza named
// them, so that a stanza that comes again gives the same key, and one sender
// cannot use up another's. The ID alone would not do for a second reason: a group
// message that carries its sender key makes two events of one ID; the first has
// no content and never gets here. A newsletter edits a message under its old ID.
func occurrence(evt *events.Message) string {
	key := stanzaKey(evt.Info)
	if m := evt.NewsletterMeta; m != nil && !m.EditTS.IsZero() {
		key += "|" + strconv.FormatInt(m.EditTS.UnixMilli(), 10)
	}
	return key
}

func stanzaKey(info types.MessageInfo) string {
	return info.Chat.ToNonAD().String() + "|" + info.Sender.ToNonAD().String() + "|" + info.ID
}

func (s Scope) leavesOut(info types.MessageInfo) bool {
	switch {
	case info.Chat == types.StatusBroadcastJID:
		return !s.Settings.ReadStatus
	case info.Chat.Server == types.GroupServer:
		return s.Settings.GroupsIgnore
	}
	return false
}

// content is the message as Baileys shows it: wrappers stay, save the one around
// what another of the account's own devices sent.
func content(evt *events.Message) *waE2E.Message {
	if m := evt.RawMessage.GetDeviceSentMessage().GetMessage(); m != nil {
		return m
	}
	if evt.RawMessage != nil {
		return evt.RawMessage
	}
	return evt.Message
}

// hideCopiedContext takes back, until the returned function is called, what
// whatsmeow copied from the outer message into the innermost: it was not sent
// there.
func hideCopiedContext(evt *events.Message, outer *waE2E.Message) (restore func()) {
	inner := evt.Message
	if inner == nil || inner == outer || inner.MessageContextInfo == nil || evt.RawMessage == nil ||
		inner.MessageContextInfo != evt.RawMessage.MessageContextInfo {
		return func() {}
	}
	saved := inner.MessageContextInfo
	inner.MessageContextInfo = nil
	return func() { inner.MessageContextInfo = saved }
}

// silent are the fields that do not make a message: keys and orders between
// devices.
func silent(name string) bool {
	switch name {
	case "messageContextInfo", "senderKeyDistributionMessage",
		"fastRatchetKeySenderKeyDistributionMessage", "protocolMessage":
		return true
	}
	return false
}

// counts tells whether a user would call it a message.
func counts(m *waE2E.Message) bool {
	if m == nil || m.ProtocolMessage != nil {
		return false
	}
	r := m.ProtoReflect()
	for _, f := range shapeOf(r.Descriptor()).fields {
		if !silent(f.name) && r.Has(f.fd) {
			return true
		}
	}
	return false
}

// pushName is the rule of Evolution 2.x: the sender's own name, else "Você" for
// ourselves, else in a group the participant's user, else null ("").
func (s Scope) pushName(info types.MessageInfo) string {
	switch {
	case info.PushName != "":
		return info.PushName
	case info.IsFromMe:
		return "Você"
	case info.IsGroup:
		shown, _ := s.forms(info.Sender, info.SenderAlt)
		return shown.User
	}
	return ""
}

// messageKey makes the key object of a message and the lane it belongs to.
//
// remoteJid is the phone number whenever it is known and remoteJidAlt the other
// form; in groups the same goes for participant and participantAlt.
// addressingMode names the form of the one that is shown, as it does in 2.3.6.
func (s Scope) messageKey(info types.MessageInfo) (key []byte, lane string) {
	alt := types.EmptyJID
	if !info.IsGroup {
		alt = info.SenderAlt
		if info.IsFromMe {
			alt = info.RecipientAlt
		}
	}
	chat, chatAlt := s.forms(info.Chat, alt)
	lane = chat.String()
	participant, participantAlt := types.EmptyJID, types.EmptyJID
	shown := chat
	if info.IsGroup {
		participant, participantAlt = s.forms(info.Sender, info.SenderAlt)
		shown = participant
	}

	key = appendString(append(key, `{"remoteJid":`...), lane)
	if !chatAlt.IsEmpty() {
		key = appendString(append(key, `,"remoteJidAlt":`...), chatAlt.String())
	}
	key = strconv.AppendBool(append(key, `,"fromMe":`...), info.IsFromMe)
	key = appendString(append(key, `,"id":`...), info.ID)
	key = append(key, `,"participant":`...)
	if participant.IsEmpty() {
		key = append(key, `""`...)
	} else {
		key = appendString(key, participant.String())
	}
	if !participantAlt.IsEmpty() {
		key = appendString(append(key, `,"participantAlt":`...), participantAlt.String())
	}
	key = appendString(append(key, `,"addressingMode":`...), mode(shown))
	if info.ServerID != 0 {
		key = appendString(append(key, `,"server_id":`...), strconv.Itoa(info.ServerID))
	}
	return append(key, '}'), lane
}

// envelope is the object around a message, the same for those received and those
// sent.
type envelope struct {
	scope    Scope
	key      []byte // JSON
	fromMe   bool
	id       string
	pushName string // "": null
	status   string // "": null
	time     time.Time
	url      string // of the message's file; may be ""
	end      *int   // set to where the message ends; may be nil
}

func (e envelope) append(dst []byte, m *waE2E.Message) ([]byte, error) {
	dst = append(append(dst, `{"key":`...), e.key...)
	dst = append(dst, `,"pushName":`...)
	if e.pushName == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, e.pushName)
	}
	dst = append(dst, `,"status":`...)
	if e.status == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, e.status)
	}
	dst, messageType, end, err := e.scope.appendContent(dst, m, e.url)
	if err != nil {
		return nil, err
	}
	if e.end != nil {
		*e.end = end
	}
	dst = appendString(append(dst, `,"messageType":`...), messageType)
	dst = strconv.AppendInt(append(dst, `,"messageTimestamp":`...), e.time.Unix(), 10)
	dst = e.scope.appendOwner(dst)
	dst = appendString(append(dst, `,"source":`...), Source(e.id))
	return append(dst, '}'), nil
}

// appendOwner adds whose payload it is, in the words of 1.x and of 2.x.
func (s Scope) appendOwner(dst []byte) []byte {
	dst = appendString(append(dst, `,"owner":`...), s.Name)
	return appendString(append(dst, `,"instanceId":`...), string(s.Instance))
}

// Source tells by a message's ID what kind of device made it: "ios", "web",
// "android", "desktop" or "unknown". The rules, and their order, are Baileys'
// (getDevice).
func Source(id string) string {
	n := len(id)
	switch {
	case n == 20 && strings.HasPrefix(id, "3A"):
		return "ios"
	case n == 22 && strings.HasPrefix(id, "3E"):
		return "web"
	case n == 21 || n == 32:
		return "android"
	case n == 18 || strings.HasPrefix(id, "3F"):
		return "desktop"
	}
	return "unknown"
}
