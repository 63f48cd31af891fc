package whatsapp

import (
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// messageForRetry gives whatsmeow a message that we sent, so that it can be
// encrypted again for a device that could not read it. whatsmeow's own memory of
// sent messages ends with its client.
//
// A message is given only to the chat that it was sent to: anyone can ask, and
// message IDs can be seen by others.
func (l *line) messageForRetry(requester, chat types.JID, id types.MessageID) *waE2E.Message {
	if !l.enter() {
		return nil
	}
	defer l.leave()
	m, found, err := l.sent(id)
	if err != nil || !found {
		return nil
	}
	to, err := types.ParseJID(m.Chat)
	if err != nil || l.scope.Lane(to) != l.scope.Lane(chat) {
		l.log.Warn("a device asks for a message that was not sent to its chat", "device", requester.String(), "id", id)
		return nil
	}
	var out waE2E.Message
	if err := proto.Unmarshal(m.Message, &out); err != nil {
		l.log.Error("a kept message cannot be read", "id", id, "err", err)
		return nil
	}
	return &out
}
