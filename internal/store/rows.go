package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"pombo"
)

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

func (rowsOp) name() string { return "write rows" }

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
