package dispatch

import (
	"container/heap"
	"fmt"
	"time"

	"pombo"
)

// NotReady is what an Encoder returns for a delivery that cannot be put together
// yet. That is no attempt: the delivery's lane waits, and it is put together anew
// at Until, or as soon as Hurry is called. All other lanes go on.
type NotReady struct{ Until time.Time }

func (e *NotReady) Error() string {
	return fmt.Sprintf("the delivery cannot be put together before %s", e.Until.Format(time.RFC3339))
}

// Hurry tells that what a lane's delivery waited for, going by NotReady, may be
// there. It may be called at any time; a call that comes while the delivery is
// being put together counts too.
func (d *Dispatcher) Hurry(lane pombo.Lane) {
	d.hurried.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.runners {
		r.hurry(lane)
	}
}

func (r *runner) hurry(lane pombo.Lane) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	ln := r.win.lanes[lane]
	if ln == nil || ln.phase != waiting || !ln.unready {
		return
	}
	ln.due = now
	heap.Fix(&r.win.waiting, ln.index)
	r.start()
}

// unready tells that there was no attempt, since the delivery could not be put
// together yet.
func (l *leg) unready() bool { return l.res.unready != nil }

// notTried is the leg of such a delivery: it is as before.
func notTried(f flight, res result) leg {
	a := pombo.Attempt{Delivery: f.delivery.ID, Number: f.delivery.Attempts, State: pombo.Pending, Parked: f.parked != nil}
	return leg{f: f, a: a, due: res.unready.Until, res: res, skipped: true}
}

// putOff lets the lane of a delivery that is not ready wait for it. hurried is how
// often Hurry had been called before it was put together. The caller holds the lock.
func (r *runner) putOff(l *leg, hurried int64, now time.Time) {
	if r.d.hurried.Load() != hurried {
		l.due = now
	}
	r.land(l, now)
}

// unprepared tells that ln waits for something that is not ready: there is nothing
// to post, also while its circuit is open.
func (ln *lane) unprepared(now time.Time) bool { return ln.unready && ln.due.After(now) }

// nextPrepared returns when a lane that is not ready is looked at again.
func (w *window) nextPrepared(now time.Time) (due time.Time, ok bool) {
	for _, ln := range w.waiting {
		if ln.unprepared(now) && (!ok || ln.due.Before(due)) {
			due, ok = ln.due, true
		}
	}
	return due, ok
}
