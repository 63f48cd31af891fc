package session

import (
	"container/list"
	"strings"
	"sync"
)

// kind is what a key names.
type kind uint8

const (
	sessionKind   kind = iota + 1 // a: address
	identityKind                  // a: address
	senderKeyKind                 // a: group, b: address of the sender
	preKeyKind                    // a: ID; in the cache only until it is used
	secretKind                    // a: chat and sender, b: message; never in the cache
	bufferKind                    // a: hash; never in the cache
	lidKind                       // a: phone number → LID; of no device
	numberKind                    // a: LID → phone number; of no device; in the cache only
	migratedKind                  // a: user whose sessions have moved to the LID; in the cache only
	unusedKind                    // a: user under whose addresses nothing is committed; in the cache only
	contactKind                   // a: JID; in the cache only
	pushKind                      // a: JID of a contact; the name it gives itself; never in the cache
	businessKind                  // a: JID of a contact; its verified name; never in the cache
)

// key names a thing that is kept. jid is the device, "" if it is kept for all.
type key struct {
	jid  string
	kind kind
	a, b string
}

// cache keeps committed things, the least recently used of which go when there
// are too many bytes. A thing that is known not to exist is an entry without a
// value. What is got must not be changed.
type cache struct {
	mu    sync.Mutex
	limit int64 // bytes
	size  int64
	items map[key]*list.Element
	used  *list.List // front: most recently
}

type item struct {
	key   key
	value any
	size  int64
}

// itemOverhead is about what an entry takes in memory besides its strings and
// bytes: the list's element, the map's slot, the headers.
const itemOverhead = 320

func newCache(limit int64) *cache {
	return &cache{limit: limit, items: map[key]*list.Element{}, used: list.New()}
}

func (c *cache) get(k key) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return nil, false
	}
	c.used.MoveToFront(e)
	return e.Value.(*item).value, true
}

// put keeps a value that takes n bytes.
func (c *cache) put(k key, value any, n int) {
	size := int64(n + len(k.jid) + len(k.a) + len(k.b) + itemOverhead)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[k]; ok {
		c.replace(e, value, size)
	} else {
		c.items[k] = c.used.PushFront(&item{k, value, size})
		c.size += size
	}
	for c.size > c.limit && c.used.Len() > 0 {
		c.drop(c.used.Back())
	}
}

// change replaces a value, if there is one, by what f makes of it; that must take as
// much memory as it did, but for n bytes.
func (c *cache) change(k key, n int, f func(value any) any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[k]; ok {
		it := e.Value.(*item)
		c.replace(e, f(it.value), it.size+int64(n))
	}
}

// replace gives an entry another value. The caller holds c.mu.
func (c *cache) replace(e *list.Element, value any, size int64) {
	it := e.Value.(*item)
	c.size += size - it.size
	it.value, it.size = value, size
	c.used.MoveToFront(e)
}

func (c *cache) remove(k key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[k]; ok {
		c.drop(e)
	}
}

// removeAll removes what a device has of a kind under an address that begins with
// prefix; kind 0 is every kind.
func (c *cache) removeAll(jid string, kind kind, prefix string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.items {
		if k.jid == jid && (kind == 0 || k.kind == kind) && strings.HasPrefix(k.a, prefix) {
			c.drop(e)
		}
	}
}

// drop removes an entry. The caller holds c.mu.
func (c *cache) drop(e *list.Element) {
	it := c.used.Remove(e).(*item)
	delete(c.items, it.key)
	c.size -= it.size
}
