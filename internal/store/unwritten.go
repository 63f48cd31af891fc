package store

import (
	"time"

	"pombo"
)

const (
	// unwrittenAge is how long a delivery may be without a row: longer than nearly all
	// that are made at their first attempt take.
	unwrittenAge = time.Second
	// unwrittenMost is how many deliveries may be without a row, about 200 bytes of
	// memory each. The rows of further ones come with their events.
	unwrittenMost = 8192
	// markStep is how many events may be above the mark (see schema 08) before it is
	// moved: those are what Open has to look at after a crash.
	markStep = 4096
)

// newRow is a delivery's row as it is inserted: pending, or made by its first attempt.
type newRow struct {
	id, event int64
	webhook   string
	lane      pombo.Lane
	created   int64 // milliseconds

	since   time.Duration // when it was appended, as unwritten.clock tells
	written int64         // the last transaction that wrote it, if it was committed
}

// unwritten is what the committer knows of deliveries that have no row yet. Their row is
// written when their first attempt is settled, when they are unwrittenAge old, or before
// somebody looks at rows. Until then everything about them stands in their event's row,
// so that after a crash, or a commit in doubt, the rows can be made up (recoverRows).
type unwritten struct {
	// rows has a place for each ID from first on: empty (its id is 0) where there is a
	// row in the database, or no delivery.
	rows  []newRow
	first int64
	count int // of places that are not empty
	began time.Time
	// event is the newest event, mark the database's mark, next the next delivery's ID.
	event, mark, next int64
	transaction       int64
}

func newUnwritten() *unwritten { return &unwritten{began: time.Now()} }

// clock tells the time, also when the machine's clock is set.
func (u *unwritten) clock() time.Duration { return time.Since(u.began) }

// due returns how long it is until a row is old; ok is false if there is none.
func (u *unwritten) due() (wait time.Duration, ok bool) {
	if u.count == 0 {
		return 0, false
	}
	return u.rows[0].since + unwrittenAge - u.clock(), true
}

// place returns the place of a delivery; nil if it has none, or it is empty.
func (u *unwritten) place(delivery int64) *newRow {
	i := delivery - u.first
	if i < 0 || i >= int64(len(u.rows)) || u.rows[i].id == 0 {
		return nil
	}
	return &u.rows[i]
}

func (u *unwritten) add(r newRow) {
	if len(u.rows) == 0 {
		u.first = r.id
	}
	for u.first+int64(len(u.rows)) < r.id {
		u.rows = append(u.rows, newRow{})
	}
	u.rows = append(u.rows, r)
	u.count++
}

// remove empties places. The first is never empty.
func (u *unwritten) remove(deliveries []int64) {
	for _, id := range deliveries {
		*u.place(id) = newRow{}
	}
	u.count -= len(deliveries)
	empty := 0
	for empty < len(u.rows) && u.rows[empty].id == 0 {
		empty++
	}
	u.rows, u.first = u.rows[empty:], u.first+int64(empty)
}

// clear is for when all rows were made up.
func (u *unwritten) clear() { u.rows, u.count = nil, 0 }

// rowChanges is what a transaction does to unwritten when it is committed.
type rowChanges struct {
	u       *unwritten
	later   []newRow // come to it
	written []int64  // leave it
	event   int64    // the newest
	mark    int64
	// atOnce says that rows come with their events: what runs looks at rows.
	atOnce bool
}

// change begins a transaction.
func (u *unwritten) change() rowChanges {
	u.transaction++
	return rowChanges{u: u, event: u.event, mark: u.mark}
}

// commit makes the changes, and returns how many rows are unwritten then.
func (c *rowChanges) commit() int {
	c.u.remove(c.written)
	for _, r := range c.later {
		c.u.add(r)
	}
	c.u.event, c.u.mark = c.event, c.mark
	return c.u.count
}

// waits tells whether a place holds a row that this transaction has not written.
func (c *rowChanges) waits(r *newRow) bool { return r.id != 0 && r.written != c.u.transaction }

// take returns a delivery's row if it is unwritten, for the transaction to write.
func (c *rowChanges) take(delivery int64) (newRow, bool) {
	r := c.u.place(delivery)
	if r == nil || !c.waits(r) {
		return newRow{}, false
	}
	r.written = c.u.transaction
	c.written = append(c.written, delivery)
	return *r, true
}

// takeOld takes rows that are old, at most a batch, or all.
func (c *rowChanges) takeOld(all bool) []newRow {
	var rows []newRow
	now := c.u.clock()
	for i := range c.u.rows {
		r := &c.u.rows[i]
		if !c.waits(r) {
			continue
		}
		if !all && (r.since+unwrittenAge > now || len(rows) == maxBatchSettles) {
			break
		}
		taken, _ := c.take(r.id)
		rows = append(rows, taken)
	}
	if all {
		rows = append(rows, c.later...)
		c.later = nil
	}
	return rows
}

// canWait tells whether the rows of n more deliveries can be left for later.
func (c *rowChanges) canWait(n int) bool {
	return !c.atOnce && c.u.count-len(c.written)+len(c.later)+n <= unwrittenMost
}

// number gives IDs to the deliveries of an event. They are used up also if the
// transaction fails: nobody may know whether it did.
func (c *rowChanges) number(n int) (first int64) {
	first = c.u.next
	c.u.next += int64(n)
	return first
}

// whole returns the newest event up to which all deliveries have rows.
func (c *rowChanges) whole() int64 {
	for i := range c.u.rows {
		if r := &c.u.rows[i]; c.waits(r) {
			return r.event - 1
		}
	}
	if len(c.later) > 0 {
		return c.later[0].event - 1
	}
	return c.event
}
