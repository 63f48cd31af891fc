// Package instance owns the lifecycle of instances: create, connect, restart,
// log out, delete, and the restoring of all of them when the server starts. It
// keeps the registry of living instances in memory (what the API reads) and in
// the store (what survives), and never speaks WhatsApp itself: sessions are
// made by a factory that it is given.
package instance

import (
	"context"
	"log/slog"

	"pombo"
)

// Store is what survives a restart. *store.Store is one.
type Store interface {
	Instances(ctx context.Context) ([]pombo.Instance, error)
	// CreateInstance stores an instance, its webhook if there is one, and its
	// first events, all or nothing.
	CreateInstance(ctx context.Context, i pombo.Instance, w *pombo.Webhook, events ...pombo.Event) error
	UpdateInstance(ctx context.Context, i pombo.Instance, events ...pombo.Event) error
	// DeleteInstance deletes an instance and appends its last events, all or
	// nothing.
	DeleteInstance(ctx context.Context, id pombo.InstanceID, events ...pombo.Event) error
	Append(ctx context.Context, events ...pombo.Event) error
}

// WebhookStore keeps the first webhook of each instance. *store.Store is one.
type WebhookStore interface {
	// GiveUp ends what is pending for the instance's own webhooks.
	GiveUp(ctx context.Context, id pombo.InstanceID) error
	// PutWebhook stores the first webhook, or changes the one with w's ID.
	PutWebhook(ctx context.Context, w pombo.Webhook) (pombo.Webhook, error)
	Webhook(ctx context.Context, id pombo.InstanceID) (pombo.Webhook, bool, error)
	// DisableWebhook switches a webhook off if it still posts to url, and tells
	// whether it did.
	DisableWebhook(ctx context.Context, id, url string) (bool, error)
}

// WebhookListStore keeps the other webhooks of each instance. *store.Store is one.
type WebhookListStore interface {
	AddWebhook(ctx context.Context, w pombo.Webhook) (pombo.Webhook, error)
	// InstanceWebhooks returns all webhooks of an instance, the first included.
	InstanceWebhooks(ctx context.Context, id pombo.InstanceID) ([]pombo.Webhook, error)
	RemoveWebhook(ctx context.Context, id pombo.InstanceID, webhook string) error
}

// Deliverer is told of each change to a webhook, so that it is in force for the
// next event. *dispatch.Dispatcher is one.
type Deliverer interface {
	SetWebhook(w pombo.Webhook)
	RemoveWebhook(id string)
}

// Session is an instance's connection to WhatsApp.
type Session interface {
	// Connect begins to log in or, for an instance without a phone, to pair; with
	// a number also by pairing code. It returns at once.
	Connect(ctx context.Context, number string) error
	// Wait returns when there is a code to scan, or the state is open, or the
	// attempt has failed.
	Wait(ctx context.Context) (pombo.ConnectionState, pombo.QR, error)
	Snapshot() (pombo.ConnectionState, pombo.QR)
	// Logout unlinks the device at WhatsApp and forgets it.
	Logout(ctx context.Context) error
	// Close disconnects and keeps the device.
	Close(ctx context.Context) error
}

// Sender is the part of a session that sends messages.
type Sender interface {
	SendText(ctx context.Context, t pombo.Text) (pombo.Sent, error)
}

// Tuner is the part of a session that takes settings. It must not wait for
// anything: the instance's record is locked meanwhile.
type Tuner interface {
	SetSettings(s pombo.Settings)
}

// Options configure a Manager; all fields but Logger are required.
type Options struct {
	Store    Store
	Webhooks WebhookStore
	// WebhookList is the same store.
	WebhookList WebhookListStore
	Deliver     Deliverer
	// NewSession makes the session of an instance; it must not connect yet. A
	// session that can send is a Sender too.
	NewSession func(pombo.Instance) Session
	// Files keeps the files of messages.
	Files Files
	// BlockedHost, if set, tells whether the host of a webhook's URL is spelled as
	// an address that cannot be posted to, and why.
	BlockedHost func(host string) (reason string, blocked bool)
	Logger      *slog.Logger // nil: nothing is logged
}
