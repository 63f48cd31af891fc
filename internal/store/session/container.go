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
	t := c.tally(jid)
	t.begin()
	defer t.end()
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

// tally tells whether a commit has been under way since a moment. What was read
// from the database beside a commit may be old, and must not get into the cache.
type tally struct {
	mu sync.Mutex
	commits
}

// commits are counted beginnings and ends. The tally's mutex guards them.
type commits struct {
	number int
	busy   int
}

func (c *commits) change(n int) {
	c.number++
	c.busy += n
}

func (c *Container) tally(jid string) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tallies[jid]
	if t == nil {
		t = &tally{}
		c.tallies[jid] = t
	}
	return t
}

func (t *tally) begin() { t.count(1, nil) }

func (t *tally) end() { t.count(-1, nil) }

// count counts a beginning (1) or an end (-1), also among those of one device.
func (t *tally) count(n int, device *commits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(n)
	if device != nil {
		device.change(n)
	}
}

// reading returns a function that keeps a value in the cache, if no commit has
// been under way since reading was called, but for those of a device that may be
// given.
func (t *tally) reading(c *cache, but *commits) func(k key, value any, n int) {
	if but == nil {
		but = &commits{}
	}
	t.mu.Lock()
	number, quiet := t.number-but.number, t.busy == but.busy
	t.mu.Unlock()
	return func(k key, value any, n int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if quiet && t.number-but.number == number {
			c.put(k, value, n)
		}
	}
}
