package dispatch

import (
	"context"
	"slices"
	"time"

	"pombo"
)

// maxWalk is how many deliveries of one chat a comparison looks at.
const maxWalk = 16

// leg is one attempt that was made, and what is to become of its delivery.
type leg struct {
	f       flight
	a       pombo.Attempt
	due     time.Time
	asked   time.Time // until when the endpoint wants no more of it
	res     result
	skipped bool // there was no attempt: only its place in the lane is given up
}

// compare finds out whose fault it is that a delivery failed for the fifth time
// or more: right after it, another one is posted. If that one succeeds, the
// endpoint is healthy, and the first is parked. If it fails too, nothing is
// learnt about either, and order holds.
//
// The other one is of another chat if one is there that was not tried yet;
// otherwise the next of the same chat that is not suspected as well; otherwise of
// a chat that was tried, but less often. It returns the attempts in the order in
// which the store must take them; the lanes of all are still in flight. alone
// tells that there was no other one.
//
// That both are posted one right after the other matters: were there a pause, an
// endpoint that came back in between would make the first look bad, and order
// would be lost for nothing.
func (r *runner) compare(first leg) (legs []leg, alone bool) {
	if other, ok := r.borrow(first.f, 1); ok {
		return r.against(first, other), false
	}
	if legs := r.walk(first); len(legs) > 1 {
		return legs, false
	}
	if other, ok := r.borrow(first.f, suspectAfter); ok {
		return r.against(first, other), false
	}
	return []leg{first}, true
}

// against posts the first delivery of another chat.
func (r *runner) against(first leg, other flight) []leg {
	l := r.try(other)
	if l.a.State == pombo.Delivered {
		first.park()
	}
	return []leg{first, l}
}

// park parks what failed.
func (l *leg) park() {
	if l.a.State == pombo.Pending {
		l.a.Parked, l.a.NextAttempt = true, l.due.Round(0)
	}
}

// borrow takes the first delivery of another lane, tried less often than limit,
// into flight.
func (r *runner) borrow(first flight, limit int) (flight, bool) {
	for {
		f, loaded := r.borrowLane(first, limit)
		if f.lane == nil || loaded {
			return f, loaded
		}
		found, others := r.fetchBorrowed(&f)
		if found || !others {
			return f, found
		}
	}
}

// fetchBorrowed reads the delivery of a flight that was borrowed from a lane that
// waits. If it is not found, the flight is ended, and others tells whether another
// lane may be asked.
func (r *runner) fetchBorrowed(f *flight) (found, others bool) {
	known := f.delivery
	d, found, err := r.fetch(f.lane.key, known.ID, known.Attempts)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch {
	case r.generation != f.generation: // switched off meanwhile
		r.win.finish(f.lane, now)
	case err != nil:
		r.win.again(f.lane, known.Attempts, now.Add(parkedPause), f.lane.asked, now)
	case !found:
		r.win.finish(f.lane, now)
		return false, true
	default:
		f.delivery = d
		return true, false
	}
	return false, false
}

func (r *runner) borrowLane(first flight, limit int) (f flight, loaded bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if !r.opened || r.generation != first.generation || r.version != first.version {
		return flight{}, false
	}
	ln := r.win.rival(limit, now)
	if ln == nil {
		return flight{}, false
	}
	f = flight{lane: ln, webhook: r.webhook, generation: r.generation, version: r.version}
	f.delivery, loaded = r.win.borrow(ln, now)
	return f, loaded
}

