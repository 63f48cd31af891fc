package dispatch

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Many endpoints that hang together must not cost the others time: what is posted
// to them at once is also given up at once, and each connection that is made or
// torn down takes processor time. So an endpoint earns its POSTs, those to endpoints
// that are not known to work begin one after the other, and attempts that began
// together don't end together.

const (
	// firstWidth is how many POSTs an endpoint gets at once that has not answered yet.
	firstWidth = 4
	// pacedGap is between the beginnings of two POSTs to endpoints that are not known
	// to work, save for the only one of an endpoint, which waits for nobody, and the
	// first pacedBurst. None waits longer than maxPaced.
	pacedGap   = time.Millisecond
	pacedBurst = 32
	maxPaced   = 4 * time.Second
	// maxSlack bounds what an attempt gets beyond its timeout.
	maxSlack = time.Second
)

// width is how many POSTs to an endpoint may be in flight: firstWidth and one more
// for each event that it read, so twice as many in each round trip, up to
// Policy.Concurrency. Each POST that is not answered takes half of what was earned;
// when its circuit opens, or its address changes, it starts over.
type width struct{ earned int }

func (w *width) grow(p *Policy) {
	if w.limit(p) < p.Concurrency {
		w.earned++
	}
}

// shrink answers a POST that got no answer, so that those that time out together
// are not followed by as many others.
func (w *width) shrink() { w.earned /= 2 }

func (w *width) restart() { w.earned = 0 }

func (w *width) limit(p *Policy) int { return min(firstWidth+w.earned, p.Concurrency) }

// slack returns how much longer than its timeout an attempt may take: a random
// part of a quarter of Jitter, of the timeout.
func (p Policy) slack() time.Duration {
	return time.Duration(rand.Float64() * float64(min(time.Duration(float64(p.Timeout)*p.Jitter/4), maxSlack)))
}

// pacer spreads the beginnings of POSTs.
type pacer struct {
	mu   sync.Mutex
	next time.Time
}

// take returns how long a POST has to wait.
func (p *pacer) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = later(now.Add(-pacedBurst*pacedGap), p.next)
	wait := p.next.Sub(now)
	if wait < maxPaced {
		p.next = p.next.Add(pacedGap)
	}
	return max(wait, 0)
}

// unproven tells whether the endpoint is not known to work. The caller holds the
// lock.
func (r *runner) unproven() bool {
	return r.width.earned == 0 || r.circuit.row > 0
}

// pace waits until a POST may begin. It returns false if no more are begun.
func (r *runner) pace(f flight) bool {
	if !f.paced {
		return true
	}
	wait := r.d.pacer.take(time.Now())
	return wait == 0 || sleep(r.d.reads, wait)
}
