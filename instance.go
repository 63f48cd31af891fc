package pombo

import "time"

// InstanceID identifies an instance for good: a UUID in canonical form. A name
// can be used again after its instance was deleted; an ID never.
type InstanceID string

// Instance is one WhatsApp account that the gateway holds a session for.
type Instance struct {
	ID    InstanceID
	Name  string // unique among living instances; see ValidateInstanceName
	Token string // the instance's own API key; secret
	// JWTID names the one of the instance's JWTs that can be exchanged for a new one.
	JWTID string
	// Integration is the kind of connection; only "WHATSAPP-BAILEYS" is served,
	// the name under which clients know a WhatsApp Web session.
	Integration string
	Number      string // as given at creation for a pairing code; may be ""
	// JID is the paired device ("5511999990000:3@s.whatsapp.net"), "" before
	// pairing and after a logout. LID is its hidden-number form, without device.
	JID string
	LID string

	ProfileName       string
	ProfilePictureURL string

	Settings      Settings
	Disconnection Disconnection

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Paired tells whether a phone has linked this instance.
func (i Instance) Paired() bool { return i.JID != "" }

// Settings are an instance's habits (POST /settings/set).
type Settings struct {
	RejectCall      bool   `json:"rejectCall"`
	MsgCall         string `json:"msgCall"`
	GroupsIgnore    bool   `json:"groupsIgnore"`
	AlwaysOnline    bool   `json:"alwaysOnline"`
	ReadMessages    bool   `json:"readMessages"`
	ReadStatus      bool   `json:"readStatus"`
	SyncFullHistory bool   `json:"syncFullHistory"`
}

// Disconnection says why an instance was last closed for good; the zero value
// means it never was.
type Disconnection struct {
	Code   int    // the reason as the Evolution API numbers it, for example 401
	Object string // a JSON text with details, as the Evolution API gives it
	At     time.Time
}

// ConnectionState is an instance's connection to WhatsApp, in the words of the
// Evolution API.
type ConnectionState string

// The states of a connection.
const (
	StateOpen       ConnectionState = "open"       // logged in, messages flow
	StateConnecting ConnectionState = "connecting" // on its way, or waiting for a scan
	StateClose      ConnectionState = "close"      // not connected and not trying
)

// QR is what a phone scans, or its user types, to link an instance.
type QR struct {
	Code        string // the text of the QR code; "" before the first one
	PairingCode string // eight characters, only if a number was given
	Count       int    // how many codes this pairing has shown, from 1
}

// ValidateInstanceName returns an Invalid error that says what is wrong with
// name: it must have 1 to 100 characters, no "/", no control characters, and
// no space at either end.
func ValidateInstanceName(name string) error {
	switch n := len([]rune(name)); {
	case n == 0:
		return Errorf(Invalid, "instanceName is required: give the instance a name of 1 to 100 characters")
	case n > 100:
		return Errorf(Invalid, "instanceName has %d characters: at most 100 are allowed", n)
	}
	for _, r := range name {
		if r == '/' {
			return Errorf(Invalid, "instanceName %q contains \"/\": leave it out, since the name is a part of the URL", name)
		}
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return Errorf(Invalid, "instanceName %q contains a control character: leave it out", name)
		}
	}
	if name[0] == ' ' || name[len(name)-1] == ' ' {
		return Errorf(Invalid, "instanceName %q begins or ends with a space: remove it", name)
	}
	if name == "." || name == ".." {
		return Errorf(Invalid, "instanceName %q cannot be used in a URL: choose another", name)
	}
	return nil
}

// NewInstance is a request to create an instance.
type NewInstance struct {
	Name        string
	Token       string // "" to have one made
	Integration string // "" for WHATSAPP-BAILEYS
	Number      string // asks for a pairing code beside the QR code; digits
	QRCode      bool   // begin pairing at once and answer with the first code
	Settings    Settings
	Webhook     *WebhookChange // nil: none
}

// InstanceView is an instance with what is true of it at this moment.
type InstanceView struct {
	Instance
	State ConnectionState
	QR    QR // the code shown now; zero if none is
	// Unlinked tells that the phone or WhatsApp ended the pairing since the gateway
	// started, without anybody asking Pombo to, and that there is no new one.
	Unlinked bool
	// JWT is a new token, where one is to be told; otherwise "".
	JWT string
}
