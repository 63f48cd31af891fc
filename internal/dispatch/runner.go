package dispatch

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"

	"pombo"
)

// runner makes the deliveries of one webhook.
//
// Its goroutines come and go: start starts a worker for each lane that is ready,
// up to the limits, and a reader if something is to be read. Both end by
// themselves when there is nothing more to do. None is started once the runner
// is closed, so that Dispatcher.end can wait for all of them.
type runner struct {
	d  *Dispatcher
	id string

	mu      sync.Mutex
	opened  bool // between open and close
	active  bool // the webhook is switched on
	removed bool
	webhook pombo.Webhook
	// generation counts how often the webhook was switched off or removed:
	// flights and reads of an earlier one are strangers. version counts the
	// changes of where and how it is posted.
	generation, version int
	began               time.Time // when this generation began, for Policy's patience
	inFlight            int
	telling             bool // Options.Gone is being called
	reloading           bool // see Reload
	win                 *window
	feed                feed

	timer    *time.Timer
	timerDue time.Time // zero: not set

	delivered, failed uint64
	failures          int
	lastSuccess       time.Time
}

// flight is one delivery on its way.
type flight struct {
	lane                *lane
	delivery            pombo.Delivery
	webhook             pombo.Webhook
	generation, version int
}

func newRunner(d *Dispatcher, id string) *runner {
	return &runner{d: d, id: id, win: newWindow(&d.policy, &d.bounds, &d.usage)}
}

func (r *runner) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened, r.began = true, time.Now()
	r.start()
}

func (r *runner) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened = false
	if r.timer != nil {
		r.timer.Stop()
	}
}

func (r *runner) set(w pombo.Webhook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	old := r.webhook
	r.webhook, r.removed = w, false
	switch on := w.Enabled && w.URL != ""; {
	case !on:
		r.switchOff()
	case !r.active:
		r.active, r.began = true, now
		r.feed.restart()
	case old.URL != w.URL || old.ByEvents != w.ByEvents || old.Base64 != w.Base64 || !maps.Equal(old.Headers, w.Headers):
		r.version++
		r.win.hurry(now)
	}
	r.start()
}

// remove switches the runner off for good. It returns false while flights are
// left: their lanes must be known if the webhook comes back.
func (r *runner) remove() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = true
	r.switchOff()
	return r.inFlight == 0
}

// remains returns how many flights keep a removed runner from being forgotten;
// 1 if it was not removed.
func (r *runner) remains() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.removed {
		return 1
	}
	return r.inFlight
}

func (r *runner) switchOff() {
	r.active = false
	r.generation++
	r.win.reset()
	r.feed.restart()
	if r.timer != nil {
		r.timer.Stop()
		r.timerDue = time.Time{}
	}
}

func (r *runner) notify(ds []pombo.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.active {
		return
	}
	now := time.Now()
	for _, d := range ds {
		r.announce(d, now)
	}
	r.start()
}

// useSlot starts a worker on a slot that was taken for this runner. It returns
// false if there is nothing to do with it.
func (r *runner) useSlot() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.next(true)
	if ok {
		r.d.wg.Go(func() { r.work(f) })
		r.start()
	}
	return ok
}

// start starts what can be started. The caller holds the lock.
func (r *runner) start() {
	if !r.opened || !r.active {
		return
	}
	r.reload()
	r.win.expire(time.Now())
	for {
		f, ok := r.next(false)
		if !ok {
			break
		}
		r.d.wg.Go(func() { r.work(f) })
	}
	if !r.feed.running && r.feed.wanted(r.win, r.d.policy.Concurrency, time.Now()) {
		r.feed.running = true
		r.d.wg.Go(r.read)
	}
	r.arm()
}

// next takes the next delivery into flight, if there is one and the limits let
// it. holding tells that the caller has a slot already.
func (r *runner) next(holding bool) (flight, bool) {
	if !r.opened || !r.active || r.reloading || r.win.ready.len() == 0 || r.inFlight >= r.d.policy.Concurrency {
		return flight{}, false
	}
	if !holding && !r.d.slots.take(r, r.inFlight == 0) {
		return flight{}, false
	}
	ln, d, _ := r.win.take(time.Now())
	r.inFlight++
	return flight{lane: ln, delivery: d, webhook: r.webhook, generation: r.generation, version: r.version}, true
}

