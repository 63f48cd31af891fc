package translate

import (
	"strconv"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// protocol makes what an order about a message means to users. Keys, requests
// between devices and news of syncing are none of their business, and some are
// secret: nothing is made of them, where 2.3.6 sends each as MESSAGES_EDITED.
//
//   - MESSAGE_EDIT makes a MESSAGES_EDITED
//   - REVOKE makes a MESSAGES_DELETE, and a MESSAGES_EDITED as in 2.3.6
//   - EPHEMERAL_SETTING makes a CHATS_UPDATE, and a MESSAGES_EDITED as in 2.3.6
func (s Scope) protocol(evt *events.Message) ([]pombo.Event, error) {
	p := innermost(content(evt)).GetProtocolMessage()
	if p == nil || p.Type == nil {
		return nil, nil
	}
	switch p.GetType() {
	case waE2E.ProtocolMessage_MESSAGE_EDIT:
		if p.GetKey().GetID() == "" {
			return nil, nil
		}
		edited, err := s.edited(evt, p)
		return []pombo.Event{edited}, err
	case waE2E.ProtocolMessage_REVOKE:
		if p.GetKey().GetID() == "" {
			return nil, nil
		}
		edited, err := s.edited(evt, p)
		return []pombo.Event{s.deleted(evt, s.target(evt.Info, p.Key)), edited}, err
	case waE2E.ProtocolMessage_EPHEMERAL_SETTING:
		edited, err := s.edited(evt, p)
		return []pombo.Event{s.ephemeral(evt, p), edited}, err
	}
	return nil, nil
}

// edited makes a MESSAGES_EDITED: the ProtocolMessage as 2.3.6 shows it, {key,
// type, editedMessage?, timestampMs?, …}, with pushName, messageTimestamp, owner
// and instanceId. key names the message that was edited.
func (s Scope) edited(evt *events.Message, p *waE2E.ProtocolMessage) (pombo.Event, error) {
	info := evt.Info
	if p.GetKey().GetID() != "" {
		info = s.target(evt.Info, p.Key)
	}
	key, lane := s.messageKey(info)
	data := append(append(make([]byte, 0, 512), `{"key":`...), key...)
	data = append(data, ',')
	data, err := appendFields(data, p.ProtoReflect(), 0, func(name string) bool { return name == "key" })
	if err != nil {
		return pombo.Event{}, err
	}
	o := jsonObject(data).optional("pushName", s.pushName(evt.Info)).int("messageTimestamp", evt.Info.Timestamp.Unix())
	occurrence := occurrence(evt)
	if evt.SourceWebMsg != nil {
		// The phone was asked for it, and whatsmeow put the ID of the message that
		// was edited in place of the edit's own.
		occurrence += "|" + strconv.FormatInt(p.GetTimestampMS(), 10)
	}
	return s.event(pombo.MessagesEdited, occurrence, lane, evt.Info.Timestamp, append(s.appendOwner(o), '}')), nil
}

// deleted makes a MESSAGES_DELETE: the key of the message that was deleted, as
// both versions show it, and beside it {key, status: "DELETED", deletedBy,
// deletedFor: "everyone", messageTimestamp, owner, instanceId}. An admin can
// delete what others wrote: participant is who wrote it, deletedBy who deleted
// it.
func (s Scope) deleted(evt *events.Message, target types.MessageInfo) pombo.Event {
	by, _ := s.forms(evt.Info.Sender, evt.Info.SenderAlt)
	if evt.Info.IsFromMe {
		by = plain(s.Own)
	}
	o, lane := s.deletion(target)
	o = o.jid("deletedBy", by).text("deletedFor", "everyone").int("messageTimestamp", evt.Info.Timestamp.Unix())
	return s.event(pombo.MessagesDelete, occurrence(evt), lane, evt.Info.Timestamp, append(s.appendOwner(o), '}'))
}

// deletion begins the data of a MESSAGES_DELETE.
func (s Scope) deletion(target types.MessageInfo) (o jsonObject, lane string) {
	key, lane := s.messageKey(target)
	o = append(make(jsonObject, 0, 2*len(key)+256), key[:len(key)-1]...)
	return o.raw("key", key).text("status", "DELETED"), lane
}

// ephemeral makes a CHATS_UPDATE: the chat's messages vanish after
// ephemeralExpiration seconds, or stay if that is 0.
func (s Scope) ephemeral(evt *events.Message, p *waE2E.ProtocolMessage) pombo.Event {
	o, lane := s.chatOf(evt.Info)
	o = o.int("ephemeralExpiration", int64(p.GetEphemeralExpiration())).
		int("ephemeralSettingTimestamp", ephemeralSince(evt.Info, p))
	return s.event(pombo.ChatsUpdate, occurrence(evt), lane, evt.Info.Timestamp, o.list())
}

func ephemeralSince(info types.MessageInfo, p *waE2E.ProtocolMessage) int64 {
	if at := p.GetEphemeralSettingTimestamp(); at != 0 {
		return at
	}
	return info.Timestamp.Unix()
}
