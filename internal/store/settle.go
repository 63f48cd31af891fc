package store

import (
	"context"
	"database/sql"
	"time"

	"pombo"
)

// checkAttempt refuses what the schema's CHECKs would refuse.
func checkAttempt(a pombo.Attempt) error {
	bad := func(what string) error {
		return pombo.Errorf(pombo.Invalid, "attempt %d of delivery %d %s", a.Number, a.Delivery, what)
	}
	if a.Number < 1 {
		return bad("has no number: count from 1")
	}
	switch a.State {
	case pombo.Pending:
		if a.Reason != "" {
			return bad("leaves it pending with a reason: only a dead delivery has one")
		}
		return nil
	case pombo.Delivered:
		if a.Reason != "" {
			return bad("delivered it with a reason: only a dead delivery has one")
		}
	case pombo.Dead:
		switch a.Reason {
		case pombo.Rejected, pombo.Exhausted, pombo.Disabled:
		default:
			return bad("ends it without a reason: give rejected, exhausted or disabled")
		}
	default:
		return bad("has no state: give pending, delivered or dead")
	}
	if a.Parked || !a.NextAttempt.IsZero() {
		return bad("ends it and parks it or plans another attempt: only a pending delivery can have these")
	}
	return nil
}

// settleCasts are the types of a row of settleHead's VALUES.
var settleCasts = []string{"BIGINT", "INTEGER", "TEXT", "TEXT", "BIGINT", "BOOLEAN", "BIGINT"}

// The columns of a VALUES list are called column1, column2, … by both databases.
// What is not pending stays as it is, save for the count of attempts; an attempt
// that is already counted changes nothing.
const (
	settleHead = `
		UPDATE pombo_delivery AS d SET
			attempts        = v.column2,
			state           = CASE WHEN d.state = 'pending' THEN v.column3 ELSE d.state END,
			reason          = CASE WHEN d.state = 'pending' THEN v.column4 ELSE d.reason END,
			next_attempt_at = CASE WHEN d.state = 'pending' THEN v.column5 ELSE d.next_attempt_at END,
			parked          = CASE WHEN d.state = 'pending' THEN v.column6 ELSE d.parked END,
			ended_at        = CASE WHEN d.state = 'pending' THEN v.column7 ELSE d.ended_at END
		FROM (VALUES `
	settleTail = `) AS v
		WHERE d.id = v.column1 AND d.attempts < v.column2
		RETURNING id, webhook_id, created_at, replayed_at`
)

// Most deliveries are made by their first attempt. What is set is the same for all of
// them then, and need not be joined to them row by row.
const (
	settleFirstHead = `UPDATE pombo_delivery SET attempts = 1, state = 'delivered', parked = FALSE, next_attempt_at = NULL, ended_at = $1 WHERE id IN (`
	settleFirstTail = `) AND attempts = 0 AND state = 'pending' RETURNING id, webhook_id, created_at, replayed_at`
)

// settled is an attempt that was recorded.
type settled struct {
	pombo.Attempt
	webhook string
	since   time.Time // see pombo.Delivery.Since
}

const attemptColumns = 9

const (
	insertAttemptHead = `INSERT INTO pombo_attempt (delivery_id, number, at, duration_us, address, status, error_code, error, response) VALUES `
	insertAttemptTail = ` ON CONFLICT (delivery_id, number) DO NOTHING`
)

// settle records attempts, oldest first. A statement updates a row once, so
// attempts of the same delivery go into rounds of their own.
func (t *txn) settle(ctx context.Context, attempts []pombo.Attempt) error {
	if len(t.hooks.deadThrough) > 0 {
		if err := t.buryAttempted(ctx, attempts); err != nil {
			return err
		}
	}
	inRound := make(map[int64]bool, len(attempts))
	start := 0
	for i, a := range attempts {
		if inRound[a.Delivery] {
			if err := t.settleRound(ctx, attempts[start:i]); err != nil {
				return err
			}
			clear(inRound)
			start = i
		}
		inRound[a.Delivery] = true
	}
	return t.settleRound(ctx, attempts[start:])
}

