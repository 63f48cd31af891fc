package whatsapp

import (
	"context"
	"errors"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// unit is what stores can do that commit what reading a message has changed
// together with the event that was in it. Until then nothing of the message is on
// the disk, so that it can be read again. internal/store/session is such; whatsmeow's own
// store (sqlstore) is not: it commits each write by itself, and keeps the
// message's plaintext until it is told that the event is safe.
//
// The unit of a message has the line's turn from its decryption to its end: what
// is read of a session between is not true if the message is dropped.
type unit interface {
	journal
	// Open tells whether a message was decrypted and its unit not ended.
	Open() bool
	// End closes the unit; keep lets it go with the next commit, together with the
	// events of its message.
	End(keep bool, events ...pombo.Event)
	// Sending marks the context of a message that we encrypt.
	Sending(ctx context.Context) context.Context
	// Migrated tells whether there is nothing to move to the LID of a phone number.
	Migrated(pn types.JID) bool
}

// journal takes a line's events in order, and commits them with all that the line
// has changed before.
type journal interface {
	// Add lets events go with the next commit.
	Add(events ...pombo.Event)
	// Flush returns when what was added and ended before is committed. It can be
	// repeated.
	Flush(ctx context.Context) error
}

// units returns the line's unit, nil if its stores have none.
func (l *line) units() unit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unit
}

// isMessage tells whether evt is what whatsmeow has decrypted.
func isMessage(evt any) bool {
	switch evt.(type) {
	case *events.Message, *events.FBMessage:
		return true
	}
	return false
}

// errStuck ends a line on which a message was decrypted that did not get to its
// handler, while somebody waits for its turn. Nothing of it is committed, so
// nothing is lost: either it comes again, or it was confirmed as one that cannot
// be handled, and then its sender's next message skips it.
var errStuck = errors.New("a message was decrypted, but made no event")

// endUnit lets the unit of a message that was confirmed without an event go with
// the next commit. The message that comes after it is the proof that it was.
func (l *line) endUnit() {
	if u := l.units(); u != nil && u.Open() {
		u.End(true)
		l.turn.release()
	}
}

// migrate moves sessions to a LID. That reads and writes them, so it needs the
// turn; a message that we send keeps it until its sessions are written.
func (g *guard) migrate(ctx context.Context, pn, lid types.JID) error {
	if g.unit.Migrated(pn) {
		return nil
	}
	sending, _ := whose(ctx)
	owner := sending
	if owner == nil {
		owner = new(byte)
		defer g.l.turn.give(owner)
	}
	err := g.await(ctx, func(ctx context.Context) error { return g.l.turn.take(ctx, owner, turnLimit) })
	if err != nil {
		return err
	}
	return g.do(ctx, "MigratePNToLID", func(ctx context.Context) error { return g.in.MigratePNToLID(ctx, pn, lid) })
}
