package dispatch

import (
	"container/heap"
	"sync/atomic"
	"time"

	"pombo"
)

// bounds limit what is in memory. Sizes are in bytes, counted by cost.
type bounds struct {
	laneDepth   int   // deliveries loaded per lane
	refillAt    int   // a lane that has more is refilled when so many are left
	windowFloor int64 // loaded per webhook, whatever the others hold
	windowSize  int64 // loaded per webhook
	allWindows  int64 // loaded in all, beyond the floors
	laneFloor   int   // lanes per webhook, whatever the others hold
	laneLimit   int   // lanes per webhook
	allLanes    int64 // lanes in all, beyond the floors
	pageSize    int   // rows that a scan asks for
	inboxSize   int   // announcements kept while a scan is under way

	// Parked deliveries that a webhook keeps in memory (their IDs and times alone).
	// If there are more, those that are due next are kept, and more are read, a page
	// at a time, when so few are left as parkedLow says.
	parkedRoom, parkedPage, parkedLow int
}

// standardBounds keep a gateway with many webhooks and a backlog of any length
// below 150 MB: what is loaded, beside what is in flight.
var standardBounds = bounds{
	laneDepth: 64, refillAt: 8,
	windowFloor: 128 << 10, windowSize: 12 << 20, allWindows: 64 << 20,
	laneFloor: 64, laneLimit: 16 << 10, allLanes: 128 << 10,
	pageSize: 256, inboxSize: 1024,
	parkedRoom: 1024, parkedPage: 64, parkedLow: 16,
}

// deliverySize is what a delivery costs beside its data.
const deliverySize = 512

// usage is what the windows of all webhooks hold together.
type usage struct {
	bytes atomic.Int64
	lanes atomic.Int64
}

// window is the part of one webhook's backlog that is in memory, and the rule
// of what may be posted next. It is plain data: its runner holds the lock, reads
// from the store and tells it the time.
//
// The invariants, for the pending deliveries of the webhook in the store:
//
//  1. Each one with an ID up to tail was seen: it is loaded in its lane's queue,
//     or it is in flight, or its lane has more set and an after below its ID, or
//     its result was handed to the store.
//  2. None with an ID above tail is loaded. So a delivery is loaded by exactly
//     one of: the scan behind tail, an announcement above tail, the refill of a
//     lane that has more (which drops what is above tail).
//  3. In a lane, everything up to after is loaded or was handed to the store. A
//     queue ascends, its IDs are at most after, and after is at most tail (save
//     for a flight that was kept over a reset, until the scan has caught up).
//  4. A lane with more set takes new deliveries from the store alone: what is
//     announced or scanned meanwhile is only noted, or it would overtake.
//     A parked delivery is in no lane: it is the business of parked.go alone.
//  5. A lane that waits has nothing loaded. It takes no room from the others
//     and is read again, from the delivery it waits for on.
//  6. A lane is forgotten only when it has nothing loaded, nothing in flight,
//     nothing more and no reading under way. By 1 and 2 nothing is lost with it.
//
// A position (tail, after) never moves back past a delivery whose result was
// handed to the store. That is why a result need not be committed before its lane
// moves on: nothing reads that delivery again.
type window struct {
	policy *Policy
	bounds *bounds
	usage  *usage

	lanes   map[pombo.Lane]*lane
	ready   queue[*lane]   // may post their first delivery now
	hungry  queue[*lane]   // asked for a refill
	waiting dueHeap[*lane] // wait for a time, soonest first
	posting int            // lanes with a delivery in flight
	held    bool           // the circuit is open: only aimed goes on (see held.go)
	aimed   *lane
	// pardoned tells that all was made due. A lane that failed since then waits, and
	// stays in memory: what comes from the store with a time to wait for is older.
	pardoned bool
	turns    int // probes so far

	tail    int64
	loaded  int // deliveries in queues
	bytes   int64
	rowSize int64 // what a row costs, going by the last reads
}

type phase int8

const (
	resting phase = iota // nothing to post: about to be forgotten, or to be refilled
	ready                // in window.ready
	posting              // its oldest delivery is in flight
	waiting              // in window.waiting, until its oldest delivery is due
)

type fetch int8

const (
	notAsked fetch = iota
	asked          // in window.hungry
	reading        // a read of the store is under way
)

// over, in lane.tried, stands for a delivery that ended.
const over = -1

type lane struct {
	key   pombo.Lane
	phase phase
	fetch fetch
	more  bool // the store has deliveries above after and up to tail
	noted bool // more was noted while reading
	after int64
	queue []pombo.Delivery

	flying int64 // the delivery in flight
	// index is the lane's place in window.waiting.
	index int
	// retry is the delivery that the lane waits for or waited for, and attempts
	// how many it had: what the store returns may be older than that.
	retry    int64
	attempts int
	before   int // how many of those were before its last replay; also while it flies
	due      time.Time
	unready  bool // while it waits: for a delivery that could not be put together
	// asked is until when the endpoint asked to be left alone with it.
	asked time.Time
	// tried counts the attempts of deliveries behind the first one that a
	// comparison tried (see park.go), or holds over if they ended: what the store
	// returns may be older.
	tried map[int64]int
	turn  int // of probes, the last that it had
	// alone tells that the delivery that the lane waits for could be compared
	// with no other. The next one of its chat makes it due.
	alone bool
}

