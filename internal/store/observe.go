package store

import (
	"time"

	"pombo"
)

// Observer is told of what was committed. Its calls come from the goroutine that
// makes all writes: they must not block and not write.
type Observer interface {
	// Appended is told of new events that some webhook wants, by name.
	Appended(name pombo.EventName, n int)
	// Attempted is told of each attempt that was recorded. since is when its
	// delivery was appended or last replayed.
	Attempted(webhook string, since time.Time, a pombo.Attempt)
	// Disabled is told how many deliveries ended because their webhook was switched
	// off.
	Disabled(n int)
	// Committed is told of each transaction: how long it took from its beginning
	// to the end of the commit, and how many events and attempts it wrote.
	Committed(took time.Duration, events, attempts int)
}

// observed tells the observer of a commit.
func (s *Store) observed(t *txn, took time.Duration, settles int) {
	s.tally.count(t.results, t.now)
	if s.observe == nil {
		return
	}
	var last int64
	for i := range t.fresh {
		// Deliveries of one event follow each other.
		if e := &t.fresh[i].Event; e.ID != last {
			last = e.ID
			s.observe.Appended(e.Name, 1)
		}
	}
	for _, r := range t.results {
		s.observe.Attempted(r.webhook, r.since, r.Attempt)
	}
	if t.disabled > 0 {
		s.observe.Disabled(t.disabled)
	}
	s.observe.Committed(took, t.events, settles)
}
