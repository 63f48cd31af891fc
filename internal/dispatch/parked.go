package dispatch

import (
	"container/heap"
	"context"
	"time"

	"pombo"
)

// parkedPause is how long a delivery that could not be read is left alone.
const parkedPause = 30 * time.Second

// parkedItem is a delivery that is retried by itself.
type parkedItem struct {
	id       int64
	lane     pombo.Lane
	attempts int
	due      time.Time
	unsaid   bool // the store was not told that it is parked: it stays in memory
	index    int  // in parking.due; -1: in flight
}

// parking is what a runner knows of its parked deliveries: those that are due
// soonest. It is plain data, guarded by its runner.
//
// What is in flight is in items. Of what is not, the store has all, in order of
// when it is due: so it can be forgotten and read again, save for what could not
// be posted, which the store does not know.
type parking struct {
	bounds *bounds
	items  map[int64]*parkedItem
	due    dueHeap[*parkedItem]
	flying int
	more   bool      // the store has others,
	beyond time.Time // none of them due before then; zero: not known
	hurry  bool      // the store has yet to make them due
	// While they are read, what was forgotten or ended must not come back as it was
	// before: stale tells that too much was forgotten.
	reading, stale bool
	ended          map[int64]bool
}

// restart forgets all but what is in flight, when everything is read anew.
func (p *parking) restart() {
	for _, it := range p.due {
		delete(p.items, it.id)
	}
	p.due = nil
	p.reread()
}

// reread forgets all that the store knows as well and that is not in flight.
func (p *parking) reread() {
	p.more, p.beyond, p.stale = true, time.Time{}, p.reading
	kept := p.due[:0]
	for _, it := range p.due {
		if it.unsaid {
			kept = append(kept, it)
		} else {
			delete(p.items, it.id)
		}
	}
	clear(p.due[len(kept):])
	p.due = kept
	heap.Init(&p.due)
}

// wanted tells whether the store has to be read, or to make them due.
func (p *parking) wanted() bool {
	return p.hurry || p.more && len(p.items) <= p.bounds.parkedLow
}

// add takes in a delivery that was parked just now.
func (p *parking) add(it parkedItem) {
	_, known := p.items[it.id] // it was read between its parking and now
	switch {
	case known:
	case it.unsaid:
		p.keep(it)
	case p.more && !p.reading && it.due.After(p.beyond): // it is read in its turn
	case len(p.items) >= p.bounds.parkedRoom:
		p.reread() // by then, this one is committed
	default:
		p.keep(it)
	}
}

func (p *parking) keep(it parkedItem) {
	if p.items == nil {
		p.items = map[int64]*parkedItem{}
	}
	p.items[it.id] = &it
	heap.Push(&p.due, &it)
}

// take takes the one that is due into flight, if there is one.
func (p *parking) take() *parkedItem {
	p.flying++
	return heap.Pop(&p.due).(*parkedItem)
}

// ready tells whether one is due.
func (p *parking) ready(now time.Time) bool { return len(p.due) > 0 && !p.due[0].due.After(now) }

// again ends a flight that failed. The store was told of it.
func (p *parking) again(it *parkedItem, attempts int, due, now time.Time) {
	if p.more && !p.reading && due.After(p.beyond) && due.After(now) {
		p.flying--
		p.drop(it)
		return
	}
	it.attempts, it.unsaid = attempts, false
	p.later(it, due)
}

// later ends a flight that was no attempt.
func (p *parking) later(it *parkedItem, due time.Time) {
	p.flying--
	if p.items[it.id] == it {
		it.due = due
		heap.Push(&p.due, it)
	}
}

func (p *parking) drop(it *parkedItem) {
	if p.items[it.id] == it {
		delete(p.items, it.id)
	}
}

// finish ends a flight for good.
func (p *parking) finish(it *parkedItem) {
	p.flying--
	p.drop(it)
	if p.reading {
		p.ended[it.id] = true
	}
}

// hasten makes all of them due at once: those in the store first, of which the
// others are read.
func (p *parking) hasten() { p.hurry = p.hurry || p.more || len(p.items) > 0 }

// beginRead and endRead stand around each read.
func (p *parking) beginRead() { p.reading, p.stale, p.ended = true, false, map[int64]bool{} }
func (p *parking) endRead()   { p.reading, p.stale, p.ended = false, false, nil }

// learn takes what a read returned, of at most limit rows, soonest due first. A
// time that no attempt can have set counts from began on, however often it is read.
func (p *parking) learn(rows []pombo.Delivery, limit int, policy *Policy, began, now time.Time) {
	stale, ended := p.stale, p.ended
	p.endRead()
	if stale {
		return
	}
	due := func(d *pombo.Delivery) time.Time {
		if wait := policy.wait(d.NextAttempt, now); wait < policy.longest() {
			return now.Add(wait)
		}
		return later(now, began.Add(policy.longest()))
	}
	p.more = len(rows) >= limit
	for _, d := range rows {
		_, known := p.items[d.ID]
		if known || ended[d.ID] {
			continue
		}
		p.keep(parkedItem{id: d.ID, lane: d.Lane(), attempts: d.Attempts, due: due(&d)})
	}
	if p.more && len(rows) > 0 {
		p.beyond = due(&rows[len(rows)-1])
	}
}

// share returns how many parked deliveries may be in flight, of so many in all.
func share(concurrency int) int { return max(concurrency/4, 1) }

// nextDue returns when there is something to do here, if ever.
func (p *parking) nextDue(concurrency int) (due time.Time, ok bool) {
	if len(p.due) == 0 || p.flying >= share(concurrency) {
		return time.Time{}, false
	}
	return p.due[0].due, true
}

// fetchParked reads the delivery of a flight that is parked. It returns false if
// there is nothing to post, and has ended the flight.
func (r *runner) fetchParked(f *flight) bool {
	it := f.parked
	d, found, err := r.fetch(it.lane, it.id, it.attempts)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.generation != f.generation: // switched off meanwhile
		r.parking.finish(it)
	case err != nil:
		r.parking.later(it, time.Now().Add(parkedPause))
	case !found:
		r.parking.finish(it)
	default:
		f.delivery = d
		return true
	}
	return false
}

// fetch reads a delivery that has had so many attempts at least: what the store
// returns may be older. It is not found if it ended in another way.
func (r *runner) fetch(ln pombo.Lane, id int64, attempts int) (d pombo.Delivery, found bool, err error) {
	ctx, cancel := context.WithTimeout(r.d.life, maxPause)
	defer cancel()
	rows, err := r.d.store.PendingInLane(ctx, r.id, ln, id-1, 1)
	if err != nil || len(rows) != 1 || rows[0].ID != id {
		return pombo.Delivery{}, false, err
	}
	d = rows[0]
	d.Attempts = max(d.Attempts, attempts)
	return d, true, nil
}

func (it *parkedItem) dueAt() time.Time { return it.due }
func (it *parkedItem) setPlace(i int)   { it.index = i }