func newWindow(p *Policy, b *bounds, u *usage) *window {
	return &window{policy: p, bounds: b, usage: u, lanes: map[pombo.Lane]*lane{}, rowSize: 8 * deliverySize}
}

func cost(d *pombo.Delivery) int64 { return int64(len(d.Event.Data)) + deliverySize }

// admit sees the next delivery above tail. It returns false, and has done
// nothing, if there is no room for it.
func (w *window) admit(d pombo.Delivery, now time.Time) bool {
	ln := w.lanes[d.Lane()]
	switch {
	case d.Parked: // it is in no lane
		w.tail = d.ID
		return true
	case ln == nil && (!w.laneRoom() || w.room() <= 0):
		return false
	case ln == nil:
		ln = &lane{key: d.Lane()}
		w.lanes[ln.key] = ln
		w.usage.lanes.Add(1)
		w.push(ln, d)
	case d.ID <= ln.after: // loaded already
	case ln.more || ln.phase == waiting || len(ln.queue) >= w.bounds.laneDepth:
		ln.more = true
		ln.noted = ln.fetch == reading
		w.company(ln, now)
	case w.room() <= 0:
		return false
	default:
		w.push(ln, d)
	}
	w.tail = d.ID
	w.settleDown(ln, now)
	return true
}

func (w *window) push(ln *lane, d pombo.Delivery) {
	ln.queue = append(ln.queue, d)
	ln.after = d.ID
	w.loaded++
	w.charge(cost(&d))
}

func (w *window) charge(n int64) {
	w.bytes += n
	w.usage.bytes.Add(n)
}

// room returns how many bytes may be loaded now.
func (w *window) room() int64 {
	shared := min(w.bounds.windowSize-w.bytes, w.bounds.allWindows-w.usage.bytes.Load())
	return max(w.bounds.windowFloor-w.bytes, shared)
}

// laneRoom tells whether there may be one more lane.
func (w *window) laneRoom() bool {
	return len(w.lanes) < w.bounds.laneFloor || len(w.lanes) < w.bounds.laneLimit && w.usage.lanes.Load() < w.bounds.allLanes
}

// pageLimit returns how many rows a read may ask for, n at most, going by the
// size of what was read before.
func (w *window) pageLimit(n int) int {
	return int(min(max(w.room()/max(w.rowSize, deliverySize), 1), int64(n)))
}

// measure notes the size of the rows that a read returned. Rows that grow are
// believed at once, rows that shrink by and by.
func (w *window) measure(rows []pombo.Delivery) {
	if len(rows) == 0 {
		return
	}
	var sum int64
	for i := range rows {
		sum += cost(&rows[i])
	}
	mean := sum / int64(len(rows))
	w.rowSize = max(mean, (3*w.rowSize+mean)/4)
}

// runnable returns how many lanes can make progress without waiting.
func (w *window) runnable() int { return w.ready.len() + w.posting }

// settleDown decides what becomes of a resting lane, and asks for a refill if
// one is due.
func (w *window) settleDown(ln *lane, now time.Time) {
	if ln.phase == resting && len(ln.queue) > 0 {
		head := &ln.queue[0]
		d := w.policy.wait(head.NextAttempt, now)
		switch {
		case ln == w.aimed:
			ln.phase = ready
		case w.held:
			w.postpone(ln, head.ID, head.Attempts, head.AttemptsBefore, now)
		case d > 0 && head.ID != ln.retry && !w.pardoned:
			w.postpone(ln, head.ID, head.Attempts, head.AttemptsBefore, now.Add(d))
		default:
			ln.phase = ready
			w.ready.push(ln)
		}
	}
	if ln.more && ln.fetch == notAsked && ln.phase != waiting && len(ln.queue) <= w.bounds.refillAt {
		ln.fetch = asked
		w.hungry.push(ln)
	}
	if ln.phase == resting && len(ln.queue) == 0 && !ln.more && ln.fetch == notAsked {
		if ln == w.aimed {
			w.aimed = nil
		}
		delete(w.lanes, ln.key)
		w.usage.lanes.Add(-1)
	}
}

// postpone lets ln wait for its oldest delivery and unloads it.
func (w *window) postpone(ln *lane, id int64, attempts, before int, due time.Time) {
	if ln == w.aimed {
		w.aimed = nil
	}
	w.unload(ln)
	ln.after, ln.more = id-1, true
	ln.retry, ln.attempts, ln.before, ln.alone, ln.unready = id, attempts, before, false, false
	ln.phase, ln.due = waiting, due
	heap.Push(&w.waiting, ln)
}

func (w *window) unload(ln *lane) {
	for i := range ln.queue {
		w.charge(-cost(&ln.queue[i]))
	}
	w.loaded -= len(ln.queue)
	ln.queue = nil
}

