package dispatch

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pombo"
)

// Policy says how long an attempt may take, when the next one comes, and when a
// delivery is given up. Start from DefaultPolicy.
type Policy struct {
	// Timeout bounds a whole attempt, beyond the second that it gets for each MiB of
	// its body: connecting, redirects, and reading the
	// answer. 1 ms to 10 min.
	Timeout time.Duration
	// InitialDelay is waited after the first failure. 10 ms to MaxDelay.
	InitialDelay time.Duration
	// MaxDelay bounds the delay between two attempts, before jitter. At most 24 h.
	MaxDelay time.Duration
	// Exponential doubles the delay with each failure; otherwise it stays InitialDelay.
	Exponential bool
	// Jitter spreads each delay evenly by this share in both directions. 0 to 1.
	Jitter float64
	// Horizon is the age, counted from when the event was stored, at which a
	// delivery that still fails is given up. 1 s to 365 days.
	Horizon time.Duration
	// MaxAttempts ends a delivery after so many attempts, but only with Strict:
	// otherwise the horizon alone decides. 0 means no limit.
	MaxAttempts int
	// NonRetryable lists the HTTP statuses (300 to 599) with which an endpoint
	// refuses the event itself. Without Strict, those that tell of trouble with
	// the endpoint (401, 403, 404, 429, 5xx, …) are retried all the same.
	NonRetryable []int
	// Strict takes MaxAttempts and NonRetryable at their word.
	Strict bool
	// Concurrency is how many POSTs to one webhook may be in flight. 1 to 1000.
	Concurrency int
}

// DefaultPolicy returns the policy of a gateway that configures nothing.
func DefaultPolicy() Policy {
	return Policy{
		Timeout:      30 * time.Second,
		InitialDelay: 5 * time.Second,
		MaxDelay:     time.Hour,
		Exponential:  true,
		Jitter:       0.2,
		Horizon:      72 * time.Hour,
		NonRetryable: []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
		Concurrency:  16,
	}
}

// Validate returns an Invalid error that names the first value out of its range.
func (p Policy) Validate() error {
	durations := []struct {
		name         string
		is, from, to time.Duration
	}{
		{"Timeout", p.Timeout, time.Millisecond, 10 * time.Minute},
		{"MaxDelay", p.MaxDelay, 10 * time.Millisecond, 24 * time.Hour},
		{"InitialDelay", p.InitialDelay, 10 * time.Millisecond, p.MaxDelay},
		{"Horizon", p.Horizon, time.Second, 365 * 24 * time.Hour},
	}
	for _, d := range durations {
		if d.is < d.from || d.is > d.to {
			return pombo.Errorf(pombo.Invalid, "the retry policy's %s is %s: choose %s to %s", d.name, d.is, d.from, d.to)
		}
	}
	switch {
	case !(p.Jitter >= 0 && p.Jitter <= 1):
		return pombo.Errorf(pombo.Invalid, "the retry policy's Jitter is %g: choose 0 to 1", p.Jitter)
	case p.MaxAttempts < 0:
		return pombo.Errorf(pombo.Invalid, "the retry policy's MaxAttempts is %d: choose 0 (no limit) or more", p.MaxAttempts)
	case p.Concurrency < 1 || p.Concurrency > 1000:
		return pombo.Errorf(pombo.Invalid, "the retry policy's Concurrency is %d: choose 1 to 1000", p.Concurrency)
	}
	for _, s := range p.NonRetryable {
		if s < 300 || s > 599 {
			return pombo.Errorf(pombo.Invalid, "the retry policy's NonRetryable has %d: choose statuses of 300 to 599", s)
		}
	}
	return nil
}

// maxRetryAfter bounds the wait that an endpoint asks for with Retry-After.
const maxRetryAfter = time.Hour

// patience is how long a runner tries before it gives up anything for its age:
// after a long stop of the gateway, or a jump of the machine's clock, everything
// pending looks too old at once.
const patience = time.Hour

// longest is the longest wait between two attempts that this policy can make.
// A stored time further away than that is the work of a wrong clock.
func (p Policy) longest() time.Duration {
	return max(maxRetryAfter, time.Duration(float64(p.MaxDelay)*(1+p.Jitter)))
}

// wait returns how long a delivery whose next attempt is stored as at has to
// wait from now on. Both are compared as wall clocks, since at came from disk.
func (p Policy) wait(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return min(max(at.Round(0).Sub(now.Round(0)), 0), p.longest())
}

// delay returns how long to wait after the nth failed attempt.
func (p Policy) delay(n int) time.Duration {
	base := p.InitialDelay
	if p.Exponential {
		for i := 1; i < n && base < p.MaxDelay; i++ {
			base *= 2
		}
		base = min(base, p.MaxDelay)
	}
	return time.Duration(float64(base) * (1 + p.Jitter*(2*rand.Float64()-1)))
}

// refuses tells whether status means that the event itself was refused, so that
// sending it again is useless.
func (p Policy) refuses(status int) bool {
	return slices.Contains(p.NonRetryable, status) && (p.Strict || !pombo.EndpointTrouble(status))
}

// outcome is what an attempt does to its delivery.
type outcome struct {
	state  pombo.DeliveryState
	reason pombo.DeadReason
	delay  time.Duration // until the next attempt; only with Pending
}

// decide returns the outcome of the nth attempt of a delivery that is age old.
// aged tells whether age may be held against it (see patience).
func (p Policy) decide(res result, n int, age time.Duration, aged bool) outcome {
	switch {
	case res.status/100 == 2:
		return outcome{state: pombo.Delivered}
	case res.status != 0 && p.refuses(res.status):
		return outcome{state: pombo.Dead, reason: pombo.Rejected}
	case p.Strict && p.MaxAttempts > 0 && n >= p.MaxAttempts:
		return outcome{state: pombo.Dead, reason: pombo.Exhausted}
	case aged && age >= p.Horizon:
		return outcome{state: pombo.Dead, reason: pombo.Exhausted}
	}
	d := max(p.delay(n), min(res.retryAfter, maxRetryAfter))
	if left := p.Horizon - age; left > 0 {
		d = min(d, left) // the last attempt is made when the horizon is reached
	}
	return outcome{state: pombo.Pending, delay: d}
}

// retryAfter reads a Retry-After header: seconds, or a date (RFC 9110 §10.2.3).
// It returns 0 for one that is absent, past or not valid.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 64); err == nil {
		return time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now.Round(0)), 0), maxRetryAfter)
	}
	return 0
}

// String describes p in one line for the start log.
func (p Policy) String() string {
	s := fmt.Sprintf("timeout %s, retries after %s to %s for %s", p.Timeout, p.InitialDelay, p.MaxDelay, p.Horizon)
	if p.Strict && p.MaxAttempts > 0 {
		s += fmt.Sprintf(" and at most %d attempts", p.MaxAttempts)
	}
	return s
}

// timeout bounds an attempt with a body of so many bytes.
func (p Policy) timeout(size int64) time.Duration {
	return p.Timeout + time.Duration(size>>20)*time.Second
}
