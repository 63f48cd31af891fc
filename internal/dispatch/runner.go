package dispatch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"pombo"
)

// runner makes the deliveries of one webhook.
//
// Its goroutines come and go: start takes a worker for each lane that is ready,
// up to the limits, and starts a reader if something is to be read. Both leave by
// themselves when there is nothing more to do. None comes once the runner
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
	parking             parking
	circuit             circuit
	width               width
	resumed             bool // resume has looked

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
	parked              *parkedItem // set if it is one: then lane is nil
	probe               bool        // of an open circuit
	paced               bool        // see pace
	behind              bool        // posted while one before it in its lane failed: see compare
}

func newRunner(d *Dispatcher, id string) *runner {
	return &runner{d: d, id: id, win: newWindow(&d.policy, &d.bounds, &d.usage), parking: parking{bounds: &d.bounds}}
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
		r.active, r.began, r.resumed = true, now, false
		r.feed.restart()
		r.parking.restart()
	case old.URL != w.URL || old.ByEvents != w.ByEvents || old.Base64 != w.Base64 || !maps.Equal(old.Headers, w.Headers) ||
		!slices.EqualFunc(old.Secrets, w.Secrets, func(a, b pombo.SigningSecret) bool { return a.Key == b.Key && a.Until.Equal(b.Until) }):
		r.version++
		r.forgive(now)
		r.win.hurry(false, now)
		r.parking.hasten()
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
	r.parking.restart()
	r.parking.hurry = false
	r.circuit.works(time.Now())
	r.width.restart()
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
		r.d.fly(func() { r.work(f) })
		r.start()
	}
	return ok
}

// start starts what can be started. The caller holds the lock.
func (r *runner) start() {
	if !r.opened || !r.active {
		return
	}
	now := time.Now()
	r.reload(now)
	r.win.expire(now)
	if r.mayProbe(now) {
		r.win.aim(now)
	}
	for {
		f, ok := r.next(false)
		if !ok {
			break
		}
		r.d.fly(func() { r.work(f) })
	}
	if !r.feed.running && r.wantsRead(now) {
		r.feed.running = true
		r.d.wg.Go(r.read)
	}
	r.arm(now)
}

// mayProbe tells whether the circuit is open and it is time for a probe. The
// caller holds the lock.
func (r *runner) mayProbe(now time.Time) bool {
	return r.circuit.open && !r.circuit.probing && !r.circuit.due.After(now)
}

// what there is to post.
type choice int8

const (
	nothing choice = iota
	ofLane
	ofParked
)

// choose says what is posted next. While the circuit is closed, parked deliveries
// that are due come first, but never take more than a quarter of the POSTs. While
// it is open, one is only tried if there is nothing else to probe with.
func (r *runner) choose(now time.Time) choice {
	p := &r.parking
	switch {
	case r.circuit.open && !r.mayProbe(now):
		return nothing
	case r.circuit.open && r.win.aimedReady():
		return ofLane
	case r.circuit.open && len(r.win.lanes) == 0 && !r.feed.behind && len(p.due) > 0:
		return ofParked
	case r.circuit.open:
		return nothing
	case p.ready(now) && p.flying < share(r.width.limit(&r.d.policy)):
		return ofParked
	case r.win.ready.len() > 0:
		return ofLane
	}
	return nothing
}

// next takes the next delivery into flight, if there is one and the limits let
// it. holding tells that the caller has a slot already.
func (r *runner) next(holding bool) (flight, bool) {
	if !r.opened || !r.active || r.reloading || r.inFlight >= r.width.limit(&r.d.policy) {
		return flight{}, false
	}
	now := time.Now()
	chosen := r.choose(now)
	if chosen == nothing || !holding && !r.d.slots.take(r, r.inFlight == 0) {
		return flight{}, false
	}
	f := flight{webhook: r.webhook, generation: r.generation, version: r.version, probe: r.circuit.open, paced: r.inFlight > 0 && r.unproven()}
	r.circuit.probing = r.circuit.open
	if chosen == ofParked {
		f.parked = r.parking.take()
	} else {
		f.lane, f.delivery, _ = r.win.take(now)
	}
	r.inFlight++
	return f, true
}

