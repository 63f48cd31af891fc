package whatsapp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// turn lets one at a time read sessions of Signal and write them back.
//
// whatsmeow has three paths that do so: it decrypts what comes, it encrypts what
// we send, and it encrypts again what a phone could not read. Only the second
// excludes itself (Client.messageSendLock). If two cross in one chat, the one that
// writes last takes back what the other one did: a session that the other side
// goes on with is gone, and nothing can be read until both have made a new one.
// What comes meanwhile is confirmed without an event, in the hope that its sender
// sends it again. That happens wherever a first message crosses with a first
// answer: between reading and writing lies a question to WhatsApp.
//
// A turn is taken with the reading and given back after the writing. Reading may
// take long (WhatsApp is asked for keys), so a reader that has had it for turnLimit
// loses it to the next, and may not write any more.
type turn struct {
	mu      sync.Mutex
	owner   any               // nil: nobody's
	since   time.Time         // when owner took it
	writing bool              // it cannot be lost any more
	line    []*waiter         // who waits, the longest first; nobody while the turn is nobody's
	held    any               // the owner that has it for a message which was decrypted
	working bool              // on the event of that message
	stuck   func()            // called when somebody waits too long for one that is not
	reads   map[string]*again // by address: the last reading of whatsmeow's own
}

// turnLimit is how long a reader may hold up the others.
const turnLimit = 5 * time.Second

// errTurnLost says that what was read is no longer true.
var errTurnLost = errors.New("the session has changed meanwhile")

// waiter is somebody who waits for the turn.
type waiter struct {
	owner   any
	granted chan struct{} // closed when it is his
}

// take waits for the turn; who came first has it first, so that a burst of messages
// does not hold up what is sent. Taking it again is no error.
func (t *turn) take(ctx context.Context, owner any, limit time.Duration) error {
	t.mu.Lock()
	if t.owner == nil || t.owner == owner {
		t.pass(owner)
		t.mu.Unlock()
		return nil
	}
	w := &waiter{owner, make(chan struct{})}
	t.line = append(t.line, w)
	left := t.left(limit)
	t.mu.Unlock()
	for {
		timer := time.NewTimer(left)
		select {
		case <-w.granted:
			timer.Stop()
			return nil
		case <-timer.C:
			left = t.expire(limit)
		case <-ctx.Done():
			timer.Stop()
			t.leave(w)
			return ctx.Err()
		}
	}
}

// left is how long the owner may keep the others waiting. The caller holds t.mu.
func (t *turn) left(limit time.Duration) time.Duration {
	if t.writing {
		return limit
	}
	return limit - time.Since(t.since)
}

// expire passes the turn on if its owner has read for longer than limit, and reports
// a message that has had it for longer without getting to its handler. It returns when
// to look again.
func (t *turn) expire(limit time.Duration) time.Duration {
	t.mu.Lock()
	stuck := t.held != nil && !t.working && time.Since(t.since) >= limit
	if !t.writing && t.left(limit) <= 0 {
		t.pass(nil)
	}
	left := t.left(limit)
	t.mu.Unlock()
	if stuck && t.stuck != nil {
		t.stuck()
	}
	return left
}

// leave ends w's waiting. If the turn has become his meanwhile, it is the next one's.
func (t *turn) leave(w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-w.granted:
		if t.owner == w.owner {
			t.pass(nil)
		}
	default:
		t.line = slices.DeleteFunc(t.line, func(other *waiter) bool { return other == w })
	}
}

// pass makes the turn owner's; nil: that of who has waited longest. The caller holds
// t.mu.
func (t *turn) pass(owner any) {
	if owner == nil && len(t.line) > 0 {
		owner = t.line[0].owner
		close(t.line[0].granted)
		t.line = slices.Delete(t.line, 0, 1)
	}
	t.owner, t.since, t.writing = owner, time.Now(), false
	t.held, t.working = nil, false
}

// work says that the message that has the turn has got to its handler.
func (t *turn) work() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.working = true
}

// release gives back the turn of a message, if one has it.
func (t *turn) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held != nil {
		t.pass(nil)
	}
}

// write says that owner is about to write; false if the turn was lost.
func (t *turn) write(owner any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owner != owner {
		return false
	}
	t.writing = true
	return true
}

// give gives the turn back, if owner still has it.
func (t *turn) give(owner any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owner == owner {
		t.pass(nil)
	}
}

