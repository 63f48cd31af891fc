package session

import (
	"context"
	"database/sql"
	"strings"

	"go.mau.fi/whatsmeow/types"
)

// Migrated tells whether MigratePNToLID has nothing to do.
func (d *Device) Migrated(pn types.JID) bool {
	_, done := d.c.cache.get(d.key(migratedKind, pn.SignalAddressUser()))
	return done
}

// MigratePNToLID moves what is kept under a user's phone number to the LID:
// sessions, identities and sender keys. It replaces what is there, as sqlstore
// does. That it is done is noted after the commit.
//
// Nobody else may read and write these sessions meanwhile.
func (d *Device) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	from, to := pn.SignalAddressUser(), lid.SignalAddressUser()
	if d.Migrated(pn) {
		return nil
	}
	// Most often there is nothing to move, and no commit has to be waited for to know
	// it: what this device commits is among the riders until it can be read.
	keep, done := d.tally.reading(d.c.cache, addressed(from+":"))
	defer done()
	old, err := d.under(ctx, from)
	if err != nil {
		return err
	}
	if len(old) == 0 {
		keep(d.key(migratedKind, from), true, 0)
		d.c.cache.remove(d.key(unusedKind, from)) // it was for this
		return nil
	}
	if err := d.lock(ctx); err != nil {
		return err
	}
	defer d.unlock()
	if old, err = d.under(ctx, from); err != nil {
		return err
	}
	changes := make(overlay, 2*len(old))
	for k, e := range old {
		changes[k] = &entry{deleted: true}
		if e.deleted {
			continue
		}
		if k.kind == senderKeyKind {
			k.b = to + strings.TrimPrefix(k.b, from)
		} else {
			k.a = to + strings.TrimPrefix(k.a, from)
		}
		changes[k] = e
	}
	if err := d.commit(ctx, nil, d.riders, changes); err != nil {
		return err
	}
	d.c.cache.put(d.key(migratedKind, from), true, 0)
	return nil
}

// under returns what is kept under a user's addresses, with the changes that are not
// committed.
func (d *Device) under(ctx context.Context, user string) (overlay, error) {
	prefix := user + ":"
	waiting := d.ridersUnder(prefix) // first: what is committed meanwhile is found below
	if _, unused := d.c.cache.get(d.key(unusedKind, user)); unused {
		return waiting, nil
	}
	found := overlay{}
	err := d.c.read(ctx, d.c.q.moved, []any{d.jid, prefix}, func(rows *sql.Rows) error {
		k := key{jid: d.jid}
		var value []byte
		err := rows.Scan(&k.kind, &k.a, &k.b, &value)
		found[k] = &entry{value: value}
		return err
	})
	if err != nil {
		return nil, err
	}
	for k, e := range waiting {
		found[k] = e
	}
	return found, nil
}

func (d *Device) ridersUnder(prefix string) overlay {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := overlay{}
	of := addressed(prefix)
	for k, e := range d.riders {
		if of(k) {
			found[k] = e
		}
	}
	return found
}

// mayMove notes that something was stored under an address which may be a phone
// number's: it has to be looked whether it must move.
func (c *Container) mayMove(jid, address string) {
	user, _, _ := strings.Cut(address, ":")
	if !strings.Contains(user, "_") { // LIDs have an agent
		c.cache.remove(key{jid: jid, kind: migratedKind, a: user})
		c.cache.remove(key{jid: jid, kind: unusedKind, a: user})
	}
}
