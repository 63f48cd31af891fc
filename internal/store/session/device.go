package session

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"pombo"
)

// Device is what one connection uses of a device's keys. The next connection gets
// a new one, which knows nothing of what this one has not committed.
//
// Reading and writing one session excludes no other by itself: who encrypts, and
// who decrypts, must take turns (from GetManySessions or GetSession to the Put;
// from DoDecryptionTxn to End).
type Device struct {
	c     *Container
	jid   string
	own   [2]string // our own addresses
	tally *tally

	// What has no part in reading messages.
	store.AppStateSyncKeyStore
	store.AppStateStore
	store.ChatSettingsStore
	store.PrivacyTokenStore
	transaction func(context.Context, func(context.Context) error) error

	mu     sync.Mutex
	unit   overlay // nil: none is open
	riders overlay
	events []pombo.Event // that go with the next commit, in order

	committing chan struct{} // capacity 1: one commit of rows at a time
	preKeys    sync.Mutex
	contacts   sync.Mutex
	buffer     buffer
}

var _ store.AllStores = (*Device)(nil)

// What internal/whatsapp looks for in a device's stores.
var _ interface {
	Add(events ...pombo.Event)
	Flush(ctx context.Context) error
	Open() bool
	End(keep bool, events ...pombo.Event)
	Sending(ctx context.Context) context.Context
	Migrated(pn types.JID) bool
	Atomically(ctx context.Context, fn func(context.Context) error) error
} = (*Device)(nil)

func newDevice(c *Container, d *store.Device) *Device {
	return &Device{
		c: c, jid: d.ID.String(), tally: c.tally(d.ID.String()),
		own:                  [2]string{d.GetJID().SignalAddress().String(), d.GetLID().SignalAddress().String()},
		AppStateSyncKeyStore: d.AppStateKeys, AppStateStore: d.AppState,
		ChatSettingsStore: d.ChatSettings, PrivacyTokenStore: d.PrivacyTokens, transaction: d.EventBuffer.DoDecryptionTxn,
		riders: overlay{}, committing: make(chan struct{}, 1),
	}
}

// Atomically commits what fn writes of the app state in one transaction, or nothing
// of it. fn must write nothing else.
func (d *Device) Atomically(ctx context.Context, fn func(context.Context) error) error {
	return d.transaction(ctx, fn)
}

// overlay is changes that are not committed.
type overlay map[key]*entry

// txn is the changes of one decryption that is under way.
type txn struct {
	changes overlay
	// apart says that the plaintext is committed with the unit.
	apart bool
	hash  [32]byte
}

type txnKey struct{}

func within(ctx context.Context) *txn {
	t, _ := ctx.Value(txnKey{}).(*txn)
	return t
}

type sendingKey struct{}

// Sending marks the context of a message that is being encrypted: what changes
// besides its sessions is committed with them, in PutManySessions.
func (*Device) Sending(ctx context.Context) context.Context {
	return context.WithValue(ctx, sendingKey{}, true)
}

func sending(ctx context.Context) bool {
	marked, _ := ctx.Value(sendingKey{}).(bool)
	return marked
}

func (d *Device) key(kind kind, a string) key { return key{jid: d.jid, kind: kind, a: a} }

// pending returns a change that is not committed. Only a decryption, and who asks
// for it, sees the unit.
func (d *Device) pending(ctx context.Context, k key, unit bool) (*entry, bool) {
	t := within(ctx)
	if t != nil {
		if e, ok := t.changes[k]; ok {
			return e, true
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if unit || t != nil {
		if e, ok := d.unit[k]; ok {
			return e, true
		}
	}
	e, ok := d.riders[k]
	return e, ok
}

// view returns a value, nil if there is none. query finds it in the database.
func (d *Device) view(ctx context.Context, k key, unit bool, query string, args ...any) ([]byte, error) {
	if e, ok := d.pending(ctx, k, unit); ok {
		return e.value, nil
	}
	if v, ok := d.c.cache.get(k); ok {
		value, _ := v.([]byte)
		return value, nil
	}
	keep, done := d.tally.reading(d.c.cache, one(k))
	defer done()
	var value []byte
	err := d.c.readOne(ctx, query, args, &value)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		keep(k, nil, 0)
		return nil, nil
	case err != nil:
		return nil, err
	}
	keep(k, value, len(value))
	return value, nil
}

// through commits changes, with all that waits.
func (d *Device) through(ctx context.Context, changes overlay, w *Writes) error {
	if err := d.lock(ctx); err != nil {
		return err
	}
	defer d.unlock()
	if err := d.commit(ctx, w, d.riders, changes); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := range changes { // what the unit has is older
		delete(d.unit, k)
	}
	return nil
}

// Add lets events go with the next commit, whichever it is: in the order in which
// they were added, and none before what was added or ended earlier.
func (d *Device) Add(events ...pombo.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, events...)
}

