package translate

import (
	"errors"
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// Outgoing is a message that WhatsApp took from us.
type Outgoing struct {
	ID      string
	Chat    types.JID
	Message *waE2E.Message
	Time    time.Time
	// Device is the own JID with its device; the answer in the first dialect names
	// it for groups.
	Device types.JID
}

// Sent makes the SEND_MESSAGE event of o and the answer to the call that sent
// it, in both dialects.
func (s Scope) Sent(o Outgoing) (pombo.Event, pombo.Sent, error) {
	chat, _ := s.forms(o.Chat, types.EmptyJID)
	lane := chat.String()
	key := appendString([]byte(`{"remoteJid":`), lane)
	key = append(key, `,"fromMe":true,"id":`...)
	key = append(appendString(key, o.ID), '}')

	data, err := envelope{
		scope: s, key: key, fromMe: true, id: o.ID, pushName: "Você", status: "PENDING", time: o.Time,
	}.append(make([]byte, 0, 512), o.Message)
	if err != nil {
		return pombo.Event{}, pombo.Sent{}, err
	}

	v1, err := o.answer(chat, key, o.Message)
	if err != nil {
		return pombo.Event{}, pombo.Sent{}, err
	}

	event := pombo.Event{
		Instance: s.Instance, Name: pombo.SendMessage, Key: lane + "|" + o.ID,
		Chat: lane, Sender: s.sender(), Time: o.Time, Data: data,
	}
	return event, pombo.Sent{
		Chat: lane, ID: o.ID, Time: o.Time, Status: "PENDING", Data: data, DataV1: v1,
	}, nil
}

// answer is the answer to a send in the first dialect, which 2.3.6 too gives to
// edits and deletions: the WebMessageInfo in Baileys' toJSON form.
func (o Outgoing) answer(chat types.JID, key []byte, m *waE2E.Message) ([]byte, error) {
	out := append(append(make([]byte, 0, 512), `{"key":`...), key...)
	out, err := AppendJSON(append(out, `,"message":`...), m)
	if err != nil {
		return nil, err
	}
	out = appendString(append(out, `,"messageTimestamp":`...), strconv.FormatInt(o.Time.Unix(), 10))
	out = append(out, `,"status":"PENDING"`...)
	if chat.Server == types.GroupServer || chat.Server == types.BroadcastServer {
		out = appendString(append(out, `,"participant":`...), o.Device.String())
	}
	return append(out, '}'), nil
}

// SentOrder makes, of an edit that WhatsApp took from us, the SEND_MESSAGE_UPDATE,
// of a deletion for everyone the MESSAGES_DELETE, and the answer to the call,
// which is the same in both dialects. It fails if o holds neither.
//
// The data of SEND_MESSAGE_UPDATE has the numbers of 2.3.6: {key, editedMessage,
// timestampMs, type: 14}, with owner and instanceId.
func (s Scope) SentOrder(o Outgoing) (pombo.Event, pombo.Sent, error) {
	inner := innermost(o.Message)
	p := inner.GetProtocolMessage()
	if p.GetKey().GetID() == "" || p.Type == nil {
		return pombo.Event{}, pombo.Sent{}, errNoOrder
	}
	info := types.MessageInfo{ID: o.ID, Timestamp: o.Time}
	info.Chat, info.Sender, info.IsFromMe = o.Chat, s.Own, true
	info.IsGroup = o.Chat.Server == types.GroupServer || o.Chat.Server == types.BroadcastServer
	target, lane := s.messageKey(s.target(info, p.Key))

	var event pombo.Event
	switch p.GetType() {
	case waE2E.ProtocolMessage_MESSAGE_EDIT:
		edited, err := AppendJSON(nil, p.GetEditedMessage())
		if err != nil {
			return pombo.Event{}, pombo.Sent{}, err
		}
		data := newObject().raw("key", target).raw("editedMessage", edited).
			int("timestampMs", p.GetTimestampMS()).int("type", int64(p.GetType()))
		event = s.event(pombo.SendMessageUpdate, lane+"|"+o.ID, lane, o.Time, append(s.appendOwner(data), '}'))
	case waE2E.ProtocolMessage_REVOKE:
		event = s.deleted(&events.Message{Info: info, RawMessage: o.Message}, s.target(info, p.Key))
	default:
		return pombo.Event{}, pombo.Sent{}, errNoOrder
	}

	key := appendString([]byte(`{"remoteJid":`), lane)
	key = append(key, `,"fromMe":true,"id":`...)
	key = append(appendString(key, o.ID), '}')
	chat, _ := s.forms(o.Chat, types.EmptyJID)
	answer, err := o.answer(chat, key, inner)
	if err != nil {
		return pombo.Event{}, pombo.Sent{}, err
	}
	return event, pombo.Sent{Chat: lane, ID: o.ID, Time: o.Time, Status: "PENDING", Data: answer, DataV1: answer}, nil
}

var errNoOrder = errors.New("the message is neither an edit nor a deletion")
