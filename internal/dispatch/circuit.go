package dispatch

import (
	"net/http"
	"time"

	"pombo"
)

const (
	// tripAfter is how many attempts must fail in a row for the circuit to open.
	tripAfter = 10
	// suspectAfter is how many attempts of one delivery must fail for it, and not
	// its endpoint, to be suspected.
	suspectAfter = 5
	// maxProbePause bounds the pause between two probes, so that the end of an
	// outage is found soon however long it took. A shorter MaxDelay holds.
	maxProbePause = 5 * time.Minute
)

// CircuitState says whether a webhook is posted to.
type CircuitState string

// The states of a circuit.
const (
	// Closed: deliveries are made, each chat at its own pace.
	Closed CircuitState = "closed"
	// Open: the endpoint failed again and again; it gets one probe at a time, with
	// growing pauses, until one succeeds.
	Open CircuitState = "open"
)

// circuit is the breaker of one endpoint: plain data, guarded by its runner.
type circuit struct {
	open   bool
	since  time.Time // when it opened or closed; zero: never opened
	opened uint64    // how often it opened
	row    int       // attempts that failed in a row

	// Of an open one:
	due     time.Time // the next probe
	asked   time.Time // until when the endpoint asked to be left alone
	pauses  int       // made so far
	probing bool      // a probe is in flight
	alone   bool      // the last probe could be compared with no other delivery
}

// pause returns how long to wait before the next probe.
func (c *circuit) pause(p *Policy) time.Duration {
	c.pauses++
	return min(p.delay(c.pauses), maxProbePause)
}

// trip opens the circuit. tries is how often the delivery was tried that failed
// last: a chat that is alone has made pauses of its own before.
func (c *circuit) trip(p *Policy, tries int, now time.Time) {
	c.open, c.since, c.opened = true, now.Round(0), c.opened+1
	c.pauses = min(tries, 20) - 1
	c.probed(p, now)
}

// probed notes that a probe failed.
func (c *circuit) probed(p *Policy, now time.Time) {
	c.due = later(now.Add(c.pause(p)), c.asked)
}

// company notes that there is a new delivery. If there was none to compare the last
// probe with, it is time for another.
func (c *circuit) company(now time.Time) {
	if c.alone {
		c.alone, c.due = false, later(now, c.asked)
	}
}

// works notes a sign of life, and tells whether it closed the circuit.
func (c *circuit) works(now time.Time) bool {
	closed := c.open
	c.row, c.open, c.probing, c.alone, c.asked = 0, false, false, false, time.Time{}
	if closed {
		c.since = now.Round(0)
	}
	return closed
}

// account draws the conclusions of an attempt for the endpoint. The caller holds
// the lock.
func (r *runner) account(f flight, res result, out outcome, now time.Time) {
	c := &r.circuit
	switch {
	case f.generation != r.generation || f.version != r.version || res.code == codeStopped || res.code == codeEncode:
		return // says nothing about the endpoint as it is now
	case out.state == pombo.Delivered || out.reason == pombo.Rejected: // it reads what comes
		r.width.grow(&r.d.policy)
		if since := c.since; c.works(now) {
			r.win.release(now)
			r.d.log.Info("webhook answers again; its events are delivered", "webhook", r.id, "instance", r.webhook.Instance,
				"after", now.Round(0).Sub(since).Round(time.Second).String())
			r.d.report(Report{Kind: CircuitClosed, Webhook: r.webhook, Since: since})
		}
		return
	case f.parked != nil && !f.probe:
		return // known to be bad
	}
	c.row++
	if res.status == 0 {
		r.width.shrink()
	}
	c.asked = later(c.asked, now.Add(min(res.retryAfter, maxRetryAfter)))
	switch {
	case c.open && f.probe && out.state == pombo.Dead:
		c.due = later(now, c.asked) // its time was over; the next may be too old as well
	case c.open && f.probe:
		c.probed(&r.d.policy, now)
	case c.open:
		c.due = later(c.due, c.asked)
	case c.row >= tripAfter:
		c.trip(&r.d.policy, f.delivery.Tries()+1, now)
		r.width.restart()
		r.win.hold(now)
		r.d.log.Warn("webhook keeps failing; its events wait, and one at a time is tried", "webhook", r.id,
			"instance", r.webhook.Instance, "failures", c.row, "code", res.code, "status", res.status, "reason", res.sentence,
			"next", c.due.Round(0).UTC().Format(time.RFC3339))
		r.d.report(Report{Kind: CircuitOpened, Webhook: r.webhook, Failures: c.row, Code: res.code, Status: res.status, Reason: res.sentence})
	}
}

// resume opens the circuit at the start if the oldest delivery shows that it was
// open before, or close to it: so an endpoint that is down does not get a burst
// from each start of the gateway. The caller holds the lock.
func (r *runner) resume(oldest pombo.Delivery, now time.Time) {
	c := &r.circuit
	if r.resumed || oldest.Parked {
		return
	}
	r.resumed = true
	if oldest.Tries() < suspectAfter || c.open || c.row > 0 {
		return
	}
	c.open, c.since, c.due, c.row = true, now.Round(0), now, oldest.Tries()
	r.win.hold(now)
	r.d.log.Info("webhook failed before the start; one event is tried first", "webhook", r.id, "instance", r.webhook.Instance)
}

// forgive closes the circuit because its endpoint is another one now. The caller
// holds the lock.
func (r *runner) forgive(now time.Time) {
	if r.circuit.open {
		r.d.log.Info("webhook was changed; all that waits is tried", "webhook", r.id, "instance", r.webhook.Instance)
	}
	r.circuit.works(now)
	r.width.restart()
	r.win.release(now)
}

// blames tells whether a failed attempt may be the event's own fault: the request
// reached the endpoint, and the endpoint did not ask for patience.
func blames(res result) bool {
	switch res.code {
	case codeStatus, codeRedirect:
		return res.status != http.StatusTooManyRequests && res.status != http.StatusGone && res.retryAfter == 0
	case codeAnswerTimeout, codeReset, codeProtocol, codeNetwork, codeEncode:
		return true
	}
	return false
}
