package pombo

import (
	"io"
	"time"
)

// Media is a file that came with a message: where it can be fetched, and what
// the message says about it. The sender of the message chose all of that.
type Media struct {
	// ID names the file: 32 hexadecimal digits that nobody can guess, the same for
	// every time that its message comes.
	ID       string     `json:"-"`
	Instance InstanceID `json:"-"`
	Message  string     `json:"-"` // the message's ID
	At       time.Time  `json:"-"` // when its message was appended
	// Missed says why deliveries go out without the file; "" if they do not.
	Missed string `json:"-"`

	// Chat and Sender are JIDs as the stanza named them; with them the phone is
	// asked for a file that WhatsApp no longer has.
	Chat   string `json:"chat"`
	Sender string `json:"sender"`
	FromMe bool   `json:"fromMe,omitempty"`
	Group  bool   `json:"group,omitempty"`

	Type       string `json:"type"` // the field of the message: "imageMessage", …
	URL        string `json:"url,omitempty"`
	DirectPath string `json:"directPath,omitempty"`
	Key        []byte `json:"key,omitempty"`
	SHA256     []byte `json:"sha256,omitempty"`
	EncSHA256  []byte `json:"encSha256,omitempty"`

	Size     int64  `json:"size,omitempty"` // in bytes, as the sender says
	Mimetype string `json:"mimetype,omitempty"`
	FileName string `json:"fileName,omitempty"`
	Caption  string `json:"caption,omitempty"`
	Width    uint32 `json:"width,omitempty"` // in pixels
	Height   uint32 `json:"height,omitempty"`
}

// Attachment ties an event to the file of its message. The zero value is none.
type Attachment struct {
	ID string // the Media's
	// Offset is where in the event's Data the file goes when it is sent with it:
	// before the bracket that closes data.message.
	Offset int
	// Media is what is kept of the file. It is set only to append the event.
	Media *Media
	// Wanted tells that one of the webhooks to which the event goes wants the file
	// with it. The store sets it when it announces the event's deliveries.
	Wanted bool
}

// MediaFile is a file on disk, decrypted. Close it.
type MediaFile struct {
	io.ReadSeekCloser
	Media
	Length int64 // in bytes
}

// MediaRequest names the message whose file is asked for.
type MediaRequest struct {
	ID      string // the message's
	Key     MessageKey
	Message []byte // the message as JSON (Baileys' form), if the caller gave it
}
