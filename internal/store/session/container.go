package session

import (
	"context"
	"database/sql"
	"sync"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
)

// Options say where devices are kept. All but CacheBytes are required.
type Options struct {
	// Devices is whatsmeow's own container, on the same tables.
	Devices *sqlstore.Container
	// Reads is where is read; it gives what is committed.
	Reads *sql.DB
	// Postgres says which database it is, and Form turns a statement with
	// placeholders like $1 into the database's own form.
	Postgres bool
	Form     func(string) string
	Writer   Writer
	// CacheBytes bounds the cache; 0 means 64 MiB.
	CacheBytes int64
}

const defaultCache = 64 << 20

// Container gives devices their stores. It takes the place of sqlstore's.
type Container struct {
	in     *sqlstore.Container
	reads  *sql.DB
	q      *queries
	writer Writer
	cache  *cache

	mu      sync.Mutex
	tallies map[string]*tally // by device; "" is what is kept for all
}

var _ store.DeviceContainer = (*Container)(nil)

// New makes a Container.
func New(o Options) *Container {
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCache
	}
	return &Container{
		in: o.Devices, reads: o.Reads, q: newQueries(o.Postgres, o.Form), writer: o.Writer,
		cache: newCache(o.CacheBytes), tallies: map[string]*tally{},
	}
}

// NewDevice makes a device that is not paired. It gets its stores when it is
// saved first.
func (c *Container) NewDevice() *store.Device {
	d := c.in.NewDevice()
	d.Container = c
	return d
}

// GetDevice loads a device; nil if there is none. What one that was loaded before
// has not committed is not in it.
func (c *Container) GetDevice(ctx context.Context, jid types.JID) (*store.Device, error) {
	d, err := c.in.GetDevice(ctx, jid)
	if d != nil {
		c.equip(d)
	}
	return d, err
}

// GetAllDevices loads all devices.
func (c *Container) GetAllDevices(ctx context.Context) ([]*store.Device, error) {
	all, err := c.in.GetAllDevices(ctx)
	for _, d := range all {
		c.equip(d)
	}
	return all, err
}

// PutDevice saves a device.
func (c *Container) PutDevice(ctx context.Context, d *store.Device) error {
	first := !d.Initialized
	err := c.in.PutDevice(ctx, d)
	if first && d.Initialized {
		c.equip(d)
	}
	return err
}

// DeleteDevice deletes a device and all that it has.
func (c *Container) DeleteDevice(ctx context.Context, d *store.Device) error {
	if d.ID == nil {
		return sqlstore.ErrDeviceIDMustBeSet
	}
	jid := d.ID.String()
	defer c.tally(jid).begin(true)()
	err := c.in.DeleteDevice(ctx, d)
	c.cache.removeAll(jid, 0, "")
	return err
}

// equip puts our stores into a device to which sqlstore has given its own.
func (c *Container) equip(d *store.Device) {
	dev := newDevice(c, d)
	d.Identities, d.Sessions, d.PreKeys, d.SenderKeys = dev, dev, dev, dev
	d.AppStateKeys, d.AppState, d.Contacts, d.ChatSettings = dev, dev, dev, dev
	d.MsgSecrets, d.PrivacyTokens, d.EventBuffer, d.LIDs = dev, dev, dev, dev
	d.Container = c
}
