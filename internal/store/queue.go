package store

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"pombo"
)

const (
	// settleDelay is how long a settled attempt waits at most for a transaction
	// to ride in.
	settleDelay = 25 * time.Millisecond
	// settleRoom is how many settled attempts may wait before Settle blocks.
	settleRoom = 8192

	// One transaction takes at most so many events (or operations), bytes of
	// their data and settled attempts. A single larger request goes alone.
	maxBatchEvents  = 500
	maxBatchBytes   = 4 << 20
	maxBatchSettles = 500
)

// operation is one caller's write, made inside the committer's transaction.
type operation interface {
	// name is what Options.Fault is asked with.
	name() string
	// weight is how much of a batch it takes.
	weight() (events, bytes int)
	// apply makes the writes. A refusal (see refusal) must come before the first
	// write; any other error fails the whole transaction.
	apply(ctx context.Context, t *txn) error
}

// request is an operation with its caller, who waits for done.
type request struct {
	op    operation
	done  chan error   // buffered: the committer never waits for a caller
	state atomic.Int32 // waiting, then taken or abandoned
}

const (
	waiting int32 = iota
	taken
	abandoned
)

// queue is what waits for the committer.
type queue struct {
	mu      sync.Mutex
	urgent  []*request
	settles []pombo.Attempt
	since   time.Time // when the oldest settle came
	closed  bool
	// added and gone count the settles that came, and that were committed or
	// dropped.
	added, gone uint64

	wake chan struct{} // capacity 1
	room chan struct{} // a token for each settle that waits
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), room: make(chan struct{}, settleRoom)}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// submit hands op to the committer and waits for its commit. If ctx ends first,
// the operation is withdrawn if it still can be; otherwise it may still commit.
func (s *Store) submit(ctx context.Context, doing string, op operation) error {
	return s.await(ctx, doing, op, false)
}

// submitAll is submit for a caller who must know what became of op, because others
// are told of it (a webhook that is stored must be delivered to, also if the client
// that set it has gone): once the committer has it, the outcome is waited for, also
// if ctx ends.
func (s *Store) submitAll(ctx context.Context, op operation) error {
	return s.await(ctx, op.name(), op, true)
}

func (s *Store) await(ctx context.Context, doing string, op operation, outcome bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{op: op, done: make(chan error, 1)}
	q := s.queue
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return unavailable(doing, errClosed)
	}
	q.urgent = append(q.urgent, r)
	q.mu.Unlock()
	q.signal()

	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if !r.state.CompareAndSwap(waiting, abandoned) && outcome {
			return <-r.done
		}
		return ctx.Err()
	}
}

// Settle records attempts and what they did to their deliveries. It returns
// when they are queued, and blocks only while too many wait. They are committed
// with the next transaction, within about 25 ms; a crash before that loses them,
// and the deliveries are made again with the same MessageID.
//
// Settle can be repeated: an attempt whose Number is not above the number of
// attempts already recorded is ignored. An attempt for a delivery that is no
// longer pending is recorded without changing its state; one for a delivery
// that does not exist is dropped.
//
// An attempt that contradicts the state machine is refused with an error of
// kind Invalid, and so are those after it.
func (s *Store) Settle(ctx context.Context, attempts ...pombo.Attempt) error {
	for _, a := range attempts {
		if err := checkAttempt(a); err != nil {
			return err
		}
		select {
		case s.queue.room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopped:
			return unavailable("settling", errClosed)
		}
		if !s.queue.addSettle(a) {
			return unavailable("settling", errClosed)
		}
	}
	return nil
}

func (q *queue) addSettle(a pombo.Attempt) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.settles = append(q.settles, a)
	q.added++
	switch len(q.settles) {
	case 1: // the committer sets its timer
		q.since = time.Now()
		q.signal()
	case maxBatchSettles: // enough for a transaction of their own
		q.signal()
	}
	return true
}