// arm sets the timer to when there is something to do after now, the time at which
// start looked. What was due then and was not started waits for a limit, and whoever
// makes room calls start. The caller holds the lock.
func (r *runner) arm(now time.Time) {
	var due time.Time
	at := func(t time.Time, ok bool) {
		if ok && t.After(now) && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	if r.circuit.open {
		at(r.circuit.due, !r.circuit.probing)
		at(r.win.nextPrepared(now))
	} else {
		at(r.win.nextDue())
		at(r.parking.nextDue(r.width.limit(&r.d.policy)))
	}
	at(r.feed.pausedUntil, true)
	switch {
	case due.IsZero() || due.Equal(r.timerDue):
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
	if f.parked != nil && !r.fetchParked(&f) {
		return r.turn(f, func(time.Time) {})
	}
	if !r.pace(f) {
		l := notTried(f, result{unready: &NotReady{}})
		return r.turn(f, func(now time.Time) { r.land(&l, now) })
	}
	hurried := r.d.hurried.Load()
	first := r.try(f)
	if first.unready() {
		return r.turn(f, func(now time.Time) { r.putOff(&first, hurried, now) })
	}
	if first.a.State != pombo.Pending || f.parked != nil || first.a.Number-f.delivery.AttemptsBefore < suspectAfter || !blames(first.res) {
		r.settle(first.a)
		r.tellGone(first)
		return r.turn(f, func(now time.Time) { r.land(&first, now) })
	}
	legs, alone := r.compare(first)
	for _, l := range legs {
		if !l.skipped {
			r.settle(l.a)
		}
	}
	for _, l := range legs {
		r.tellGone(l)
	}
	return r.turn(f, func(now time.Time) { r.conclude(legs, alone, now) })
}

// turn ends a flight by end, and returns the worker's next one.
func (r *runner) turn(f flight, end func(now time.Time)) (flight, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight--
	if f.probe && f.generation == r.generation && r.circuit.open {
		r.circuit.probing = false
	}
	end(time.Now())
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

// land lets the lane of a delivery go on, or wait for it. The caller holds the
// lock.
func (r *runner) land(l *leg, now time.Time) {
	r.hasten(l, now)
	same := l.a.State == pombo.Pending && l.f.generation == r.generation
	switch {
	case l.f.parked != nil && same && l.skipped:
		r.parking.later(l.f.parked, l.due)
	case l.f.parked != nil && same:
		r.parking.again(l.f.parked, l.a.Number, l.due, now)
	case l.f.parked != nil:
		r.parking.finish(l.f.parked)
	case same:
		r.win.again(l.f.lane, l.a.Number, l.due, l.asked, now)
		l.f.lane.unready = l.unready() && l.f.lane.phase == waiting
	default:
		r.win.finish(l.f.lane, now)
	}
}

// hasten lets a delivery be tried again at once if the webhook was changed after the
// attempt was judged: the change has hurried those that waited then. The caller holds
// the lock.
func (r *runner) hasten(l *leg, now time.Time) {
	if l.f.version != r.version && l.a.State == pombo.Pending {
		l.due, l.asked = now, time.Time{}
	}
}

// try makes one attempt and judges it.
func (r *runner) try(f flight) leg {
	res := r.attempt(f)
	if res.unready != nil {
		return notTried(f, res)
	}
	return r.judge(f, res)
}

// attempt posts a delivery.
func (r *runner) attempt(f flight) result {
	url, body, header, err := r.d.encode(f.delivery, f.webhook)
	var unready *NotReady
	if errors.As(err, &unready) {
		return result{unready: unready}
	}
	if err != nil {
		r.d.log.Error("an event could not be put together for its webhook", "webhook", r.id,
			"delivery", f.delivery.ID, "event", f.delivery.Event.Name, "error", err)
		res := result{at: time.Now()}
		res.fail(codeEncode, "The event's body could not be put together; the gateway's log has the cause.")
		return res
	}
	ctx, cancel := context.WithTimeout(r.d.life, r.d.policy.timeout(body.Size())+r.d.policy.slack())
	defer cancel()
	return r.d.client.post(ctx, message{id: f.delivery.MessageID, url: url, body: body, custom: header, secrets: f.webhook.Secrets})
}

// judge turns a result into what becomes of the delivery.
func (r *runner) judge(f flight, res result) leg {
	now := time.Now()
	a := pombo.Attempt{
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
	r.count(f, res, out)
	r.account(f, res, out, now)
	l := leg{f: f, res: res}
	a.State, a.Reason, a.Parked = out.state, out.reason, f.parked != nil && out.state == pombo.Pending
	if out.state == pombo.Pending {
		l.due = now.Add(out.delay)
		if res.retryAfter > 0 {
			l.asked = l.due
		}
		if f.probe && r.circuit.open && r.circuit.due.After(now) && f.generation == r.generation {
			l.due = r.circuit.due // that is when it is tried again
		}
		a.NextAttempt = l.due.Round(0)
	}
	l.a = a
	return l
}
