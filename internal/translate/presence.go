package translate

import (
	"crypto/rand"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// presence makes a PRESENCE_UPDATE: {id, presences: {"<jid>":
// {lastKnownPresence: "available"|"unavailable", lastSeen?}}}. WhatsApp tells of
// a person's presence only after it was asked to.
func (s Scope) presence(evt *events.Presence) []pombo.Event {
	who, alt := s.forms(evt.From, types.EmptyJID)
	state := "available"
	if evt.Unavailable {
		state = "unavailable"
	}
	return s.presenceOf(who, alt, who, state, evt.LastSeen)
}

// chatPresence makes a PRESENCE_UPDATE of what someone is doing in a chat:
// "composing", "recording" or, when they stop, "available". The words are those
// of Baileys (handlePresenceUpdate).
func (s Scope) chatPresence(evt *events.ChatPresence) []pombo.Event {
	if s.leavesOut(types.MessageInfo{MessageSource: evt.MessageSource}) || evt.IsFromMe {
		return nil
	}
	state := "available"
	switch {
	case evt.State == types.ChatPresenceComposing && evt.Media == types.ChatPresenceMediaAudio:
		state = "recording"
	case evt.State == types.ChatPresenceComposing:
		state = "composing"
	case evt.State != types.ChatPresencePaused:
		return nil
	}
	who, whoAlt := s.forms(evt.Sender, evt.SenderAlt)
	if !evt.IsGroup {
		return s.presenceOf(who, whoAlt, who, state, time.Time{})
	}
	return s.presenceOf(plain(evt.Chat), types.EmptyJID, who, state, time.Time{})
}

func (s Scope) presenceOf(chat, chatAlt, who types.JID, state string, lastSeen time.Time) []pombo.Event {
	lane := chat.String()
	one := newObject().text("lastKnownPresence", state).seconds("lastSeen", lastSeen).close()
	presences := append(appendString([]byte{'{'}, who.String()), ':')
	presences = append(append(presences, one...), '}')
	o := newObject().text("id", lane).jid("idAlt", chatAlt).raw("presences", presences)
	return []pombo.Event{s.event(pombo.PresenceUpdate, s.unique(), lane, time.Time{}, append(s.appendOwner(o), '}'))}
}

// unique makes the key of an occurrence that has nothing that would tell it from
// the one before.
func (s Scope) unique() string {
	if s.Unique != nil {
		return s.Unique()
	}
	return rand.Text()
}
