package whatsapp

import (
	"context"
	"sync"
	"time"
)

// chores are what an event calls for beside being told: a message is marked as
// read, a call rejected. They are done one after the other, when the event is
// committed and off the path that its confirmation waits on. They are not kept:
// what is not done when the line ends is not done at all.
type chores struct {
	mu      sync.Mutex
	queue   []func(context.Context)
	working bool
}

const (
	choresMax  = 1000             // that wait; more are dropped
	choreLimit = 30 * time.Second // for each
)

// later does a chore soon, unless too many wait or the line is over.
func (l *line) later(what string, do func(context.Context)) {
	c := &l.chores
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) >= choresMax {
		l.log.Warn("too much is to be done: left out", "what", what, "waiting", len(c.queue))
		return
	}
	if !c.working {
		if !l.enter() {
			return
		}
		c.working = true
		go l.work()
	}
	c.queue = append(c.queue, do)
}

// work does what waits, and returns when there is nothing more.
func (l *line) work() {
	defer l.leave()
	for {
		do := l.chores.next(l.why() != nil)
		if do == nil {
			return
		}
		ctx, cancel := l.lendFor(choreLimit)
		do(ctx)
		cancel()
	}
}

// next takes the chore that has waited longest; nil if there is none, or over is
// true.
func (c *chores) next(over bool) func(context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if over || len(c.queue) == 0 {
		c.queue, c.working = nil, false
		return nil
	}
	do := c.queue[0]
	c.queue = c.queue[1:]
	return do
}
