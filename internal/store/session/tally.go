package session

import (
	"strings"
	"sync"
)

// tally knows what commits under way change, and who reads from the database
// beside them. What was read beside a commit that changes it may be old, and must
// not get into the cache.
type tally struct {
	mu       sync.Mutex
	changing map[key]int // how many commits under way change a thing
	anything int         // how many may change anything
	reads    map[*read]bool
}

// read is a read that is under way.
type read struct {
	of  func(key) bool // what it is about
	old bool           // a commit that changes that has been under way
}

func (c *Container) tally(jid string) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tallies[jid]
	if t == nil {
		t = &tally{changing: map[key]int{}, reads: map[*read]bool{}}
		c.tallies[jid] = t
	}
	return t
}

// begin notes that a commit which changes these things, or anything, is about to
// begin. The function returned is called when it has ended and the cache is up to
// date with it.
func (t *tally) begin(anything bool, things ...key) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(1, anything, things)
	for r := range t.reads {
		r.old = r.old || anything
		for i := 0; i < len(things) && !r.old; i++ {
			r.old = r.of(things[i])
		}
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.count(-1, anything, things)
	}
}

func (t *tally) count(n int, anything bool, things []key) {
	if anything {
		t.anything += n
	}
	for _, k := range things {
		if t.changing[k] += n; t.changing[k] == 0 {
			delete(t.changing, k)
		}
	}
}

// reading is called before what of names is read from the database. keep puts a
// value that was read into the cache if it cannot be old; done must be called in
// the end.
func (t *tally) reading(c *cache, of func(key) bool) (keep func(k key, value any, n int), done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &read{of: of, old: t.anything > 0}
	for k := range t.changing {
		r.old = r.old || of(k)
	}
	t.reads[r] = true
	keep = func(k key, value any, n int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !r.old {
			c.put(k, value, n)
		}
	}
	done = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.reads, r)
	}
	return keep, done
}

// one is for a read of one thing.
func one(k key) func(key) bool { return func(other key) bool { return other == k } }

// addressed is for a read of what is kept under addresses that begin with prefix.
func addressed(prefix string) func(key) bool {
	return func(k key) bool { return strings.HasPrefix(k.address(), prefix) }
}

// address is that under which a thing is kept, "" for what has none.
func (k key) address() string {
	switch k.kind {
	case sessionKind, identityKind:
		return k.a
	case senderKeyKind:
		return k.b
	}
	return ""
}
