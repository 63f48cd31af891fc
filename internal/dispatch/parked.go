package dispatch

import (
	"container/heap"
	"context"
	"time"

	"pombo"
)

const (
	// parkedPause is how long a store that had nothing new to say, or a delivery
	// that could not be read, is left alone.
	parkedPause = 30 * time.Second
	// parkedMemory is how long it is remembered that one ended: the store may not
	// have committed that yet, and return it again.
	parkedMemory = 2 * time.Minute
)

// parkedItem is a delivery that is retried by itself.
type parkedItem struct {
	id       int64
	lane     pombo.Lane
	attempts int
	due      time.Time
	index    int // in parking.due; -1: in flight
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
	due    parkedHeap
	flying int
	ended  map[int64]time.Time // those that ended lately
	more   bool                // the store has others,
	beyond time.Time           // none of them due before then; zero: not known
	quiet  time.Time           // no reading before then
	hurry  bool                // the store has yet to make them due
	// While they are read, what is forgotten could come back as it was before.
	reading, stale bool
}

// restart forgets all but what is in flight.
func (p *parking) restart() {
	p.stale = p.reading
	for id, it := range p.items {
		if it.index >= 0 {
			delete(p.items, id)
		}
	}
	p.due, p.more, p.beyond, p.quiet = nil, true, time.Time{}, time.Time{}
}

// wanted tells whether the store has to be read, or to make them due.
func (p *parking) wanted(now time.Time) bool {
	return p.hurry || p.more && len(p.items) <= p.bounds.parkedLow && !p.quiet.After(now)
}

// add takes in a delivery that was parked just now.
func (p *parking) add(it parkedItem) {
	_, known := p.items[it.id] // it was read between its parking and now
	switch {
	case known || p.more && it.due.After(p.beyond):
	case len(p.items) >= p.bounds.parkedRoom:
		p.restart() // by the time they are read, this one is committed
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
	it.attempts = attempts
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
func (p *parking) finish(it *parkedItem, now time.Time) {
	p.flying--
	p.drop(it)
	if p.ended == nil {
		p.ended = map[int64]time.Time{}
	}
	p.ended[it.id] = now
}

// hasten makes all of them due at once: those in the store first, of which the
// others are read.
func (p *parking) hasten() { p.hurry = p.hurry || p.more || len(p.items) > 0 }

// learn takes what a read returned, of at most limit rows, soonest due first.
func (p *parking) learn(rows []pombo.Delivery, limit int, policy *Policy, now time.Time) {
	for id, at := range p.ended {
		if now.Sub(at) > parkedMemory {
			delete(p.ended, id)
		}
	}
	if p.reading = false; p.stale {
		p.stale = false
		return
	}
	due := func(d *pombo.Delivery) time.Time { return now.Add(policy.wait(d.NextAttempt, now)) }
	fresh := 0
	p.more = len(rows) >= limit
	for _, d := range rows {
		_, known := p.items[d.ID]
		if _, over := p.ended[d.ID]; known || over {
			continue
		}
		fresh++
		p.keep(parkedItem{id: d.ID, lane: d.Lane(), attempts: d.Attempts, due: due(&d)})
	}
	if p.more && len(rows) > 0 {
		p.beyond = due(&rows[len(rows)-1])
	}
	if fresh == 0 && p.more {
		p.quiet = now.Add(parkedPause)
	}
}

// share returns how many parked deliveries may be in flight, of so many in all.
func share(concurrency int) int { return max(concurrency/4, 1) }

// nextDue returns when there is something to do here, if ever.
func (p *parking) nextDue(concurrency int) (due time.Time, ok bool) {
	if len(p.due) > 0 && p.flying < share(concurrency) {
		due, ok = p.due[0].due, true
	}
	if p.more && len(p.items) <= p.bounds.parkedLow && !p.quiet.IsZero() && (!ok || p.quiet.Before(due)) {
		due, ok = p.quiet, true
	}
	return due, ok
}

// fetchParked reads the delivery of a flight that is parked. It returns false if
// there is nothing to post, and has ended the flight.
func (r *runner) fetchParked(f *flight) bool {
	it := f.parked
	ctx, cancel := context.WithTimeout(r.d.life, maxPause)
	rows, err := r.d.store.PendingInLane(ctx, r.id, it.lane, it.id-1, 1)
	cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch {
	case r.generation != f.generation: // switched off meanwhile
		r.parking.finish(it, now)
	case err != nil:
		r.parking.later(it, now.Add(parkedPause))
	case len(rows) != 1 || rows[0].ID != it.id: // it ended in another way
		r.parking.finish(it, now)
	default:
		f.delivery = rows[0]
		f.delivery.Attempts = max(f.delivery.Attempts, it.attempts)
		return true
	}
	return false
}

// parkedHeap orders parked deliveries by due time (container/heap).
type parkedHeap []*parkedItem

func (h parkedHeap) Len() int           { return len(h) }
func (h parkedHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h parkedHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *parkedHeap) Push(x any) {
	it := x.(*parkedItem)
	it.index = len(*h)
	*h = append(*h, it)
}
func (h *parkedHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.index = -1
	return it
}
