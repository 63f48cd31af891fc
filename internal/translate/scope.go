package translate

import (
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// Scope is whose events are translated, and how.
type Scope struct {
	Instance pombo.InstanceID
	Name     string // the instance's name, "owner" in payloads
	// Own is the account's number and OwnLID its hidden form, both without device.
	Own    types.JID
	OwnLID types.JID
	// Alt looks up the other form of a user's JID (number ↔ hidden), or returns an
	// empty JID. It is asked only where the event itself has but one form. nil:
	// nothing is known.
	Alt func(types.JID) types.JID
	// Settings leave out the messages of groups and of the status broadcast.
	Settings pombo.Settings
	// KeepWrappers shows texts and captioned documents as they were sent, which is
	// what Evolution 1.x does. By default they are rewritten as 2.x does:
	// extendedTextMessage becomes conversation, documentWithCaptionMessage the
	// documentMessage in it.
	KeepWrappers bool
	// GroupReceipts also tells who in a group got and read a message. Off by
	// default, as in the original: a group of 500 gives 1,000 events per message.
	GroupReceipts bool
	// ChatUpdates also tells a CHATS_UPDATE of each message. Off by default: it
	// doubles the number of events and says nothing that MESSAGES_UPSERT does not.
	ChatUpdates bool
	// DecryptPollVote reads the vote in a message that has a pollUpdateMessage.
	// It is called while the event is translated. If it is nil or fails, the vote
	// comes as a MESSAGES_UPSERT, as it was sent: encrypted.
	DecryptPollVote func(*events.Message) (*waE2E.PollVoteMessage, error)
	// PollOptions returns the names of the options of a poll, in its order, or
	// nothing if the poll is not known. A vote itself names none. nil: no poll is
	// known.
	PollOptions func(chat types.JID, id types.MessageID) []string
	// File names the file of the message whose event has this key: its ID, and the
	// address under which it can be had, "" if there is none. nil: files are left
	// alone.
	File func(key string) (id, url string)
	// Unique makes keys of occurrences that nothing tells apart (someone typing
	// twice). nil: random ones.
	Unique func() string
}

// forms returns jid without its device in the form to show, the phone number
// whenever that is known, and its other form, empty if unknown. alt is the other
// form that the event itself gave, if any.
func (s Scope) forms(jid, alt types.JID) (shown, other types.JID) {
	jid, alt = plain(jid), plain(alt)
	switch jid.Server {
	case types.HiddenUserServer:
		if alt.Server != types.DefaultUserServer {
			alt = s.alt(jid)
		}
		if alt.Server == types.DefaultUserServer {
			return alt, jid
		}
	case types.DefaultUserServer:
		if alt.Server != types.HiddenUserServer {
			alt = s.alt(jid)
		}
		if alt.Server == types.HiddenUserServer {
			return jid, alt
		}
	}
	return jid, types.EmptyJID
}

func (s Scope) alt(jid types.JID) types.JID {
	switch {
	case jid.User == "":
		return types.EmptyJID
	case jid == s.Own:
		return s.OwnLID
	case jid == s.OwnLID:
		return s.Own
	case s.Alt == nil:
		return types.EmptyJID
	}
	return plain(s.Alt(jid))
}

// plain drops the device, and writes hosted accounts and the legacy server as
// the ordinary ones they stand for.
func plain(jid types.JID) types.JID {
	jid = jid.ToNonAD()
	switch jid.Server {
	case types.HostedServer, types.LegacyUserServer:
		jid.Server = types.DefaultUserServer
	case types.HostedLIDServer:
		jid.Server = types.HiddenUserServer
	}
	return jid
}

// mode names the form that jid is shown in.
func mode(jid types.JID) string {
	if jid.Server == types.HiddenUserServer {
		return string(types.AddressingModeLID)
	}
	return string(types.AddressingModePN)
}

// sender is the instance's own JID as the envelope shows it.
func (s Scope) sender() string {
	if s.Own.IsEmpty() {
		return ""
	}
	return plain(s.Own).String()
}

// Lane returns the chat under which events of jid are delivered in order: one
// lane for a chat, whichever of its forms an event names.
func (s Scope) Lane(jid types.JID) string {
	shown, _ := s.forms(jid, types.EmptyJID)
	return shown.String()
}
