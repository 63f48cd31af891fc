package whatsapp

import (
	"context"
	"time"
)

// lent is a context for calls of whatsmeow: see lend.
type lent struct {
	context.Context
	of context.Context
}

// Err is what ended the context that was lent.
func (c lent) Err() error {
	err := c.Context.Err()
	if cause := c.of.Err(); err != nil && cause != nil {
		return cause
	}
	return err
}

// lend returns ctx for calls of whatsmeow that send something. It ends with ctx and
// with the line, and by the function that is returned, which is to be called when the
// calls have returned; but never in the middle of a send. A send whose context ends
// leaves a goroutine behind that goes on to look at the socket, and nothing would say
// that it has done so before the socket ends; see detach.
func (l *line) lend(ctx context.Context) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { l.betweenSends(cancel) })
	stopLine := context.AfterFunc(l.ctx, cancel) // it ends between two sends itself
	return lent{inner, ctx}, func() { stop(); stopLine(); cancel() }
}

// lendFor is lend of the line's own context, for at most so long.
func (l *line) lendFor(limit time.Duration) (context.Context, context.CancelFunc) {
	timed, cancel := context.WithTimeout(l.ctx, limit)
	ctx, stop := l.lend(timed)
	return ctx, func() { stop(); cancel() }
}

// betweenSends does something while nobody sends. A send that is stuck, which is one
// that has reached the socket, does not keep it waiting for long.
func (l *line) betweenSends(do func()) {
	defer do()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.client.DangerousInternals().SendNode(plug{context.Background(), do}, probe) //nolint:staticcheck // there is no other way to it
	}()
	select {
	case <-done:
	case <-time.After(stuckSend):
	}
}

// stuckSend is after what time a send is taken to be stuck.
const stuckSend = 2 * time.Second
