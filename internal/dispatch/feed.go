package dispatch

import (
	"context"
	"time"

	"pombo"
)

// How long a store that fails is left alone.
const (
	minPause = 500 * time.Millisecond
	maxPause = 30 * time.Second
)

// feed is what a runner knows about reading from the store. There are two kinds
// of reads, one at a time: the scan goes through everything above the window's
// tail; a refill reads on in one lane.
//
// While nothing is behind, announcements go straight into the window and
// nothing is read. Three things must hold for that:
//
//   - Everything committed before a scan's read is in its page, or behind it if
//     the page is full.
//   - Everything committed after it is announced after the read began: those
//     announcements are kept in the inbox.
//   - So after a page that was not full, and was taken whole, page and inbox
//     together are all there is. If the inbox ran over, the runner stays behind.
type feed struct {
	running  bool // there is a reader goroutine
	behind   bool // the store may have deliveries above tail that nobody looked at
	scanning bool
	inbox    []pombo.Delivery
	lost     bool // the inbox ran over
	poor     bool // the last page had nothing for the window: all of it was noted
	refilled bool // the last read was a refill; the two kinds take turns

	failures    int       // reads that failed in a row
	pausedUntil time.Time // after a failed read; zero otherwise
}

// restart makes the feed start over from the oldest row. A reader that is at
// work goes on; its page belongs to an earlier generation and is dropped.
func (f *feed) restart() {
	f.behind, f.scanning, f.inbox, f.lost, f.poor = true, false, nil, false, false
}

// wantsRead tells whether there is something to read. The caller holds the lock.
func (r *runner) wantsRead(now time.Time) bool {
	f := &r.feed
	if f.pausedUntil.After(now) {
		return false
	}
	f.pausedUntil = time.Time{}
	return f.wantsScan(r.win, r.d.policy.Concurrency) || r.win.hungry.len() > 0 && r.win.room() > 0 || r.parking.wanted()
}

// wantsScan tells whether to look for more lanes. Not while those at hand keep
// the workers busy: what they hold is older. A lane whose backlog fills whole
// pages is skipped, so that it does not hide the lanes behind it.
func (f *feed) wantsScan(w *window, concurrency int) bool {
	if w.held && len(w.lanes) > 0 {
		return false // one is enough to probe with
	}
	enough := 4 * concurrency
	if f.poor {
		enough = concurrency
	}
	return f.behind && w.laneRoom() && w.room() > 0 && w.runnable() < enough
}

// announce takes one announced delivery. The caller holds the lock.
func (r *runner) announce(d pombo.Delivery, now time.Time) {
	f := &r.feed
	switch {
	case f.scanning && len(f.inbox) < r.win.bounds.inboxSize:
		f.inbox = append(f.inbox, d)
	case f.scanning:
		f.lost = true
	case f.behind || d.ID <= r.win.tail:
		// A scan will see it, or has.
	default:
		f.behind = !r.win.admit(d, now)
		r.circuit.company(now)
	}
}

// page is one read of the store.
type page struct {
	generation int
	scan       bool
	hurry      bool  // no read: what is parked is made due
	parked     bool  // a read of what is parked
	after      int64 // of a scan
	limit      int   // of a scan or of what is parked
	refill     refill
	rows       []pombo.Delivery
	err        error
}

// read reads from the store until nothing is wanted.
func (r *runner) read() {
	for {
		p, ok := r.nextRead()
		if !ok {
			return
		}
		switch {
		case p.hurry:
			p.err = r.d.store.HurryParked(r.d.reads, r.id)
		case p.scan:
			p.rows, p.err = r.d.store.Pending(r.d.reads, r.id, p.after, p.limit)
		case p.parked:
			p.rows, p.err = r.d.store.Parked(r.d.reads, r.id, p.limit)
		default:
			p.rows, p.err = r.d.store.PendingInLane(r.d.reads, r.id, p.refill.lane.key, p.refill.after, p.refill.limit)
		}
		r.digest(p)
	}
}

