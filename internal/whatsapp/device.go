package whatsapp

import (
	"context"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/store"

	"pombo"
)

// stores joins what whatsmeow keeps for one device with what it keeps for all.
type stores struct {
	store.AllSessionSpecificStores
	store.LIDStore
}

// guardDevice puts the guard before all stores of a device, and this line before
// its container. A device that was never saved has no stores yet: they come with
// its first PutDevice.
func (l *line) guardDevice(d *store.Device) {
	d.Container = &container{l: l, in: d.Container}
	if !d.Initialized {
		return
	}
	l.guardStores(d)
}

func (l *line) guardStores(d *store.Device) {
	specific, ok := d.Identities.(store.AllSessionSpecificStores)
	if !ok {
		return
	}
	var all store.AllStores = stores{specific, d.LIDs}
	if wrap := l.s.n.o.WrapStores; wrap != nil {
		all = wrap(all)
	}
	u, _ := d.Identities.(unit)
	l.mu.Lock()
	l.unit = u
	l.mu.Unlock()
	g := &guard{l, all, u}
	d.Identities, d.Sessions, d.PreKeys, d.SenderKeys = g, g, g, g
	d.AppStateKeys, d.AppState, d.Contacts, d.ChatSettings = g, g, g, g
	d.MsgSecrets, d.PrivacyTokens, d.EventBuffer, d.LIDs = g, g, g, g
}

// container guards the saving and deleting of a device.
type container struct {
	l  *line
	in store.DeviceContainer
}

// PutDevice tells the registry of a new device before it is saved: after a crash
// between the two the instance counts as not paired, while a device that no
// instance knew of would stay for ever.
//
// sqlstore gives the device its stores, and itself as container, on the first
// save; both are guarded again.
func (c *container) PutDevice(ctx context.Context, d *store.Device) error {
	if !c.l.enter() {
		return errOver
	}
	defer c.l.leave()
	ctx, cancel := c.l.bound(ctx)
	defer cancel()
	if d.Initialized {
		return c.l.insist(ctx, "save the device", func(ctx context.Context) error { return c.in.PutDevice(ctx, d) })
	}
	return c.putFirst(ctx, d)
}

// putFirst saves a device that was just paired. If it fails, whatsmeow tells
// WhatsApp so and disconnects, for which it needs the line.
func (c *container) putFirst(ctx context.Context, d *store.Device) error {
	jid, lid := d.GetJID(), d.GetLID().ToNonAD()
	err := c.l.persist(ctx, "record the pairing", func(ctx context.Context) error {
		err := c.l.s.n.o.Registry.Paired(ctx, c.l.s.id, jid.String(), lid.String())
		if pombo.KindOf(err) == pombo.NotFound {
			return fmt.Errorf("%w: %w", errGone, err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("recording the pairing: %w", err)
	}
	err = c.l.persist(ctx, "save the device", func(ctx context.Context) error { return c.in.PutDevice(ctx, d) })
	if d.Initialized {
		d.Container = c
		c.l.guardStores(d)
	}
	if err != nil {
		return fmt.Errorf("saving the device: %w", err)
	}
	c.l.mu.Lock()
	c.l.saved = account{jid: jid, lid: lid}
	c.l.mu.Unlock()
	return nil
}

// errKept is what whatsmeow gets when it wants to delete a device.
var errKept = errors.New("the session deletes the device")

// DeleteDevice does nothing: when WhatsApp has logged a device out, whatsmeow
// deletes it at once, while the session first appends the events that say so and
// deletes it then. See Session.forget.
//
// It says so, too: whatsmeow would go on to clear fields of the device that others
// read meanwhile, without a lock.
func (c *container) DeleteDevice(context.Context, *store.Device) error { return errKept }
