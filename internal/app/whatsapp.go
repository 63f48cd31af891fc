package app

import (
	"context"
	"fmt"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"pombo"
	"pombo/internal/config"
	"pombo/internal/store"
	"pombo/internal/whatsapp"
)

// Faults let tests break what must not lose an event. The zero value breaks
// nothing.
type Faults struct {
	// Store is asked before each of our transactions ("append", "settle", …).
	Store func(op string) error
	// Stores is put around what whatsmeow keeps.
	Stores func(wastore.AllStores) wastore.AllStores
	// OnEvent is called with each event of whatsmeow before it is translated, and
	// may panic.
	OnEvent func(evt any)
	// Patience is how long one connection waits for a store that fails before it
	// starts over, and MaxBackoff the longest pause before it does; 0: the usual.
	Patience, MaxBackoff time.Duration
	// PlainSessions keeps the devices' keys in whatsmeow's own store, as it is: each of
	// its writes is a transaction that waits for the disk. It is there to compare with.
	PlainSessions bool
}

// openWhatsApp makes the way to WhatsApp, or to the sandbox.
func (a *App) openWhatsApp() (*whatsapp.Network, error) {
	cfg := a.o.Config.WhatsApp
	var devices whatsapp.Devices = a.store.Devices()
	unsynced := store.Unsynced
	if a.o.Faults.PlainSessions {
		devices, unsynced = a.store.PlainDevices(), nil
	}
	return whatsapp.New(whatsapp.Options{
		Devices: devices, Sink: sink{a}, Sent: a.store, Polls: a.store, History: a.store, Registry: registry{a},
		Logger:     a.log.With("part", "whatsapp"),
		LibraryLog: a.o.Config.Log.Library.Level(),
		Transport:  a.network.transport, RootKey: a.network.rootKey,
		DataDir: a.o.Config.Server.DataDir, Version: pinned(cfg.PhoneVersion),
		File:    a.fileNamer(),
		QRLimit: cfg.QRCodeLimit, PhoneClient: cfg.PhoneClient, PhoneName: string(cfg.PhoneName),
		Unsynced:   unsynced,
		WrapStores: a.o.Faults.Stores, OnEvent: a.o.Faults.OnEvent,
		Patience: a.o.Faults.Patience, MaxBackoff: a.o.Faults.MaxBackoff,
	})
}

func pinned(v config.WebVersion) string {
	if v == (config.WebVersion{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
}

// registry passes on what sessions report. It exists because manager and
// network need each other: sessions are made by the one for the other.
type registry struct{ a *App }

func (r registry) Paired(ctx context.Context, id pombo.InstanceID, jid, lid string) error {
	return r.a.manager.Paired(ctx, id, jid, lid)
}

func (r registry) Profile(ctx context.Context, id pombo.InstanceID, name, pictureURL string) error {
	return r.a.manager.Profile(ctx, id, name, pictureURL)
}

func (r registry) LoggedOut(ctx context.Context, id pombo.InstanceID, d pombo.Disconnection) error {
	return r.a.manager.LoggedOut(ctx, id, d)
}
