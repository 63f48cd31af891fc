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
// The unit of a message has the line's turn from its decryption to its commit: if
// a send went between, it would commit a ratchet whose message may yet be dropped,
// and could not be read when it comes again.
type unit interface {
	// Commit commits the open unit, if there is one, with events. It can be repeated.
	Commit(ctx context.Context, events ...pombo.Event) error
	// Open tells whether a message was decrypted and not committed.
	Open() bool
	// End closes the unit; keep lets it go with the next commit.
	End(keep bool)
	// Sending marks the context of a message that we encrypt.
	Sending(ctx context.Context) context.Context
	// Migrated tells whether there is nothing to move to the LID of a phone number.
	Migrated(pn types.JID) bool
}

// units returns the line's unit, nil if its stores have none.
func (l *line) units() unit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unit
}

// commitMessage commits the events of a message with its unit.
func (l *line) commitMessage(u unit, made []pombo.Event) error {
	err := l.insist(l.ctx, "append events", func(ctx context.Context) error { return u.Commit(ctx, made...) })
	if err == nil {
		l.turn.release()
	}
	return err
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
func (g *guard) endUnit() {
	if g.unit != nil && g.unit.Open() {
		g.unit.End(true)
		g.l.turn.release()
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
