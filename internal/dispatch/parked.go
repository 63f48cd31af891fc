package dispatch

import (
	"container/heap"
	"context"
	"time"

	"pombo"
)

const (
	// parkedRoom is how many parked deliveries a webhook keeps in memory (their IDs
	// and times alone); the rest is read again when their turn comes.
	parkedRoom = 1024
	// parkedPage is how many are read at once, and parkedLow at how many that are
	// left more are read.
	parkedPage, parkedLow = 64, 16
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
	asked    time.Time // until when the endpoint asked to be left alone with it
	index    int       // in parking.due; -1: in flight
}

// parking is what a runner knows of its parked deliveries: those that are due
// soonest. It is plain data, guarded by its runner.
type parking struct {
	items  map[int64]*parkedItem
	due    parkedHeap
	flying int
	ended  map[int64]time.Time // those that ended lately
	more   bool                // the store has others
	quiet  time.Time           // no reading before then
}

// restart forgets all but what is in flight.
func (p *parking) restart() {
	for id, it := range p.items {
		if it.index >= 0 {
			delete(p.items, id)
		}
	}
	p.due, p.more, p.quiet = nil, true, time.Time{}
}

// wanted tells whether the store has to be read.
func (p *parking) wanted(now time.Time) bool {
	return p.more && len(p.items) <= parkedLow && !p.quiet.After(now)
}

// add takes in a delivery that was parked just now, or read.
func (p *parking) add(it parkedItem) {
	if p.items == nil {
		p.items = map[int64]*parkedItem{}
	}
	if len(p.items) >= parkedRoom {
		p.more = true // by the time it is read, this one is committed
		return
	}
	n := it
	p.items[it.id] = &n
	heap.Push(&p.due, &n)
}

// take takes the one that is due into flight, if there is one.
func (p *parking) take() *parkedItem {
	p.flying++
	return heap.Pop(&p.due).(*parkedItem)
}

// ready tells whether one is due.
func (p *parking) ready(now time.Time) bool { return len(p.due) > 0 && !p.due[0].due.After(now) }

// again ends a flight that failed.
func (p *parking) again(it *parkedItem, attempts int, due, asked time.Time) {
	p.flying--
	if p.items[it.id] == it {
		it.attempts, it.due, it.asked = attempts, due, asked
		heap.Push(&p.due, it)
	}
}

// finish ends a flight for good.
func (p *parking) finish(it *parkedItem, now time.Time) {
	p.flying--
	delete(p.items, it.id)
	if p.ended == nil {
		p.ended = map[int64]time.Time{}
	}
	p.ended[it.id] = now
}

// hurry makes all that waits due.
func (p *parking) hurry(heed bool, now time.Time) {
	for _, it := range p.due {
		if !heed {
			it.asked = time.Time{}
		}
		it.due = later(now, it.asked)
	}
	heap.Init(&p.due)
}

// learn takes what a read returned, of at most limit rows, soonest due first.
func (p *parking) learn(rows []pombo.Delivery, limit int, policy *Policy, now time.Time) {
	for id, at := range p.ended {
		if now.Sub(at) > parkedMemory {
			delete(p.ended, id)
		}
	}
	fresh := 0
	p.more = len(rows) >= limit
	for _, d := range rows {
		_, known := p.items[d.ID]
		if _, over := p.ended[d.ID]; known || over {
			continue
		}
		fresh++
		p.add(parkedItem{id: d.ID, lane: d.Lane(), attempts: d.Attempts, due: now.Add(policy.wait(d.NextAttempt, now))})
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
	if p.more && len(p.items) <= parkedLow && !p.quiet.IsZero() && (!ok || p.quiet.Before(due)) {
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
		r.parking.again(it, it.attempts, now.Add(parkedPause), it.asked)
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
