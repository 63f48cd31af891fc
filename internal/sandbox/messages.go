package sandbox

import (
	"fmt"

	"go.mau.fi/whatsmeow/types"
)

// maxMessages is how many messages each phone remembers, sent and received apart.
const maxMessages = 100_000

func messageRow(m *message) string { return fmt.Sprintf("%016x", m.Seq) }

// saveMessage writes a message or what changed in it.
func (s *Server) saveMessage(t *batch, m *message) {
	if m.Seq == 0 {
		m.Seq = s.world.next()
	}
	t.put(tableMessages, messageRow(m), encodeJSON(m))
}

// keepSent notes a message with its sender, so that it can be sent again and shown.
func (s *Server) keepSent(t *batch, u *user, m *message) {
	if u.sentByID[m.ID] != nil { // an answer to a retry receipt
		return
	}
	s.saveMessage(t, m)
	if forgotten := u.addSent(m); forgotten != nil {
		t.drop(tableMessages, messageRow(forgotten))
	}
}

// keepReceived notes a message with a phone that could read it, and returns it as it is kept: if it came again, as an
// answer to a retry receipt, that is the one that came first.
func (s *Server) keepReceived(t *batch, u *user, m *message) *message {
	if first := u.receivedByID[m.From+"/"+m.ID]; first != nil {
		return first
	}
	m.Read = append(m.Read, u.number)
	s.saveMessage(t, m)
	u.addReceived(m)
	return m
}

// addSent returns the message that is forgotten for it, or nil.
func (u *user) addSent(m *message) *message {
	u.sent = append(u.sent, m)
	u.sentByID[m.ID] = m
	if len(u.sent) <= maxMessages {
		return nil
	}
	forgotten := u.sent[0]
	delete(u.sentByID, forgotten.ID)
	u.sent = u.sent[1:]
	return forgotten
}

func (u *user) addReceived(m *message) {
	u.received = append(u.received, m)
	u.receivedByID[m.From+"/"+m.ID] = m
	if len(u.received) > maxMessages {
		delete(u.receivedByID, u.received[0].From+"/"+u.received[0].ID)
		u.received = u.received[1:]
	}
}

// form is a JID in the form by which the message was addressed.
func (m *message) form() types.JID {
	if m.LID {
		return types.JID{Server: types.HiddenUserServer}
	}
	return types.JID{Server: types.DefaultUserServer}
}
