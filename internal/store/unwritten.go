package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// targets is what stands in the row of an event whose deliveries have no rows yet.
func targets(first int64, webhooks []string) string {
	return strconv.FormatInt(first, 10) + " " + strings.Join(webhooks, " ")
}

func parseTargets(text string) (first int64, webhooks []string, err error) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return 0, nil, fmt.Errorf("an event's targets are %q: want a number and webhooks", text)
	}
	if first, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		return 0, nil, fmt.Errorf("reading an event's targets: %w", err)
	}
	return first, fields[1:], nil
}

const rowColumns = 9

const insertRowHead = `INSERT INTO pombo_delivery (id, event_id, webhook_id, instance_id, chat, created_at, state, attempts, ended_at) VALUES `

// insertRows writes rows of deliveries that are pending, or were made by their first
// attempt just now.
func (t *txn) insertRows(ctx context.Context, rows []newRow, state pombo.DeliveryState) error {
	var attempts, ended any = int64(0), nil
	if state == pombo.Delivered {
		attempts, ended = int64(1), t.now.UnixMilli()
	}
	return t.s.insertRow.chunks(len(rows), func(from, to int, s statement) error {
		args := make([]any, 0, rowColumns*(to-from))
		for _, r := range rows[from:to] {
			args = append(args, r.id, r.event, r.webhook, string(r.lane.Instance), r.lane.Chat, r.created, string(state), attempts, ended)
		}
		_, err := s.exec(ctx, t.Tx, args)
		return err
	})
}

// writeRows writes the rows that wait: those that are old, at most a batch, or all.
func (t *txn) writeRows(ctx context.Context, all bool) error {
	rows := t.rows.takeOld(all)
	t.wrote = t.wrote || len(rows) > 0
	return t.insertRows(ctx, rows, pombo.Pending)
}

// moveMark moves the mark if it is far behind, or, for a transaction that may remove
// rows, behind at all: an event whose deliveries were removed must not get them again.
func (t *txn) moveMark(ctx context.Context, exact bool) error {
	c := &t.rows
	if !exact && c.event-c.mark < markStep {
		return nil
	}
	to := c.whole()
	if to == c.mark || !exact && to-c.mark < markStep {
		return nil
	}
	c.mark = to
	return t.setMark(ctx, to, c.u.next)
}

func (t *txn) setMark(ctx context.Context, event, next int64) error {
	_, err := t.exec(ctx, `UPDATE pombo_meta SET value = $1 WHERE key = 'rows'`, fmt.Sprint(event, " ", next))
	return err
}

// looksAtRows tells whether an operation reads or changes rows of deliveries, other
// than those of events that it appends.
func looksAtRows(op operation) bool {
	switch op.(type) {
	case appendOp, unitOp, *historyOp, sentOp, pollOp, mediaOp, tallyOp, rideOp, probeOp:
		return false
	}
	return true
}

// rowsOp makes the committer write all rows: it looks at them, as it were.
type rowsOp struct{ rideOp }

func (rowsOp) name() string { return "rows" }

// allRows returns when all deliveries that were appended before the call have rows.
func (s *Store) allRows(ctx context.Context) error {
	if s.unwritten.Load() == 0 {
		return nil
	}
	op := rowsOp{}
	return s.submit(ctx, op.name(), op)
}

// mostRows is allRows for who shows rows to people: while the database cannot be
// written, they see it without the deliveries of its last second.
func (s *Store) mostRows(ctx context.Context) error {
	if err := s.allRows(ctx); err != nil && pombo.KindOf(err) != pombo.Unavailable {
		return err
	}
	return nil
}

// recoverRows is txn.recoverRows in a transaction of its own.
func (c *committer) recoverRows(ctx context.Context) error {
	tx, err := c.s.backend.begin(ctx)
	if err != nil {
		return err
	}
	if err := c.txn(tx, time.Now()).recoverRows(ctx, c.rows); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// recoverRows makes up the rows that deliveries of events above the mark do not have,
// and moves the mark.
func (t *txn) recoverRows(ctx context.Context, u *unwritten) error {
	var text string
	if err := t.row(ctx, `SELECT value FROM pombo_meta WHERE key = 'rows'`).Scan(&text); err != nil {
		return fmt.Errorf("reading which deliveries have rows: %w", err)
	}
	var mark, next int64
	if _, err := fmt.Sscan(text, &mark, &next); err != nil {
		return fmt.Errorf("reading which deliveries have rows: %q: %w", text, err)
	}
	promised, err := t.promisedRows(ctx, mark)
	if err != nil {
		return err
	}
	missing := promised[:0]
	for _, r := range promised {
		var there int
		if err := t.row(ctx, `SELECT COUNT(*) FROM pombo_delivery WHERE id = $1`, r.id).Scan(&there); err != nil {
			return err
		}
		if there == 0 {
			missing = append(missing, r)
		}
	}
	if err := t.insertRows(ctx, missing, pombo.Pending); err != nil {
		return err
	}
	var event, last int64
	if err := t.row(ctx, `SELECT COALESCE((SELECT MAX(id) FROM pombo_event), 0), COALESCE((SELECT MAX(id) FROM pombo_delivery), 0)`).Scan(&event, &last); err != nil {
		return err
	}
	u.clear()
	u.event, u.mark, u.next = max(u.event, event, mark), max(event, mark), max(u.next, next, last+1)
	if u.mark == mark {
		return nil
	}
	return t.setMark(ctx, u.mark, u.next)
}

// promisedRows returns the rows that events above the mark promise.
func (t *txn) promisedRows(ctx context.Context, mark int64) ([]newRow, error) {
	rows, err := t.QueryContext(ctx, t.s.dialect.form(
		`SELECT id, instance_id, chat, created_at, targets FROM pombo_event WHERE id > $1 AND targets <> '' ORDER BY id`), mark)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []newRow
	for rows.Next() {
		var r newRow
		var text string
		if err := rows.Scan(&r.event, &r.lane.Instance, &r.lane.Chat, &r.created, &text); err != nil {
			return nil, err
		}
		first, webhooks, err := parseTargets(text)
		if err != nil {
			return nil, err
		}
		for i, w := range webhooks {
			r.id, r.webhook = first+int64(i), w
			all = append(all, r)
		}
	}
	return all, rows.Err()
}