// nextRead chooses what to read. If there is nothing, the reader is no more.
func (r *runner) nextRead() (page, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, now := &r.feed, time.Now()
	if !r.opened || !r.active || !r.wantsRead(now) {
		f.running = false
		r.start()
		return page{}, false
	}
	if r.parking.hurry {
		r.parking.hurry = false
		return page{generation: r.generation, hurry: true}, true
	}
	if r.parking.wanted() {
		r.parking.beginRead()
		// Those that are known may well be the first again.
		return page{generation: r.generation, parked: true, limit: len(r.parking.items) + r.win.pageLimit(r.win.bounds.parkedPage)}, true
	}
	scan := f.wantsScan(r.win, r.d.policy.Concurrency)
	if !scan || !f.refilled {
		if fill, ok := r.win.nextRefill(); ok {
			f.refilled = true
			return page{generation: r.generation, refill: fill}, true
		}
	}
	f.refilled = false
	if !scan { // all that was hungry waits now
		f.running = false
		r.start()
		return page{}, false
	}
	f.scanning = true
	return page{generation: r.generation, scan: true, after: r.win.tail, limit: r.win.pageLimit(r.win.bounds.pageSize)}, true
}

// digest puts what was read into the window.
func (r *runner) digest(p page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.parked && (p.err != nil || p.generation != r.generation) {
		r.parking.endRead()
	}
	if p.hurry && (p.err != nil || p.generation != r.generation) {
		r.parking.hurry = r.active
	}
	if p.generation != r.generation {
		return
	}
	now := time.Now()
	r.pause(p.err, now)
	if p.err == nil {
		r.win.measure(p.rows)
	}
	switch {
	case p.hurry && p.err == nil:
		r.parking.reread()
	case p.hurry:
	case p.scan:
		r.scanned(p, now)
	case !p.parked:
		r.win.refilled(p.refill, p.rows, p.err == nil, now)
	case p.err == nil:
		r.parking.learn(p.rows, p.limit, &r.d.policy, r.began, now)
	}
	r.start()
}

// scanned puts a scan's page, and what was announced meanwhile, into the window.
func (r *runner) scanned(p page, now time.Time) {
	f := &r.feed
	inbox, lost := f.inbox, f.lost
	f.scanning, f.inbox, f.lost = false, nil, false
	if p.err != nil {
		return
	}
	loaded := r.win.loaded
	for i := range p.rows {
		if p.rows[i].ID <= r.win.tail {
			continue
		}
		r.resume(p.rows[i], now)
		if !r.win.admit(p.rows[i], now) {
			return
		}
	}
	f.poor = r.win.loaded == loaded
	if len(p.rows) == p.limit || lost {
		return
	}
	f.behind = false
	for _, d := range inbox {
		r.announce(d, now)
	}
}

// pause keeps a store that fails from being asked at full speed.
func (r *runner) pause(err error, now time.Time) {
	f := &r.feed
	if err == nil {
		if f.failures > 0 {
			r.d.log.Info("pending deliveries can be read again", "webhook", r.id)
		}
		f.failures = 0
		return
	}
	f.failures++
	f.pausedUntil = now.Add(min(minPause<<min(f.failures-1, 10), maxPause))
	if f.failures == 1 && r.d.reads.Err() == nil {
		r.d.log.Error("pending deliveries could not be read; trying again", "webhook", r.id, "error", err)
	}
}

// settle hands a result to the store, for as long as it takes. A result that
// the store calls Invalid would be refused for ever; that is a bug of ours.
func (r *runner) settle(a pombo.Attempt) {
	for n := 0; ; n++ {
		err := r.d.store.Settle(r.d.settling, a)
		if err == nil {
			if r.d.refused.CompareAndSwap(true, false) {
				r.d.log.Info("the store takes results of deliveries again")
			}
			return
		}
		if r.d.refused.CompareAndSwap(false, true) {
			r.d.log.Error("the store did not take the result of a delivery; nothing more is sent until it does",
				"webhook", r.id, "delivery", a.Delivery, "error", err)
		}
		if pombo.KindOf(err) == pombo.Invalid {
			r.d.log.Error("the store refused the result of a delivery; it will be delivered again after the next start",
				"webhook", r.id, "delivery", a.Delivery, "error", err)
			return
		}
		if !sleep(r.d.settling, min(minPause<<min(n, 10), maxPause/6)) {
			r.d.log.Error("the result of a delivery was not stored before the end; it will be delivered again with the same webhook-id",
				"webhook", r.id, "delivery", a.Delivery, "error", err)
			return
		}
	}
}

// sleep waits for d and returns true, or false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
