package whatsapp

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/store/sqlstore"
)

// trouble measures how long the stores under a line have been failing.
//
// The measure is time on the clock from the first failure, over all calls
// together: one node may make a dozen calls, and twelve times a minute is more
// than whatsmeow waits for a node. It begins anew once an event was committed,
// and after a failure-free while.
type trouble struct {
	patience time.Duration

	mu     sync.Mutex
	since  time.Time
	latest time.Time
}

// troublePause is how long after the last failure the next one counts as new.
const troublePause = 10 * time.Second

// exhausted records a failure and tells whether it is the one too many.
func (t *trouble) exhausted(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() || now.Sub(t.latest) > troublePause {
		t.since = now
	}
	t.latest = now
	return now.Sub(t.since) >= t.patience
}

// passed records that an event was committed.
func (t *trouble) passed() {
	t.mu.Lock()
	t.since = time.Time{}
	t.mu.Unlock()
}

// insist calls fn until it succeeds. If it gives up (patience is over, or too
// many stanzas wait), the line is over before insist returns errOver. A failure
// that would come back each time is returned as it is.
//
// ctx is the caller's, already bound to the line; if it ends first, that is no
// failure of the store: its error is returned and the line goes on.
func (l *line) insist(ctx context.Context, op string, fn func(context.Context) error) error {
	err := l.persist(ctx, op, fn)
	var spent *spentError
	if errors.As(err, &spent) {
		l.giveUp(op, spent.err)
		return errOver
	}
	return err
}

// spentError says that patience is over; err was the last failure.
type spentError struct{ err error }

func (e *spentError) Error() string { return "the store keeps failing: " + e.err.Error() }

// persist is insist, save that it leaves the line alone when it gives up.
func (l *line) persist(ctx context.Context, op string, fn func(context.Context) error) error {
	pause := l.s.n.timing.retryMin
	for try := 1; ; try++ {
		if l.why() != nil {
			return errOver
		}
		err := fn(ctx)
		switch {
		case err == nil:
			if try > 1 {
				l.log.Info("the store works again", "op", op, "tries", try)
			}
			return nil
		case l.why() != nil:
			return errOver
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", op, ctx.Err())
		case lasting(err):
			return err
		}
		if try == 1 || try%20 == 0 {
			l.log.Warn("the store failed, trying again", "op", op, "tries", try, "err", err)
		}
		if l.trouble.exhausted(time.Now()) || l.gate.queued() > queueFull {
			return &spentError{err}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, l.s.n.timing.retryMax)
	}
}

// giveUp makes the line over because of a store.
func (l *line) giveUp(op string, err error) {
	l.log.Error("the store keeps failing: starting over", "op", op, "err", err)
	l.end(fmt.Errorf("%s: %w", op, err))
}

// errGone says that the instance was deleted while it was being paired.
var errGone = errors.New("the instance is gone")

// lasting tells whether a store's error says something about its arguments, so
// that trying again is of no use: a constraint that does not hold, stored bytes of
// a wrong length. The databases' own errors are known by what they have in
// common, so that no driver is imported for it.
func lasting(err error) bool {
	if errors.Is(err, sqlstore.ErrInvalidLength) || errors.Is(err, sqlstore.ErrDeviceIDMustBeSet) ||
		errors.Is(err, sql.ErrNoRows) || errors.Is(err, errGone) {
		return true
	}
	return constraint(err)
}

// constraint tells whether a database refused a row: SQLITE_CONSTRAINT (19 in
// the low byte), or a SQLSTATE of class 23.
func constraint(err error) bool {
	var sqlite interface{ Code() int }
	if errors.As(err, &sqlite) && sqlite.Code()&0xff == 19 {
		return true
	}
	var state interface{ SQLState() string }
	return errors.As(err, &state) && len(state.SQLState()) == 5 && state.SQLState()[:2] == "23"
}
