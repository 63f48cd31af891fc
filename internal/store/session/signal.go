package session

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow/store/sqlstore"
)

// change makes a change in the decryption that is under way, or commits it.
func (d *Device) change(ctx context.Context, k key, e *entry) error {
	if t := within(ctx); t != nil {
		t.changes[k] = e
		return nil
	}
	return d.through(ctx, overlay{k: e}, nil)
}

// GetSession returns the session at an address, nil if there is none.
func (d *Device) GetSession(ctx context.Context, address string) ([]byte, error) {
	return d.view(ctx, d.key(sessionKind, address), false, d.c.q.getSession, d.jid, address)
}

// HasSession tells whether there is a session at an address.
func (d *Device) HasSession(ctx context.Context, address string) (bool, error) {
	session, err := d.GetSession(ctx, address)
	return session != nil, err
}

// GetManySessions returns the sessions at addresses, nil for those without one.
func (d *Device) GetManySessions(ctx context.Context, addresses []string) (map[string][]byte, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	found := make(map[string][]byte, len(addresses))
	var missing []string
	for _, a := range addresses {
		k := d.key(sessionKind, a)
		if e, ok := d.pending(ctx, k, false); ok {
			found[a] = e.value
		} else if v, ok := d.c.cache.get(k); ok {
			found[a], _ = v.([]byte)
		} else {
			found[a] = nil
			missing = append(missing, a)
		}
	}
	err := chunks(len(missing), d.c.q.getSessions, func(from, to int, query string) error {
		keep, done := d.tally.reading(d.c.cache, func(k key) bool {
			return k.kind == sessionKind && slices.Contains(missing[from:to], k.a)
		})
		defer done()
		args := []any{d.jid}
		for _, a := range missing[from:to] {
			args = append(args, a)
		}
		err := d.c.read(ctx, query, args, func(rows *sql.Rows) error {
			var address string
			var session []byte
			err := rows.Scan(&address, &session)
			found[address] = session
			return err
		})
		if err != nil {
			return err
		}
		for _, a := range missing[from:to] {
			if session := found[a]; session == nil {
				keep(d.key(sessionKind, a), nil, 0)
			} else {
				keep(d.key(sessionKind, a), session, len(session))
			}
		}
		return nil
	})
	return found, err
}

// PutSession stores a session.
func (d *Device) PutSession(ctx context.Context, address string, session []byte) error {
	return d.change(ctx, d.key(sessionKind, address), &entry{value: session})
}

// PutManySessions stores what the encryption of a message has changed. When it
// returns the message may leave.
func (d *Device) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	changes := make(overlay, len(sessions))
	for a, session := range sessions {
		changes[d.key(sessionKind, a)] = &entry{value: session}
	}
	if t := within(ctx); t != nil {
		for k, e := range changes {
			t.changes[k] = e
		}
		return nil
	}
	return d.through(ctx, changes, nil)
}

// DeleteSession deletes the session at an address.
func (d *Device) DeleteSession(ctx context.Context, address string) error {
	return d.change(ctx, d.key(sessionKind, address), &entry{deleted: true})
}

// DeleteAllSessions deletes the sessions of all devices of a user.
func (d *Device) DeleteAllSessions(ctx context.Context, phone string) error {
	return d.deleteAll(ctx, sessionKind, phone, d.c.q.deleteSessions)
}

// PutIdentity stores an identity. It comes with every message, most often the same.
func (d *Device) PutIdentity(ctx context.Context, address string, identity [32]byte) error {
	k := d.key(identityKind, address)
	known, err := d.identity(ctx, address)
	if err != nil || string(known) == string(identity[:]) {
		return err
	}
	e := &entry{value: identity[:]}
	if within(ctx) == nil && sending(ctx) {
		d.mu.Lock()
		d.riders[k] = e
		d.mu.Unlock()
		return nil
	}
	return d.change(ctx, k, e)
}

func (d *Device) identity(ctx context.Context, address string) ([]byte, error) {
	return d.view(ctx, d.key(identityKind, address), false, d.c.q.getIdentity, d.jid, address)
}

// IsTrustedIdentity tells whether an identity is the known one. The first is
// always trusted.
func (d *Device) IsTrustedIdentity(ctx context.Context, address string, identity [32]byte) (bool, error) {
	known, err := d.identity(ctx, address)
	switch {
	case err != nil:
		return false, err
	case known == nil:
		return true, nil
	case len(known) != len(identity):
		return false, sqlstore.ErrInvalidLength
	}
	return string(known) == string(identity[:]), nil
}

// DeleteIdentity forgets an identity.
func (d *Device) DeleteIdentity(ctx context.Context, address string) error {
	return d.change(ctx, d.key(identityKind, address), &entry{deleted: true})
}

// DeleteAllIdentities forgets the identities of all devices of a user.
func (d *Device) DeleteAllIdentities(ctx context.Context, phone string) error {
	return d.deleteAll(ctx, identityKind, phone, d.c.q.deleteIdentities)
}

// deleteAll commits the deletion of what a user's devices have of a kind.
func (d *Device) deleteAll(ctx context.Context, kind kind, user, query string) error {
	prefix := user + ":"
	defer d.tally.begin(true)() // nothing that is read meanwhile is kept
	if err := d.lock(ctx); err != nil {
		return err
	}
	defer d.unlock()
	d.mu.Lock()
	for _, o := range []overlay{d.unit, d.riders} {
		for k := range o {
			if k.kind == kind && strings.HasPrefix(k.a, prefix) {
				delete(o, k)
			}
		}
	}
	d.mu.Unlock()
	w := &Writes{}
	w.run(query, d.jid, prefix)
	defer d.c.cache.removeAll(d.jid, kind, prefix)
	return d.commit(ctx, w, d.riders)
}

// GetSenderKey returns the key of a sender in a group, nil if there is none.
func (d *Device) GetSenderKey(ctx context.Context, group, user string) ([]byte, error) {
	k := key{jid: d.jid, kind: senderKeyKind, a: group, b: user}
	return d.view(ctx, k, !d.isOwn(user), d.c.q.getSenderKey, d.jid, group, user)
}

// PutSenderKey stores the key of a sender in a group. One that came in a message
// joins its unit; our own is committed before it is told.
func (d *Device) PutSenderKey(ctx context.Context, group, user string, senderKey []byte) error {
	k, e := key{jid: d.jid, kind: senderKeyKind, a: group, b: user}, &entry{value: senderKey}
	if within(ctx) == nil && !d.isOwn(user) && d.join(k, e) {
		return nil
	}
	return d.change(ctx, k, e)
}

// join adds a change to the unit; false if none is open.
func (d *Device) join(k key, e *entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unit == nil {
		return false
	}
	d.unit[k] = e
	return true
}

func (d *Device) isOwn(address string) bool { return address == d.own[0] || address == d.own[1] }