// Flush returns when all that was added and ended before the call is committed. It
// can be repeated.
func (d *Device) Flush(ctx context.Context) error { return d.through(ctx, nil, nil) }

// Open tells whether a unit waits for End.
func (d *Device) Open() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unit != nil
}

// End closes the unit. keep says that it goes with the next commit, together with
// the events that were in its message; otherwise it never was.
func (d *Device) End(keep bool, events ...pombo.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if keep {
		for k, e := range d.unit {
			d.riders[k] = e
		}
	}
	d.unit = nil
	d.events = append(d.events, events...)
}

func (d *Device) lock(ctx context.Context) error {
	select {
	case d.committing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Device) unlock() { <-d.committing }

// commit commits what is in overlays, later ones over earlier ones, with the
// events that wait, and takes it out of them. After a failure nobody knows whether
// it took place: what is in the cache of it may be old, and all stays as it is. The
// caller has the lock.
func (d *Device) commit(ctx context.Context, w *Writes, overlays ...overlay) error {
	if w == nil {
		w = &Writes{}
	}
	d.mu.Lock()
	var taken []row
	for _, o := range overlays {
		for k, e := range o {
			taken = append(taken, row{k, e})
			w.add(k, e)
		}
	}
	events := slices.Clone(d.events)
	d.mu.Unlock()
	if w.Empty() && len(events) == 0 {
		return nil
	}
	changed := make([]key, 0, len(taken))
	lids := false
	for _, r := range taken {
		changed = append(changed, r.cached())
		lids = lids || r.kind == lidKind
	}
	defer d.tally.begin(len(w.statements) > 0, changed...)()
	if lids {
		defer d.c.tally("").begin(true)()
	}
	err := d.c.writer.Write(ctx, w, events...)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.events = slices.Delete(d.events, 0, len(events))
	}
	for _, r := range taken {
		d.c.settled(r, err)
		if err != nil {
			continue
		}
		for _, o := range overlays {
			if o[r.key] == r.entry {
				delete(o, r.key)
			}
		}
	}
	return err
}

// cached is the thing in the cache that a row changes.
func (r row) cached() key {
	if r.kind == pushKind || r.kind == businessKind {
		return key{jid: r.jid, kind: contactKind, a: r.a}
	}
	return r.key
}

// settled brings the cache up to date with a row that was committed, or may have
// been.
func (c *Container) settled(r row, err error) {
	switch r.kind {
	case secretKind, bufferKind:
		return
	case preKeyKind:
		c.cache.remove(r.key)
		return
	case lidKind:
		c.settledLID(r, err)
		return
	case pushKind, businessKind:
		c.settledName(r, err)
		return
	case sessionKind, identityKind:
		c.mayMove(r.jid, r.a)
	case senderKeyKind:
		c.mayMove(r.jid, r.b)
	}
	switch {
	case err != nil:
		c.cache.remove(r.key)
	case r.deleted:
		c.cache.put(r.key, nil, 0)
	default:
		c.cache.put(r.key, r.value, len(r.value))
	}
}

// read calls scan for each row.
//
// database/sql starts a goroutine for each reading with a context that can end. On
// SQLite nothing takes long but to wait for a connection, so the context is for that.
func (c *Container) read(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	if c.q.postgres {
		return scanRows(ctx, c.reads, query, args, scan)
	}
	conn, err := c.reads.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return scanRows(context.WithoutCancel(ctx), conn, query, args, scan)
}

// readOne scans the first row; sql.ErrNoRows: there is none.
func (c *Container) readOne(ctx context.Context, query string, args []any, into ...any) error {
	found := false
	err := c.read(ctx, query, args, func(rows *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		return rows.Scan(into...)
	})
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func scanRows(ctx context.Context, in queryer, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := in.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// chunks calls do for consecutive parts of n values, each with the statement for
// its number.
func chunks(n int, texts [len(bulkSizes)]string, do func(from, to int, query string) error) error {
	for from := 0; from < n; {
		for i, size := range bulkSizes {
			if from+size > n {
				continue
			}
			if err := do(from, from+size, texts[i]); err != nil {
				return err
			}
			from += size
			break
		}
	}
	return nil
}
