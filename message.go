package pombo

import "time"

// Text is a request to send a text message.
type Text struct {
	Number string // a number or JID, as the caller gave it
	Text   string
	Delay  time.Duration // show "composing" for so long before sending
	Quoted *Quoted
	// MentionEveryone mentions all participants of a group; Mentioned names
	// numbers or JIDs.
	MentionEveryone bool
	Mentioned       []string
	LinkPreview     *bool
}

// Quoted names the message that another one answers.
type Quoted struct {
	ID        string
	RemoteJID string // "" for the chat that is written to
	FromMe    *bool
	// Participant is who wrote the quoted message, in a group; may be "".
	Participant string
	// Message is the quoted message as JSON (Baileys' form), if the caller gave it.
	Message []byte
}

// SentMessage is a message that WhatsApp took from us. Message is the waE2E
// protobuf as it was sent. It is kept to answer a recipient who could not
// decrypt it (a retry receipt), also after a restart.
type SentMessage struct {
	Instance InstanceID
	ID       string // the message's ID, for example 3EB0C767D26A1D4E5F6A01
	Chat     string // the JID it was sent to
	Message  []byte
	At       time.Time
}

// Sent is the answer to a send: the message as the Evolution API shows it.
type Sent struct {
	Chat   string
	ID     string
	Time   time.Time
	Status string // "PENDING"
	// Data is the payload of the SEND_MESSAGE event, which is also the answer in
	// the second dialect; DataV1 is the answer in the first.
	Data   []byte
	DataV1 []byte
}

// Poll is what is needed to read the votes in a poll, which name neither options
// nor anything else in the clear.
type Poll struct {
	Instance InstanceID
	Chat     string // the JID under which its chat's events are delivered
	ID       string // the poll's message ID
	Author   string // who made it, as WhatsApp named them: a JID without device
	Secret   []byte // of the poll's message
	Options  []string
	At       time.Time
}