// decrypting has the turn for one try of a transaction, which reads and writes. If
// fn says so, the turn stays with the message until release.
func (t *turn) decrypting(ctx context.Context, fn func() (stay bool, err error)) error {
	owner := new(byte)
	if err := t.take(ctx, owner, turnLimit); err != nil {
		return err
	}
	t.write(owner) // just taken
	stay, err := fn()
	if !stay {
		t.give(owner)
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = owner
	return err
}

// again is a turn that whatsmeow takes to encrypt a message again, or one for
// another device of ours. It tells nothing of itself but the session's address.
type again struct{ address string }

// takeAgain waits for the turn to read the session at an address.
func (t *turn) takeAgain(ctx context.Context, address string) error {
	owner := &again{address}
	if err := t.take(ctx, owner, turnLimit); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reads == nil {
		t.reads = map[string]*again{}
	}
	t.reads[address] = owner
	return nil
}

// writeAgain says that the session at an address, if it was read, is about to be
// written; the turn has to be given back.
func (t *turn) writeAgain(ctx context.Context, address string) (*again, error) {
	t.mu.Lock()
	owner, read := t.reads[address]
	delete(t.reads, address)
	t.mu.Unlock()
	if !read {
		owner = &again{address}
		if err := t.take(ctx, owner, turnLimit); err != nil {
			return nil, err
		}
	}
	if !t.write(owner) {
		return nil, errTurnLost
	}
	return owner, nil
}

// sendingKey is where the context of a message that we send has its turn.
type sendingKey struct{}

// sending makes the context of one message that we send. end gives back its turn.
func (l *line) sending(ctx context.Context) (_ context.Context, end func()) {
	owner := new(byte)
	if u := l.units(); u != nil {
		ctx = u.Sending(ctx)
	}
	return context.WithValue(ctx, sendingKey{}, owner), func() { l.turn.give(owner) }
}

// whose tells on whose turn a call is made: that of a message that we send; or, if
// outside is true, of none yet. Within a transaction it is the transaction's.
func whose(ctx context.Context) (sending *byte, outside bool) {
	if _, ok := ctx.Value(txnKey{}).(*txn); ok {
		return nil, false
	}
	sending, _ = ctx.Value(sendingKey{}).(*byte)
	return sending, sending == nil
}

// await waits for a turn with a context that the end of the line ends.
func (g *guard) await(ctx context.Context, take func(context.Context) error) error {
	if !g.l.enter() {
		return errOver
	}
	defer g.l.leave()
	bound, cancel := g.l.bound(ctx)
	defer cancel()
	err := take(bound)
	if err != nil && g.l.why() != nil {
		return errOver
	}
	return err
}

// GetManySessions begins the encryption of a message that we send.
func (g *guard) GetManySessions(ctx context.Context, addresses []string) (map[string][]byte, error) {
	if sending, _ := whose(ctx); sending != nil {
		if err := g.await(ctx, func(ctx context.Context) error { return g.l.turn.take(ctx, sending, turnLimit) }); err != nil {
			return nil, err
		}
	}
	return get(g, ctx, "GetManySessions", func(ctx context.Context) (map[string][]byte, error) { return g.in.GetManySessions(ctx, addresses) })
}

// PutManySessions ends it. If it fails, whatsmeow does not send the message.
func (g *guard) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	if sending, _ := whose(ctx); sending != nil {
		if !g.l.turn.write(sending) {
			return errTurnLost
		}
		defer g.l.turn.give(sending)
	}
	return g.do(ctx, "PutManySessions", func(ctx context.Context) error { return g.in.PutManySessions(ctx, sessions) })
}

// GetSession begins what a transaction or a message that we send does not. To a
// transaction it gives also a session that only begins with its message.
func (g *guard) GetSession(ctx context.Context, address string) ([]byte, error) {
	if _, outside := whose(ctx); outside {
		if err := g.await(ctx, func(ctx context.Context) error { return g.l.turn.takeAgain(ctx, address) }); err != nil {
			return nil, err
		}
	}
	session, err := get(g, ctx, "GetSession", func(ctx context.Context) ([]byte, error) { return g.in.GetSession(ctx, address) })
	if t, ok := ctx.Value(txnKey{}).(*txn); ok && err == nil {
		t.address, t.session, t.used = address, session, nil
		if session == nil {
			session, t.used, err = g.answerHello(ctx)
		}
	}
	return session, err
}

// PutSession ends it.
func (g *guard) PutSession(ctx context.Context, address string, session []byte) error {
	if _, outside := whose(ctx); outside {
		err := g.await(ctx, func(ctx context.Context) error {
			owner, err := g.l.turn.writeAgain(ctx, address)
			if err != nil {
				return err
			}
			defer g.l.turn.give(owner)
			return g.do(ctx, "PutSession", func(ctx context.Context) error { return g.in.PutSession(ctx, address, session) })
		})
		return err
	}
	if t, ok := ctx.Value(txnKey{}).(*txn); ok && t.address == address {
		mended, err := mend(t.session, session)
		if err != nil {
			return err
		}
		session = mended
		if t.used != nil {
			if err := g.RemovePreKey(ctx, *t.used); err != nil {
				return err
			}
		}
	}
	return g.do(ctx, "PutSession", func(ctx context.Context) error { return g.in.PutSession(ctx, address, session) })
}
