package translate

import (
	"strconv"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// statusOf returns what a receipt says of its messages, in the words of the
// Evolution API, and whether it says anything to users. Receipts of the inactive
// kind (a linked device has the message, the phone not yet), requests to send
// again and those between own devices do not. Source: Baileys,
// getStatusFromReceiptType.
func statusOf(t types.ReceiptType) (string, bool) {
	switch t {
	case types.ReceiptTypeDelivered:
		return "DELIVERY_ACK", true
	case types.ReceiptTypeRead, types.ReceiptTypeReadSelf:
		return "READ", true
	case types.ReceiptTypePlayed, types.ReceiptTypePlayedSelf:
		return "PLAYED", true
	}
	return "", false
}

// receipt makes one MESSAGES_UPDATE for each message that the receipt names.
// Each device of a recipient sends its own receipt; the key makes them one event
// for each status.
func (s Scope) receipt(evt *events.Receipt) ([]pombo.Event, error) {
	status, ok := statusOf(evt.Type)
	if !ok || evt.IsFromMe && status == "DELIVERY_ACK" {
		return nil, nil
	}
	if evt.IsGroup && (!s.GroupReceipts || s.Settings.GroupsIgnore && evt.Chat.Server == types.GroupServer) {
		return nil, nil
	}
	out := make([]pombo.Event, len(evt.MessageIDs))
	for i, id := range evt.MessageIDs {
		out[i] = s.update(evt, id, status)
	}
	return out, nil
}

func (s Scope) update(evt *events.Receipt, id, status string) pombo.Event {
	alt := evt.SenderAlt
	if evt.IsFromMe {
		alt = evt.RecipientAlt
	}
	if evt.IsGroup {
		alt = types.EmptyJID
	}
	chat, chatAlt := s.forms(evt.Chat, alt)
	lane := chat.String()
	// A receipt of our own devices is about what others sent to us.
	fromMe := !evt.IsFromMe
	key := lane + "|" + id + "|" + status
	data := appendString(append(make([]byte, 0, 384), `{"keyId":`...), id)
	data = appendString(append(data, `,"id":`...), id)
	data = appendString(append(data, `,"remoteJid":`...), lane)
	if !chatAlt.IsEmpty() {
		data = appendString(append(data, `,"remoteJidAlt":`...), chatAlt.String())
	}
	data = strconv.AppendBool(append(data, `,"fromMe":`...), fromMe)
	if evt.IsGroup && !evt.Sender.IsEmpty() {
		who, whoAlt := s.forms(evt.Sender, evt.SenderAlt)
		key += "|" + who.String()
		data = appendString(append(data, `,"participant":`...), who.String())
		if !whoAlt.IsEmpty() {
			data = appendString(append(data, `,"participantAlt":`...), whoAlt.String())
		}
	}
	data = appendString(append(data, `,"status":`...), status)
	data = strconv.AppendInt(append(data, `,"datetime":`...), evt.Timestamp.UnixMilli(), 10)
	data = append(s.appendOwner(data), '}')
	return pombo.Event{
		Instance: s.Instance, Name: pombo.MessagesUpdate, Key: key, Chat: lane,
		Sender: s.sender(), Time: evt.Timestamp, Data: data,
	}
}
