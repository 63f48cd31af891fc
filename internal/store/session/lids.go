package session

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// LIDs are the same for all devices, so they are kept for all. Only what a device
// has learnt and not committed yet is its own.

// ridersLimit is how many changes may wait for the next commit: far more than the
// messages have that are read while one commit is under way.
const ridersLimit = 1024

// GetLIDForPN returns the LID of a phone number, of the same device; empty if it is
// not known. Error: pn is no phone number.
func (d *Device) GetLIDForPN(ctx context.Context, pn types.JID) (types.JID, error) {
	if pn.Server != types.DefaultUserServer {
		return types.EmptyJID, fmt.Errorf("%s is no phone number", pn)
	}
	lid, err := d.lidOf(ctx, pn.User)
	return other(pn, lid, types.HiddenUserServer), err
}

// GetPNForLID returns the phone number of a LID, of the same device; empty if it is
// not known. Error: lid is no LID.
func (d *Device) GetPNForLID(ctx context.Context, lid types.JID) (types.JID, error) {
	if lid.Server != types.HiddenUserServer {
		return types.EmptyJID, fmt.Errorf("%s is no LID", lid)
	}
	number, err := d.numberOf(ctx, lid.User)
	return other(lid, number, types.DefaultUserServer), err
}

func other(jid types.JID, user, server string) types.JID {
	if user == "" {
		return types.EmptyJID
	}
	return types.JID{User: user, Device: jid.Device, Server: server}
}

func (d *Device) lidOf(ctx context.Context, number string) (string, error) {
	k := key{kind: lidKind, a: number}
	if e, ok := d.pending(ctx, k, false); ok {
		return string(e.value), nil
	}
	return d.c.lookUp(ctx, k, d.c.q.getLID)
}

func (d *Device) numberOf(ctx context.Context, lid string) (string, error) {
	d.mu.Lock()
	for k, e := range d.riders {
		if k.kind == lidKind && string(e.value) == lid {
			d.mu.Unlock()
			return k.a, nil
		}
	}
	d.mu.Unlock()
	return d.c.lookUp(ctx, key{kind: numberKind, a: lid}, d.c.q.getNumber)
}

// lookUp finds the other form of k.a, "" if there is none.
func (c *Container) lookUp(ctx context.Context, k key, query string) (string, error) {
	if v, ok := c.cache.get(k); ok {
		user, _ := v.(string)
		return user, nil
	}
	keep, done := c.tally("").reading(c.cache, one(k))
	defer done()
	var user string
	err := c.readOne(ctx, query, []any{k.a}, &user)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	keep(k, user, len(user))
	return user, nil
}

