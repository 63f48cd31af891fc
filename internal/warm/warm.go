// Package warm runs calls on goroutines that have run such calls before. What goes deep
// (reading a message, making a delivery) needs a stack of some 16 KiB: a new goroutine's
// is made larger several times over, and copied each time.
package warm

import "time"

// idleFor is how long a goroutine waits for its next call: what is idle must not hold
// memory.
const idleFor = time.Second

// Pool keeps goroutines for a while after their call. See New.
type Pool struct {
	calls  chan func()
	closed chan struct{}
}

// New returns a Pool without goroutines.
func New() *Pool { return &Pool{make(chan func()), make(chan struct{})} }

// Go makes a call and does not wait for it, nor for another one.
func (p *Pool) Go(call func()) {
	select {
	case p.calls <- call:
	default:
		go p.work(call)
	}
}

// Run makes a call, and returns when it has returned. It never waits for another one.
func (p *Pool) Run(call func()) {
	done := make(chan struct{})
	p.Go(func() {
		defer close(done)
		call()
	})
	<-done
}

// Close lets the goroutines go that wait for a call; others go after theirs. It must be
// called once at most. A Pool that is not closed holds nothing after a while.
func (p *Pool) Close() { close(p.closed) }

// work makes a call, and those that come soon after it.
func (p *Pool) work(call func()) {
	idle := time.NewTimer(idleFor)
	defer idle.Stop()
	for {
		call()
		idle.Reset(idleFor)
		select {
		case call = <-p.calls:
		case <-idle.C:
			return
		case <-p.closed:
			return
		}
	}
}
