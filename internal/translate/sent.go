package translate

import (
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"

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

	v1 := append(append(make([]byte, 0, 512), `{"key":`...), key...)
	v1 = append(v1, `,"message":`...)
	if v1, err = AppendJSON(v1, o.Message); err != nil {
		return pombo.Event{}, pombo.Sent{}, err
	}
	v1 = appendString(append(v1, `,"messageTimestamp":`...), strconv.FormatInt(o.Time.Unix(), 10))
	v1 = append(v1, `,"status":"PENDING"`...)
	if chat.Server == types.GroupServer || chat.Server == types.BroadcastServer {
		v1 = appendString(append(v1, `,"participant":`...), o.Device.String())
	}
	v1 = append(v1, '}')

	event := pombo.Event{
		Instance: s.Instance, Name: pombo.SendMessage, Key: lane + "|" + o.ID,
		Chat: lane, Sender: s.sender(), Time: o.Time, Data: data,
	}
	return event, pombo.Sent{
		Chat: lane, ID: o.ID, Time: o.Time, Status: "PENDING", Data: data, DataV1: v1,
	}, nil
}
