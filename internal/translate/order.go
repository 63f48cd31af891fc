package translate

import (
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"

	"pombo"
)

// SentEdit makes the SEND_MESSAGE_UPDATE event of an edit of ours, and the answer
// to the call that sent it, which is the same in both dialects. o.Message holds the
// ProtocolMessage itself, without what it was wrapped in.
//
// The event's data is what 2.3.6 sends (1.x has no such event), with owner and
// instanceId: {key, editedMessage, timestampMs, type: 14}. The time and the type
// are numbers here, unlike in MESSAGES_EDITED.
func (s Scope) SentEdit(o Outgoing) (pombo.Event, pombo.Sent, error) {
	_, sent, err := s.Sent(o)
	if err != nil {
		return pombo.Event{}, pombo.Sent{}, err
	}
	p := o.Message.GetProtocolMessage()
	key := newObject().text("remoteJid", sent.Chat).bool("fromMe", true).text("id", p.GetKey().GetID()).close()
	data := newObject().raw("key", key).name("editedMessage")
	if data, err = AppendJSON(data, p.GetEditedMessage()); err != nil {
		return pombo.Event{}, pombo.Sent{}, err
	}
	data = data.int("timestampMs", p.GetTimestampMS()).int("type", int64(p.GetType()))
	sent.Data = sent.DataV1
	event := s.event(pombo.SendMessageUpdate, sent.Chat+"|"+o.ID, sent.Chat, o.Time, append(s.appendOwner(data), '}'))
	return event, sent, nil
}

// SentRevoke makes the MESSAGES_DELETE event of a message that we deleted for
// everyone, and the answer to the call, which is the same in both dialects. The
// event is that of a deletion by others; of a message that is known it also has
// pushName, message, messageType and source, as in 2.3.6.
func (s Scope) SentRevoke(o Outgoing, author types.JID, deleted *waE2E.Message) (pombo.Event, pombo.Sent, error) {
	_, sent, err := s.Sent(o)
	if err != nil {
		return pombo.Event{}, pombo.Sent{}, err
	}
	key := o.Message.GetProtocolMessage().GetKey()
	data, lane := s.deletion(s.marked(o.Chat, author, key.GetFromMe(), key.GetID()))
	data = data.jid("deletedBy", plain(s.Own)).text("deletedFor", "everyone").int("messageTimestamp", o.Time.Unix())
	if deleted != nil {
		content, kind, err := s.appendContent(data.text("pushName", "Você"), deleted)
		if err != nil {
			return pombo.Event{}, pombo.Sent{}, err
		}
		data = jsonObject(content).text("messageType", kind).text("source", Source(key.GetID()))
	}
	sent.Data = sent.DataV1
	return s.event(pombo.MessagesDelete, lane+"|"+o.ID, lane, o.Time, append(s.appendOwner(data), '}')), sent, nil
}
