package dispatch

import "sync"

// slots bounds the POSTs in flight over all webhooks, and so the sockets. A
// runner with nothing in flight gets a slot in any case: a webhook never waits
// for others that hang. So at most the bound plus one per webhook are in use.
//
// Runners that wait are served in turn, one slot each. Whoever puts a slot back
// calls wake afterwards, with no lock held.
type slots struct {
	mu      sync.Mutex
	free    int // below 0 when runners were let in over the bound
	waiting queue[*runner]
	queued  map[*runner]bool // the runners in waiting
}

func newSlots(n int) *slots { return &slots{free: n, queued: map[*runner]bool{}} }

// take takes a slot: by right if the runner has nothing in flight, otherwise if
// one is free and nobody waits for it. A runner that gets none waits in the queue.
func (s *slots) take(r *runner, byRight bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if byRight || s.free > 0 && s.waiting.len() == 0 {
		s.free--
		return true
	}
	if !s.queued[r] {
		s.queued[r] = true
		s.waiting.push(r)
	}
	return false
}

func (s *slots) put() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
}

// contended tells whether a runner waits for a slot.
func (s *slots) contended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting.len() > 0
}

// wake hands free slots to the runners that wait. One that has no more use for
// it leaves it to the next.
func (s *slots) wake() {
	for {
		r := s.grant()
		if r == nil {
			return
		}
		if !r.useSlot() {
			s.put()
		}
	}
}

// grant takes a slot for the runner that waited longest, if there are both.
func (s *slots) grant() *runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free <= 0 {
		return nil
	}
	r, ok := s.waiting.pop()
	if !ok {
		return nil
	}
	delete(s.queued, r)
	s.free--
	return r
}
