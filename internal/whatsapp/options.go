package whatsapp

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"pombo"
)

// Sink takes events. Append returns nil only when they are safe: that is what
// lets the stanza they came from be confirmed. It must ignore an event that it
// already has (same instance, name and key).
type Sink interface {
	Append(ctx context.Context, events ...pombo.Event) error
}

// Devices keeps what whatsmeow needs, for all instances: whatsmeow's own container
// (sqlstore), or one whose stores have units (see unit).
type Devices interface {
	NewDevice() *store.Device
	// GetDevice returns nil if there is none.
	GetDevice(ctx context.Context, jid types.JID) (*store.Device, error)
	DeleteDevice(ctx context.Context, d *store.Device) error
}

// SentStore keeps what was sent, to answer a recipient who could not decrypt it.
type SentStore interface {
	PutSent(ctx context.Context, m pombo.SentMessage) error
	Sent(ctx context.Context, instance pombo.InstanceID, id string) (pombo.SentMessage, bool, error)
}

// HistoryStore keeps the parts of accounts' histories that are to be fetched.
type HistoryStore interface {
	// PutHistory ignores a part that it has or had.
	PutHistory(ctx context.Context, p pombo.HistoryPart) error
	// NextHistory returns the part to fetch next, whose time may not have come.
	NextHistory(ctx context.Context, instance pombo.InstanceID, now time.Time) (pombo.HistoryPart, bool, error)
	// TellHistory appends events and keeps how far a part is, in one transaction. A
	// part that does not wait any more is NotFound.
	TellHistory(ctx context.Context, p pombo.HistoryPart, events ...pombo.Event) error
	EndHistory(ctx context.Context, instance pombo.InstanceID, id string) error
	ClearHistory(ctx context.Context, instance pombo.InstanceID) error
}

// Registry is told what becomes of an instance.
type Registry interface {
	// Paired is called before the device is saved, so that no device is without an
	// instance. jid has a device part, lid has not.
	Paired(ctx context.Context, id pombo.InstanceID, jid, lid string) error
	Profile(ctx context.Context, id pombo.InstanceID, name, pictureURL string) error
	// LoggedOut is called after the device is deleted.
	LoggedOut(ctx context.Context, id pombo.InstanceID, d pombo.Disconnection) error
}

// Options configure a Network. Devices, Sink, Sent, Polls, History and Registry
// are required.
type Options struct {
	Devices  Devices
	Sink     Sink
	Sent     SentStore
	Polls    PollStore
	History  HistoryStore
	Registry Registry
	Logger   *slog.Logger // nil: nothing is logged
	// LibraryLog is the least of whatsmeow's own levels that is logged; each is
	// logged one step lower than the library has it.
	LibraryLog slog.Level

	// Transport carries every request; nil is the way to the real WhatsApp. With a
	// Transport nothing is looked up on the internet.
	Transport http.RoundTripper
	// RootKey is the key that the network's certificates lead to; nil is
	// WhatsApp's. It is set for the whole process (whatsmeow has one variable).
	RootKey *[32]byte

	// DataDir keeps the last known version of WhatsApp Web; "" keeps none.
	DataDir string
	// Version pins the version of WhatsApp Web that is announced, "2.3000.1023";
	// "" looks it up.
	Version string

	// File names the file of the message whose event has this key: its ID, and the
	// address under which it can be had, "" if there is none. nil: files are left
	// alone.
	File func(instance pombo.InstanceID, key string) (id, url string)

	// QRLimit is how many QR codes one pairing shows; 0 means 30.
	QRLimit int
	// PhoneClient and PhoneName are what the phone lists under "Linked devices":
	// the program ("" means "Pombo") and the browser ("" means "Chrome").
	PhoneClient string
	PhoneName   string

	// Patience is how long one connection waits for a store that fails before it
	// starts over; 0 means 60 s. More than 4 minutes is not allowed: whatsmeow
	// goes on without a handler after five.
	Patience time.Duration
	// MaxBackoff is the longest pause before WhatsApp is called again; 0 means
	// 5 min, or 1 h before a part of the history is fetched again. The first pause
	// is 1 s (5 s), or MaxBackoff if that is shorter.
	MaxBackoff time.Duration

	// Unsynced marks a write of the history or of the app state whose commit need not
	// wait for the disk: the append of what is told of it does, and takes it along.
	// nil: every write waits by itself.
	Unsynced func(context.Context) context.Context

	// WrapStores is put between the guard and whatsmeow's stores; tests inject
	// faults with it. nil: nothing is between.
	WrapStores func(store.AllStores) store.AllStores
	// OnEvent is called before an event is translated; tests make it panic.
	OnEvent func(evt any)
}

// timing are the pauses and limits that tests shorten.
type timing struct {
	patience   time.Duration // see Options.Patience
	retryMin   time.Duration // first pause before a store is asked again
	retryMax   time.Duration
	keep       time.Duration // for a message that is sent to be stored before
	backoffMin time.Duration // first pause before WhatsApp is called again
	backoffMax time.Duration
	settled    time.Duration // an open connection this old resets the backoff
	dial       time.Duration // for the connection and its handshake
	login      time.Duration // from the handshake to the answer to the login
	grace      time.Duration // how long after the socket ends its reason may come
	qrFirst    time.Duration // the first code of a connection is shown so long
	qrNext     time.Duration // and each other one
	pairCode   time.Duration // for WhatsApp to give a pairing code
	profile    time.Duration // for WhatsApp to tell the own picture
	historyMin time.Duration // first pause before a part of the history is fetched again
	historyMax time.Duration
}

func defaultTiming() timing {
	return timing{
		patience: time.Minute, retryMin: 50 * time.Millisecond, retryMax: 2 * time.Second, keep: 5 * time.Second,
		backoffMin: time.Second, backoffMax: 5 * time.Minute, settled: 30 * time.Second,
		dial: 45 * time.Second, login: 60 * time.Second, grace: 500 * time.Millisecond,
		// WhatsApp Web shows the first code for 60 s and the others for 20 s
		// (whatsmeow qrchan.go).
		qrFirst: 60 * time.Second, qrNext: 20 * time.Second,
		pairCode: 15 * time.Second, profile: 2 * time.Second,
		historyMin: 5 * time.Second, historyMax: time.Hour,
	}
}

// maxPatience stays below the 10 × 30 s after which whatsmeow handles the next
// node beside the one that waits (client.go, handlerQueueLoop).
const maxPatience = 4 * time.Minute