// settleRound records attempts of different deliveries.
func (t *txn) settleRound(ctx context.Context, attempts []pombo.Attempt) error {
	if len(attempts) == 0 {
		return nil
	}
	counted := make(map[int64]settled, len(attempts))
	if err := t.settleUnwritten(ctx, attempts, counted); err != nil {
		return err
	}
	if err := t.settleFirst(ctx, attempts, counted); err != nil {
		return err
	}
	if err := t.settleOthers(ctx, attempts, counted); err != nil {
		return err
	}
	record := make([]pombo.Attempt, 0, len(counted))
	for _, a := range attempts {
		if done, ok := counted[a.Delivery]; ok {
			record = append(record, a)
			done.Attempt = a
			t.results = append(t.results, done)
		}
	}
	return t.s.insertAttempt.chunks(len(record), func(from, to int, s statement) error {
		args := make([]any, 0, attemptColumns*(to-from))
		for _, a := range record[from:to] {
			at := a.At
			if at.IsZero() {
				at = t.now
			}
			args = append(args, a.Delivery, int64(a.Number), at.UnixMilli(), a.Duration.Microseconds(),
				clean(a.Address), int64(a.Status), clean(a.ErrorCode), clean(a.Error), firstKiB(a.Response))
		}
		_, err := s.exec(ctx, t.Tx, args)
		return err
	})
}

// settleUnwritten writes the rows of deliveries that have none yet. What was made at the
// first attempt is settled with it.
func (t *txn) settleUnwritten(ctx context.Context, attempts []pombo.Attempt, counted map[int64]settled) error {
	var made, others []newRow
	for _, a := range attempts {
		r, ok := t.rows.take(a.Delivery)
		if !ok {
			continue
		}
		if a.Number == 1 && a.State == pombo.Delivered {
			made = append(made, r)
			counted[r.id] = settled{webhook: r.webhook, since: time.UnixMilli(r.created).UTC()}
		} else {
			others = append(others, r)
		}
	}
	if err := t.insertRows(ctx, made, pombo.Delivered); err != nil {
		return err
	}
	return t.insertRows(ctx, others, pombo.Pending)
}

// settleFirst records attempts that were the first of their delivery, and made it.
func (t *txn) settleFirst(ctx context.Context, attempts []pombo.Attempt, counted map[int64]settled) error {
	ids := make([]int64, 0, len(attempts))
	for _, a := range attempts {
		if _, done := counted[a.Delivery]; !done && a.Number == 1 && a.State == pombo.Delivered {
			ids = append(ids, a.Delivery)
		}
	}
	return t.s.settleFirst.chunks(len(ids), func(from, to int, s statement) error {
		args := make([]any, 0, to-from+1)
		args = append(args, t.now.UnixMilli())
		for _, id := range ids[from:to] {
			args = append(args, id)
		}
		return t.count(ctx, s, args, counted)
	})
}

// settleOthers records the attempts that settleFirst did not.
func (t *txn) settleOthers(ctx context.Context, attempts []pombo.Attempt, counted map[int64]settled) error {
	others := make([]pombo.Attempt, 0, len(attempts)-len(counted))
	for _, a := range attempts {
		if _, ok := counted[a.Delivery]; !ok {
			others = append(others, a)
		}
	}
	return t.s.settle.chunks(len(others), func(from, to int, s statement) error {
		args := make([]any, 0, len(settleCasts)*(to-from))
		for _, a := range others[from:to] {
			var ended any
			if a.State != pombo.Pending {
				ended = t.now.UnixMilli()
			}
			args = append(args, a.Delivery, int64(a.Number), string(a.State), string(a.Reason),
				millis(a.NextAttempt), a.Parked, ended)
		}
		return t.count(ctx, s, args, counted)
	})
}

// count runs an update of deliveries and notes what it was about.
func (t *txn) count(ctx context.Context, s statement, args []any, counted map[int64]settled) error {
	rows, err := s.query(ctx, t.Tx, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var d pombo.Delivery
		var created, replayed sql.NullInt64
		if err := rows.Scan(&d.ID, &d.WebhookID, &created, &replayed); err != nil {
			return err
		}
		d.CreatedAt, d.ReplayedAt = fromMillis(created), fromMillis(replayed)
		counted[d.ID] = settled{webhook: d.WebhookID, since: d.Since()}
	}
	return rows.Err()
}

// firstKiB is how much of an answer is kept; nil for none.
func firstKiB(body []byte) []byte {
	if len(body) == 0 {
		return nil
	}
	return body[:min(len(body), 1024)]
}