// flushSettles returns when all that was settled before the call is committed.
func (s *Store) flushSettles(ctx context.Context) error {
	last, gone := s.queue.counts()
	for gone < last {
		// Settles ride in the transaction of any operation, oldest first.
		if err := s.submit(ctx, "settling", rideOp{}); err != nil {
			return err
		}
		before := gone
		if _, gone = s.queue.counts(); gone > before {
			continue
		}
		// They cannot be written for now, and are tried again apart.
		select {
		case <-time.After(settleDelay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (q *queue) counts() (added, gone uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.added, q.gone
}

// rideOp writes nothing.
type rideOp struct{}

func (rideOp) name() string                      { return "settle" }
func (rideOp) weight() (events, bytes int)       { return 0, 0 }
func (rideOp) apply(context.Context, *txn) error { return nil }

// batch is what goes into one transaction.
type batch struct {
	requests []*request
	settles  []pombo.Attempt
}

func (b *batch) empty() bool { return len(b.requests) == 0 && len(b.settles) == 0 }

// take returns the next batch. If it is empty, wait says when settles are due;
// 0 means that nothing waits. Settles that failed before come apart, not before
// hold: they must not fail others.
func (q *queue) take(apart bool, hold time.Time) (b batch, wait time.Duration) {
	// Callers who were just answered, and whoever else can run, come first: what they
	// bring goes into this transaction instead of one more. A lone caller has nobody to
	// wait for.
	runtime.Gosched()
	q.mu.Lock()
	defer q.mu.Unlock()
	if apart {
		b.settles, wait = q.takeSettles(q.since.Add(settleDelay), hold)
		if len(b.settles) == 0 {
			b.requests = q.takeRequests()
		}
		return b, wait
	}
	b.requests = q.takeRequests()
	due := q.since.Add(settleDelay)
	if len(b.requests) > 0 {
		due = time.Time{} // there is a transaction to ride in
	}
	b.settles, wait = q.takeSettles(due, time.Time{})
	return b, wait
}

func (q *queue) takeRequests() []*request {
	var batch []*request
	events, bytes, n := 0, 0, 0
	for _, r := range q.urgent {
		e, size := r.op.weight()
		if len(batch) > 0 && (events+e > maxBatchEvents || bytes+size > maxBatchBytes) {
			break
		}
		n++
		if !r.state.CompareAndSwap(waiting, taken) {
			continue // its caller has gone
		}
		events, bytes = events+e, bytes+size
		batch = append(batch, r)
	}
	rest := copy(q.urgent, q.urgent[n:])
	clear(q.urgent[rest:]) // let go of what the taken requests hold
	q.urgent = q.urgent[:rest]
	return batch
}

// takeSettles returns settles that are due, or how long it is until they are: 0
// if there are none.
func (q *queue) takeSettles(due, hold time.Time) (settles []pombo.Attempt, wait time.Duration) {
	if len(q.settles) == 0 {
		return nil, 0
	}
	now := time.Now()
	if len(q.settles) >= maxBatchSettles || q.closed {
		due = now
	}
	if hold.After(due) {
		due = hold
	}
	if due.After(now) {
		return nil, due.Sub(now)
	}
	n := min(len(q.settles), maxBatchSettles)
	settles = append(settles, q.settles[:n]...)
	rest := copy(q.settles, q.settles[n:])
	clear(q.settles[rest:])
	q.settles = q.settles[:rest]
	q.since = now
	return settles, 0
}

// putBack returns settles whose transaction failed.
func (q *queue) putBack(settles []pombo.Attempt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settles = append(append([]pombo.Attempt(nil), settles...), q.settles...)
}

// settled makes room after n settles were committed or dropped.
func (q *queue) settled(n int) {
	q.mu.Lock()
	q.gone += uint64(n)
	q.mu.Unlock()
	for range n {
		<-q.room
	}
}

// close lets nothing more in. What waits is still taken.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

func (q *queue) drained() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.urgent) == 0 && len(q.settles) == 0
}