// arm sets the timer to when there is something to do. The caller holds the lock.
func (r *runner) arm() {
	if !r.opened || !r.active {
		return
	}
	due, ok := r.win.nextDue()
	if pause := r.feed.pausedUntil; !pause.IsZero() && (!ok || pause.Before(due)) {
		due, ok = pause, true
	}
	switch {
	case !ok || due.Equal(r.timerDue):
	case r.timer == nil:
		r.timer, r.timerDue = time.AfterFunc(time.Until(due), r.wake), due
	default:
		r.timerDue = due
		r.timer.Reset(time.Until(due))
	}
}

func (r *runner) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timerDue = time.Time{}
	r.start()
}

// work makes deliveries one after the other until none is left for it.
func (r *runner) work(f flight) {
	for ok := true; ok; {
		f, ok = r.deliver(f)
	}
	r.d.slots.wake()
	if r.remains() == 0 {
		r.d.forget(r)
	}
}

// deliver makes one attempt, hands its result to the store and lets the lane go
// on. It returns the worker's next flight.
//
// The lane goes on only when the store has taken the result: the store commits
// results in the order in which it takes them, so after a crash those of a lane
// that are missing are its last ones, and order holds. While the store takes
// nothing, the workers wait with one result each, and nothing more is posted.
func (r *runner) deliver(f flight) (flight, bool) {
	res := r.attempt(f)
	a, due := r.judge(f, res)
	r.settle(a)
	if res.status == http.StatusGone {
		r.tellGone(f)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.inFlight--
	if a.State == pombo.Pending && f.generation == r.generation {
		r.win.again(f.lane, a.Number, due, now)
	} else {
		r.win.finish(f.lane, now)
	}
	if r.inFlight > 0 && r.d.slots.contended() {
		r.d.slots.put()
		r.start()
		return flight{}, false
	}
	next, ok := r.next(true)
	if !ok {
		r.d.slots.put()
	}
	r.start()
	return next, ok
}

// attempt posts a delivery.
func (r *runner) attempt(f flight) result {
	ctx, cancel := context.WithTimeout(r.d.life, r.d.policy.Timeout)
	defer cancel()
	url, body, header, err := r.d.encode(f.delivery, f.webhook)
	if err != nil {
		r.d.log.Error("an event could not be put together for its webhook", "webhook", r.id,
			"delivery", f.delivery.ID, "event", f.delivery.Event.Name, "error", err)
		res := result{at: time.Now()}
		res.fail(codeEncode, "The event's body could not be put together; the gateway's log has the cause.")
		return res
	}
	return r.d.client.post(ctx, message{id: f.delivery.MessageID, url: url, body: body, custom: header})
}

// judge turns a result into what becomes of the delivery. due is when it is
// tried again, on the clock that does not jump.
func (r *runner) judge(f flight, res result) (a pombo.Attempt, due time.Time) {
	now := time.Now()
	a = pombo.Attempt{
		Delivery: f.delivery.ID, Number: f.delivery.Attempts + 1,
		At: res.at.Round(0), Duration: res.took, Address: res.address,
		Status: res.status, ErrorCode: res.code, Error: res.sentence, Response: res.response,
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// An age counted by a clock that jumped is no reason to give up: both the
	// wall clock, and the clock that only goes on from when this runner began,
	// must say so.
	running := now.Sub(r.began)
	steady := r.began.Add(running).Round(0)
	since := f.delivery.Since()
	age := min(now.Round(0).Sub(since), steady.Sub(since))
	out := r.d.policy.decide(res, a.Number-f.delivery.AttemptsBefore, age, running >= min(patience, r.d.policy.Horizon))
	switch {
	case out.state == pombo.Delivered:
	case f.generation != r.generation: // switched off meanwhile
		out = outcome{state: pombo.Dead, reason: pombo.Disabled}
	case res.code == codeStopped, f.version != r.version:
		// Cut by us, or posted to where the webhook no longer points: that says
		// nothing about the event.
		out = outcome{state: pombo.Pending}
	}
	a.State, a.Reason = out.state, out.reason
	if out.state == pombo.Pending {
		due = now.Add(out.delay)
		a.NextAttempt = due.Round(0)
	}
	r.count(f, res, out)
	return a, due
}
