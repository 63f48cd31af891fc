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
	heap.Init(&r.win.waiting)
	r.start()
}

// putOff ends a flight that could not begin, and returns the worker's next one.
// hurried is how often Hurry had been called before the delivery was put together.
func (r *runner) putOff(f flight, until time.Time, hurried int64) (flight, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.d.hurried.Load() != hurried {
		until = now
	}
	r.inFlight--
	if f.generation == r.generation {
		r.win.again(f.lane, f.delivery.Attempts, until, now)
		f.lane.unready = f.lane.phase == waiting
	} else {
		r.win.finish(f.lane, now)
	}
	return r.onward()
}
