package pombo

import "time"

// MessageKey names a message as the Evolution API does.
type MessageKey struct {
	ID        string
	RemoteJID string // the chat
	FromMe    bool
	// Participant is who wrote it, in a group and if not we; may be "".
	Participant string
}

// Typing is a request to show what the account is doing.
type Typing struct {
	Number string // a number or JID, as the caller gave it
	// Presence is composing, recording or paused, in that chat; or available or
	// unavailable, for all.
	Presence string
	Delay    time.Duration // how long it is shown
}

// Edit is a request to change the text of a message.
type Edit struct {
	Number string // a number or JID, as the caller gave it
	Key    MessageKey
	Text   string // the new one
}

// NumberCheck says whether a number, or a group, is on WhatsApp.
type NumberCheck struct {
	Number string // as it was asked for
	JID    string
	Exists bool
	Name   string // of a group; may be ""
	LID    string // the hidden form, if it is known
}