// walk posts the next delivery in the chat of the first one that is not suspected
// itself. If it succeeds, those before it are parked; they get another try first,
// since what parks a delivery is the result of an attempt.
func (r *runner) walk(first leg) []leg {
	ctx, cancel := context.WithTimeout(r.d.life, maxPause)
	rows, err := r.d.store.PendingInLane(ctx, r.id, first.f.lane.key, first.f.delivery.ID, maxWalk)
	cancel()
	if err != nil {
		return []leg{first}
	}
	var suspects []pombo.Delivery
	for _, d := range rows {
		f, ok := r.step(first.f, d)
		if r.changed(first.f) {
			ok = false
		}
		switch {
		case !ok:
			return []leg{first}
		case f.delivery.Parked:
			continue
		case f.delivery.Tries() >= suspectAfter:
			suspects = append(suspects, d)
			continue
		}
		last := r.try(f)
		if last.unready() {
			return []leg{first}
		}
		if last.a.State != pombo.Delivered {
			if last.a.State == pombo.Pending {
				last.a.NextAttempt = last.a.At // as soon as its turn comes
			}
			return []leg{first, last}
		}
		first.park()
		legs := []leg{first}
		for _, d := range suspects {
			legs = append(legs, r.retrySuspect(first.f, d))
		}
		return append(legs, last)
	}
	return []leg{first}
}

// changed tells whether the webhook was changed since a flight began.
func (r *runner) changed(f flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.version != f.version
}

// retrySuspect posts a delivery that its lane goes past, and parks it if it fails,
// also if the webhook was changed meanwhile: its lane cannot go back. At the end,
// it is left as it is.
func (r *runner) retrySuspect(first flight, d pombo.Delivery) leg {
	f, ok := r.step(first, d)
	if ok {
		if l := r.try(f); !l.unready() {
			l.park()
			return l
		}
	}
	f = first
	f.delivery, f.probe, f.behind = d, false, true
	a := pombo.Attempt{Delivery: d.ID, Number: d.Attempts, State: pombo.Pending, Parked: true}
	return leg{f: f, a: a, due: time.Now(), skipped: true}
}

// step makes a flight of a delivery behind first, if it may be posted.
func (r *runner) step(first flight, d pombo.Delivery) (flight, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Above tail, it would be taken for new when it is announced.
	if !r.opened || r.generation != first.generation || d.ID > r.win.tail {
		return flight{}, false
	}
	if first.lane.tried[d.ID] == over {
		d.Parked = true // like those that are, it is none of the lane's
	}
	first.lane.correct(&d)
	first.delivery, first.probe, first.behind = d, false, true
	return first, true
}

// conclude lets the lanes of legs go on, or wait. The store has taken what became
// of the deliveries. The caller holds the lock.
func (r *runner) conclude(legs []leg, alone bool, now time.Time) {
	for i := range legs {
		l := &legs[i]
		if l.a.Parked && l.f.generation == r.generation {
			r.parking.add(parkedItem{id: l.a.Delivery, lane: l.f.lane.key, attempts: l.a.Number, due: l.due, unsaid: l.skipped})
		}
	}
	first, last := &legs[0], &legs[len(legs)-1]
	ln := first.f.lane
	switch {
	case first.f.generation != r.generation:
		r.win.finish(ln, now)
	case first.a.Parked && last.f.behind:
		r.win.passed(ln, last.a.Delivery, now)
	case first.a.Parked:
		r.win.finish(ln, now)
	default:
		r.await(ln, legs, alone, now)
	}
	if len(legs) > 1 && !last.f.behind {
		r.land(last, now)
	}
}

// await lets the lane of a comparison that showed nothing wait for the same
// delivery. The caller holds the lock.
func (r *runner) await(ln *lane, legs []leg, alone bool, now time.Time) {
	first := &legs[0]
	r.hasten(first, now)
	for _, l := range legs[1:] {
		if !l.f.behind {
			continue
		}
		if ln.tried == nil {
			ln.tried = map[int64]int{}
		}
		if ln.tried[l.a.Delivery] = l.a.Number; l.a.State != pombo.Pending {
			ln.tried[l.a.Delivery] = over
		}
	}
	came := slices.ContainsFunc(ln.queue, func(d pombo.Delivery) bool { return d.Tries() < suspectAfter }) // meanwhile
	r.win.again(ln, first.a.Number, first.due, first.asked, now)
	if ln.phase == waiting && alone {
		ln.alone, r.circuit.alone = true, r.circuit.open && !came
		if came {
			r.win.company(ln, now.Add(r.d.policy.InitialDelay))
		}
	}
}