// GetManyLIDsForPNs returns the LIDs of phone numbers, each of the same device;
// those that are not known are left out.
func (d *Device) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	if len(pns) == 0 {
		return nil, nil
	}
	lids := make(map[string]string, len(pns))
	var missing []string
	for _, pn := range pns {
		if _, seen := lids[pn.User]; seen || pn.Server != types.DefaultUserServer {
			continue
		}
		k := key{kind: lidKind, a: pn.User}
		if e, ok := d.pending(ctx, k, false); ok {
			lids[pn.User] = string(e.value)
		} else if v, ok := d.c.cache.get(k); ok {
			lids[pn.User], _ = v.(string)
		} else {
			lids[pn.User] = ""
			missing = append(missing, pn.User)
		}
	}
	err := chunks(len(missing), d.c.q.getLIDs, func(from, to int, query string) error {
		keep, done := d.c.tally("").reading(d.c.cache, func(key) bool { return true })
		defer done()
		var args []any
		for _, number := range missing[from:to] {
			args = append(args, number)
		}
		err := d.c.read(ctx, query, args, func(rows *sql.Rows) error {
			var number, lid string
			err := rows.Scan(&number, &lid)
			lids[number] = lid
			return err
		})
		for _, number := range missing[from:to] {
			if err == nil {
				keep(key{kind: lidKind, a: number}, lids[number], len(lids[number]))
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	found := make(map[types.JID]types.JID, len(pns))
	for _, pn := range pns {
		if lid := lids[pn.User]; lid != "" && pn.Server == types.DefaultUserServer {
			found[pn] = other(pn, lid, types.HiddenUserServer)
		}
	}
	return found, nil
}

// PutLIDMapping notes the LID of a phone number. It comes with every message, most
// often the same, and goes with the next commit: that of the message, or of what is
// sent to it. A contact who is not in the cache is read as a whole: see meet.
func (d *Device) PutLIDMapping(ctx context.Context, lid, pn types.JID) error {
	if lid.Server != types.HiddenUserServer || pn.Server != types.DefaultUserServer {
		return fmt.Errorf("%s and %s are not a LID and a phone number", lid, pn)
	}
	k := key{kind: lidKind, a: pn.User}
	var known string
	if e, ok := d.pending(ctx, k, false); ok {
		known = string(e.value)
	} else if v, ok := d.c.cache.get(k); ok {
		known, _ = v.(string)
	} else {
		var err error
		if known, err = d.meet(ctx, lid, pn); err != nil {
			return err
		}
	}
	if known == lid.User {
		return nil
	}
	return d.ride(ctx, k, &entry{value: []byte(lid.User)})
}

// ride lets a change go with the next commit.
func (d *Device) ride(ctx context.Context, k key, e *entry) error {
	d.mu.Lock()
	d.riders[k] = e
	full := len(d.riders) >= ridersLimit
	d.mu.Unlock()
	if full {
		return d.through(ctx, nil, nil)
	}
	return nil
}

// lidBatch is how many LIDs go into one transaction: others wait for it.
const lidBatch = 500

// PutManyLIDMappings commits the LIDs of phone numbers. What is neither is ignored.
func (d *Device) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	for part := range slices.Chunk(mappings, lidBatch) {
		if err := d.putLIDs(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (d *Device) putLIDs(ctx context.Context, mappings []store.LIDMapping) error {
	changes := overlay{}
	for _, m := range mappings {
		if m.LID.Server != types.HiddenUserServer || m.PN.Server != types.DefaultUserServer {
			continue
		}
		known, err := d.lidOf(ctx, m.PN.User)
		if err != nil {
			return err
		}
		k := key{kind: lidKind, a: m.PN.User}
		if delete(changes, k); known != m.LID.User {
			changes[k] = &entry{value: []byte(m.LID.User)}
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return d.through(ctx, changes, nil)
}

// settledLID brings the cache up to date with a LID that was committed, or may have
// been. A phone number has one LID and the other way round: who had it before has
// it no more.
func (c *Container) settledLID(r row, err error) {
	lid := string(r.value)
	for _, k := range []key{{kind: lidKind, a: r.a}, {kind: numberKind, a: lid}} {
		if v, ok := c.cache.get(k); ok {
			if before, _ := v.(string); k.kind == lidKind {
				c.cache.remove(key{kind: numberKind, a: before})
			} else {
				c.cache.remove(key{kind: lidKind, a: before})
			}
			c.cache.remove(k)
		}
	}
	if err == nil {
		c.cache.put(key{kind: lidKind, a: r.a}, lid, len(lid))
		c.cache.put(key{kind: numberKind, a: lid}, r.a, len(r.a))
	}
}

// forms returns a JID without its device in both forms; the second is the first if
// the other is not known.
func (d *Device) forms(ctx context.Context, jid types.JID) (first, second string, err error) {
	jid = jid.ToNonAD()
	var user, server string
	switch jid.Server {
	case types.DefaultUserServer:
		server = types.HiddenUserServer
		user, err = d.lidOf(ctx, jid.User)
	case types.HiddenUserServer:
		server = types.DefaultUserServer
		user, err = d.numberOf(ctx, jid.User)
	}
	if err != nil || user == "" {
		return jid.String(), jid.String(), err
	}
	return jid.String(), types.NewJID(user, server).String(), nil
}