// take returns the next delivery to post, if there is one.
func (w *window) take(now time.Time) (*lane, pombo.Delivery, bool) {
	ln := w.aimed
	if ln == nil {
		var ok bool
		if ln, ok = w.ready.pop(); !ok {
			return nil, pombo.Delivery{}, false
		}
	} else if ln.phase != ready {
		return nil, pombo.Delivery{}, false
	}
	w.aimed = nil
	return ln, w.launch(ln, now), true
}

// launch takes the first delivery of a ready lane into flight.
func (w *window) launch(ln *lane, now time.Time) pombo.Delivery {
	d := ln.queue[0]
	ln.queue[0] = pombo.Delivery{}
	ln.queue = ln.queue[1:]
	w.loaded--
	w.charge(-cost(&d))
	ln.phase, ln.flying, ln.before = posting, d.ID, d.AttemptsBefore
	w.posting++
	w.settleDown(ln, now)
	return d
}

// finish ends a flight for good: its lane moves on.
func (w *window) finish(ln *lane, now time.Time) {
	w.posting--
	ln.phase, ln.retry, ln.asked = resting, 0, time.Time{}
	delete(ln.tried, ln.flying)
	w.settleDown(ln, now)
}

// again ends a flight that failed: its lane waits for the same delivery until
// due. asked is until when the endpoint wants no more of it, if it said so.
func (w *window) again(ln *lane, attempts int, due, asked, now time.Time) {
	w.posting--
	ln.asked = asked
	w.postpone(ln, ln.flying, attempts, ln.before, due)
	w.expire(now)
}

// expire lets the lanes go on whose time has come.
func (w *window) expire(now time.Time) {
	for !w.held && len(w.waiting) > 0 && !w.waiting[0].due.After(now) {
		ln := heap.Pop(&w.waiting).(*lane)
		ln.phase = resting
		w.settleDown(ln, now)
	}
}

// hurry makes all that waits due now, or when the endpoint asked for it if asked
// is heeded.
func (w *window) hurry(heed bool, now time.Time) {
	w.pardoned = w.pardoned || !heed
	for _, ln := range w.waiting {
		if !heed {
			ln.asked = time.Time{}
		}
		ln.due = later(now, ln.asked)
	}
	heap.Init(&w.waiting)
	w.expire(now)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// nextDue returns when expire has something to do, if ever.
func (w *window) nextDue() (time.Time, bool) {
	if w.held || len(w.waiting) == 0 {
		return time.Time{}, false
	}
	return w.waiting[0].due, true
}

// refill is a read of one lane from the store.
type refill struct {
	lane  *lane
	after int64
	limit int
}

// nextRefill returns the next lane to read, if one asked and may have it.
func (w *window) nextRefill() (refill, bool) {
	for w.hungry.len() > 0 && w.room() > 0 {
		ln, _ := w.hungry.pop()
		ln.fetch = notAsked
		if ln.phase == waiting { // it asks again when it is due
			continue
		}
		ln.fetch, ln.noted = reading, false
		r := refill{lane: ln, after: ln.after, limit: w.pageLimit(w.bounds.laneDepth - len(ln.queue))}
		if ln.phase == resting && ln.retry == ln.after+1 {
			r.limit = 1 // a retry that may well fail again: no more than that is needed
		}
		return r, true
	}
	return refill{}, false
}

// refilled takes what a read returned. ok is false if it failed: the lane asks
// again.
func (w *window) refilled(r refill, rows []pombo.Delivery, ok bool, now time.Time) {
	ln := r.lane
	ln.fetch = notAsked
	if ok && ln.phase != waiting && ln.after == r.after {
		more := ln.noted || len(rows) == r.limit
		for _, d := range rows {
			if d.ID > w.tail { // not seen yet: it will be scanned or announced
				more = ln.noted
				break
			}
			ln.correct(&d)
			if d.Parked || ln.tried[d.ID] == over {
				ln.after = d.ID
				continue
			}
			w.push(ln, d)
		}
		ln.more = more
	}
	w.settleDown(ln, now)
}

// correct sets right what the store may not have committed yet.
func (ln *lane) correct(d *pombo.Delivery) {
	if d.ID == ln.retry {
		d.Attempts = max(d.Attempts, ln.attempts)
	}
	if n, ok := ln.tried[d.ID]; ok {
		d.Attempts, d.NextAttempt = max(d.Attempts, n), time.Time{}
	}
}

// reset forgets all but the flights, which are not called back, and starts over
// from the oldest row.
func (w *window) reset() {
	kept := map[pombo.Lane]*lane{}
	for key, ln := range w.lanes {
		w.unload(ln)
		ln.fetch = notAsked
		if ln.phase == posting {
			ln.more, ln.noted, ln.retry, ln.after, ln.tried = false, false, 0, ln.flying, nil
			kept[key] = ln
		}
	}
	w.usage.lanes.Add(int64(len(kept) - len(w.lanes)))
	w.lanes, w.waiting, w.tail = kept, nil, 0
	w.ready, w.hungry = queue[*lane]{}, queue[*lane]{}
	w.held, w.aimed = false, nil
}

func (ln *lane) dueAt() time.Time { return ln.due }
func (ln *lane) setPlace(i int)   { ln.index = i }
