package dispatch

import (
	"container/heap"
	"time"

	"pombo"
)

// While the circuit of its endpoint is open, a window is held: all its lanes wait
// and have nothing loaded, but for the one that a probe is aimed at.

// hold lets only what is aimed at go on.
func (w *window) hold(now time.Time) {
	w.held = true
	for {
		ln, ok := w.ready.pop()
		if !ok {
			return
		}
		ln.phase = resting
		w.settleDown(ln, now)
	}
}

// release ends hold: what waits is due, save for what the endpoint asked to come
// later.
func (w *window) release(now time.Time) {
	if !w.held {
		return
	}
	w.held = false
	if w.aimed != nil && w.aimed.phase == ready {
		w.ready.push(w.aimed)
	}
	w.aimed = nil
	w.hurry(true, now)
}

// aim chooses a lane for the next probe, unless one is chosen already: they take
// turns, so that one whose event is bad can't make a healthy endpoint look dead.
// Among those that had no turn yet, the one with the oldest delivery is first.
func (w *window) aim(now time.Time) {
	if w.aimed != nil || w.room() <= 0 {
		return
	}
	for _, ln := range w.waiting {
		if ln.unprepared(now) {
			continue
		}
		if w.aimed == nil || ln.turn < w.aimed.turn || ln.turn == w.aimed.turn && ln.retry < w.aimed.retry {
			w.aimed = ln
		}
	}
	if w.aimed == nil {
		return
	}
	w.turns++
	w.aimed.turn = w.turns
	heap.Remove(&w.waiting, w.aimed.index)
	w.aimed.phase = resting
	w.settleDown(w.aimed, now)
}

// aimedReady tells whether the probe can be posted.
func (w *window) aimedReady() bool { return w.aimed != nil && w.aimed.phase == ready }

// rival returns the lane, other than those in flight, whose first delivery says
// most about the endpoint: the one that was tried least, then the oldest. It
// returns nil if all were tried limit times.
func (w *window) rival(limit int, now time.Time) *lane {
	var best *lane
	var bestTried int
	var bestID int64
	for _, ln := range w.lanes {
		id, tried := ln.retry, ln.attempts-ln.before
		switch {
		case ln.phase == ready:
			id, tried = ln.queue[0].ID, ln.queue[0].Tries()
		case ln.phase != waiting || ln.asked.After(now) || ln.unprepared(now):
			continue
		}
		if tried < limit && (best == nil || tried < bestTried || tried == bestTried && id < bestID) {
			best, bestTried, bestID = ln, tried, id
		}
	}
	return best
}

// borrow takes the first delivery of a rival into flight. Of a lane that waits
// only its ID is known: loaded is false, and the caller reads it.
func (w *window) borrow(ln *lane, now time.Time) (d pombo.Delivery, loaded bool) {
	if ln.phase == ready {
		if ln == w.aimed {
			w.aimed = nil
		} else {
			drop(&w.ready, ln)
		}
		return w.launch(ln, now), true
	}
	heap.Remove(&w.waiting, ln.index)
	ln.phase, ln.flying, ln.after = posting, ln.retry, ln.retry
	w.posting++
	return pombo.Delivery{ID: ln.retry, Attempts: ln.attempts, AttemptsBefore: ln.before}, false
}

// passed ends a flight whose lane goes on behind the delivery with this ID: those
// before it are parked, and it was delivered.
func (w *window) passed(ln *lane, id int64, now time.Time) {
	w.posting--
	w.unload(ln)
	ln.after, ln.more = id, true
	ln.phase, ln.retry, ln.asked, ln.tried = resting, 0, time.Time{}, nil
	w.settleDown(ln, now)
}

// company tells a lane that waits with a delivery that could be compared with no
// other that there is another now.
func (w *window) company(ln *lane, now time.Time) {
	if ln.phase != waiting || !ln.alone {
		return
	}
	ln.alone = false
	if due := later(now, ln.asked); due.Before(ln.due) {
		ln.due = due
		heap.Fix(&w.waiting, ln.index)
	}
}
