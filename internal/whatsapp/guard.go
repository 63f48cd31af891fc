package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// guard stands between whatsmeow and its stores, because whatsmeow takes a
// store's error for a fact about the message: during decryption it asks the sender
// again and confirms the stanza, elsewhere it logs and goes on.
//
// A call that fails waits and is made again. If it keeps failing the line is over
// before the call returns; see line and insist. What is no failure (nothing
// found) passes. guardstores.go has the calls, all alike; this file and turn.go
// have those that are not.
type guard struct {
	l    *line
	in   store.AllStores
	unit unit // of in; nil if it has none
}

var _ store.AllStores = (*guard)(nil)

// txn is what one run of a decryption's transaction has come upon.
type txn struct {
	err    error // the first failure of a store in it
	hash   [32]byte
	stored bool // the plaintext was put under hash
	// The session that was read last, and where; see mend.
	address string
	session []byte
	used    *uint32 // the prekey of ours that the session there uses up; see answerHello
}

type txnKey struct{}

// do makes a guarded call.
func (g *guard) do(ctx context.Context, op string, fn func(context.Context) error) error {
	if !g.l.enter() {
		return errOver
	}
	defer g.l.leave()
	if t, ok := ctx.Value(txnKey{}).(*txn); ok {
		return t.do(ctx, op, fn)
	}
	ctx, cancel := g.l.bound(ctx)
	defer cancel()
	return g.l.insist(ctx, op, fn)
}

// do makes a call inside a transaction. There is no use in making it again: the
// transaction is lost. So the failure is noted, and DoDecryptionTxn makes a new
// transaction of it, whatever becomes of the error on its way through libsignal.
func (t *txn) do(ctx context.Context, op string, fn func(context.Context) error) error {
	if t.err != nil {
		return t.err
	}
	if err := fn(ctx); err != nil {
		t.err = fmt.Errorf("%s: %w", op, err)
		return t.err
	}
	return nil
}

// get is do for calls that return a value.
//
//nolint:revive // it reads like do, which as a method has its guard first
func get[T any](g *guard, ctx context.Context, op string, fn func(context.Context) (T, error)) (value T, err error) {
	err = g.do(ctx, op, func(ctx context.Context) (err error) {
		value, err = fn(ctx)
		return err
	})
	return value, err
}

// DoDecryptionTxn decrypts a message in a transaction. An error of decryption is
// returned untouched; after a failure of the store, also of the commit, fn runs
// again in a new transaction. That is safe: libsignal's ciphers keep nothing in
// memory, they load the session from the store on every call (SessionCipher,
// GroupCipher), and the store has gone back to where it was.
//
// After a failed commit it may also have gone through, and only its answer been
// lost. Then decrypting again would fail for good (the key is used up), so the
// buffer is asked first.
//
// Stores with units commit nothing here, save for messages whose plaintext they
// keep: the unit stays open, and has the turn, until handle ends it.
func (g *guard) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	if _, nested := ctx.Value(txnKey{}).(*txn); nested {
		return fn(ctx)
	}
	if !g.l.enter() {
		return errOver
	}
	defer g.l.leave()
	ctx, cancel := g.l.bound(ctx)
	defer cancel()
	g.l.endUnit()

	var decryption error // what fn itself had to say
	var last txn
	err := g.l.insist(ctx, "decrypt in a transaction", func(ctx context.Context) error {
		if last.stored {
			if done, err := g.in.GetBufferedEvent(ctx, last.hash); err != nil || done != nil {
				return err
			}
		}
		t := &txn{}
		decryption = nil
		err := g.l.turn.decrypting(ctx, func() (stay bool, err error) {
			if g.unit != nil {
				g.unit.End(false) // what a former try left whose answer was lost
			}
			err = g.in.DoDecryptionTxn(context.WithValue(ctx, txnKey{}, t), func(ctx context.Context) error {
				decryption = protected(ctx, fn)
				if t.err != nil {
					return t.err // roll back, even if the failure did not come through
				}
				return decryption
			})
			return err == nil && g.unit != nil && g.unit.Open(), err
		})
		last = *t
		switch {
		case t.err != nil:
			decryption = nil
			return t.err
		case decryption != nil:
			return nil //nolint:nilerr // rolled back, and rightly so; fn's own error is returned below
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case decryption != nil:
		return g.undecryptable(ctx, decryption)
	}
	return nil
}

// protected makes an error of a panic in fn. libsignal meets what strangers send,
// and nothing above it recovers: without this one message could end the process,
// and come again after each restart.
func protected(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decrypting panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(ctx)
}

// GetBufferedEvent finds the plaintext of a message that was decrypted before, and
// has no unit.
func (g *guard) GetBufferedEvent(ctx context.Context, ciphertextHash [32]byte) (*store.BufferedEvent, error) {
	found, err := get(g, ctx, "GetBufferedEvent", func(ctx context.Context) (*store.BufferedEvent, error) {
		return g.in.GetBufferedEvent(ctx, ciphertextHash)
	})
	if found != nil && err == nil {
		g.l.endUnit()
	}
	return found, err
}

// PutBufferedEvent notes, inside a transaction, where its result will be found.
func (g *guard) PutBufferedEvent(ctx context.Context, hash [32]byte, plaintext []byte, serverTimestamp time.Time) error {
	err := g.do(ctx, "PutBufferedEvent", func(ctx context.Context) error {
		return g.in.PutBufferedEvent(ctx, hash, plaintext, serverTimestamp)
	})
	if t, ok := ctx.Value(txnKey{}).(*txn); ok && err == nil {
		t.hash, t.stored = hash, true
	}
	return err
}

// MigratePNToLID is not made again on the same store: sqlstore notes in memory
// that it was done before it is, so a second call would do nothing and report
// success. A new line has a new memory. (Stores with units note it afterwards.)
func (g *guard) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	if g.unit != nil {
		return g.migrate(ctx, pn, lid)
	}
	if !g.l.enter() {
		return errOver
	}
	defer g.l.leave()
	bound, cancel := g.l.bound(ctx)
	defer cancel()
	err := g.in.MigratePNToLID(bound, pn, lid)
	if err == nil {
		return nil
	}
	if ctx.Err() == nil || g.l.why() == nil {
		g.l.giveUp("MigratePNToLID", err)
	}
	return errOver
}

// The look-ups of LIDs refuse JIDs of the wrong kind; that is no failure of the
// store.

func (g *guard) GetPNForLID(ctx context.Context, lid types.JID) (types.JID, error) {
	if lid.Server != types.HiddenUserServer {
		return types.EmptyJID, errors.New("not a LID: " + lid.String())
	}
	return get(g, ctx, "GetPNForLID", func(ctx context.Context) (types.JID, error) { return g.in.GetPNForLID(ctx, lid) })
}

func (g *guard) GetLIDForPN(ctx context.Context, pn types.JID) (types.JID, error) {
	if pn.Server != types.DefaultUserServer {
		return types.EmptyJID, errors.New("not a phone number: " + pn.String())
	}
	return get(g, ctx, "GetLIDForPN", func(ctx context.Context) (types.JID, error) { return g.in.GetLIDForPN(ctx, pn) })
}

func (g *guard) PutLIDMapping(ctx context.Context, lid, pn types.JID) error {
	if lid.Server != types.HiddenUserServer || pn.Server != types.DefaultUserServer {
		return errors.New("not a LID and a phone number: " + lid.String() + ", " + pn.String())
	}
	return g.do(ctx, "PutLIDMapping", func(ctx context.Context) error { return g.in.PutLIDMapping(ctx, lid, pn) })
}
