package store

import (
	"context"
	"fmt"
	"time"

	"pombo"
)

const (
	// disableAtOnce is up to how many pending deliveries are ended in the
	// transaction that switches their webhook off. More are marked as dead in that
	// transaction (see dead_through in the schema) and buried afterwards: to write
	// a million rows takes many seconds, in which no one else could write.
	disableAtOnce = 5_000
	// buryStep is how many deliveries one transaction buries.
	buryStep = 1_000
)

// endDisabled makes deliveries dead: disabled. where begins with the time.
func (t *txn) endDisabled(ctx context.Context, where string, args ...any) error {
	n, err := t.exec(ctx, endDisabled+where, args...)
	t.disabled += int(n)
	return err
}

const endDisabled = `UPDATE pombo_delivery SET state = 'dead', reason = 'disabled', parked = FALSE, next_attempt_at = NULL, ended_at = `

// disable makes what is pending for a webhook dead: disabled.
func (t *txn) disable(ctx context.Context, webhook string) error {
	t.forget(webhook)
	var pending int
	err := t.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM pombo_delivery WHERE webhook_id = $1 AND state = 'pending' LIMIT $2) AS first`,
		webhook, disableAtOnce+1).Scan(&pending)
	if err != nil {
		return err
	}
	if pending <= disableAtOnce {
		return t.endDisabled(ctx, `$2 WHERE webhook_id = $1 AND state = 'pending'`, webhook, t.now.UnixMilli())
	}
	var through int64
	if err := t.row(ctx, `SELECT MAX(id) FROM pombo_delivery`).Scan(&through); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE pombo_webhook SET dead_through = $2 WHERE id = $1`, webhook, through); err != nil {
		return err
	}
	t.hooks = t.hooks.dead(webhook, through)
	t.s.signalBury()
	return nil
}

func (s *Store) signalBury() {
	select {
	case s.buryNow <- struct{}{}:
	default:
	}
}

// loadDeadThrough reads the marks of webhooks.
func loadDeadThrough(ctx context.Context, q querier) (map[string]int64, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, dead_through FROM pombo_webhook WHERE dead_through > 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	marks := map[string]int64{}
	for rows.Next() {
		var id string
		var through int64
		if err := rows.Scan(&id, &through); err != nil {
			return nil, err
		}
		marks[id] = through
	}
	return marks, rows.Err()
}

// bury writes down, in small steps, that marked deliveries are dead. Between the
// steps it leaves others as much time as it took.
func (s *Store) bury(ctx context.Context) error {
	// A signal can come before the commit that it is about: what the committer is
	// doing now is over when this operation is.
	barrier := &buryOp{}
	if err := s.submit(ctx, barrier.name(), barrier); err != nil {
		return err
	}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		var op *buryOp
		for webhook := range s.hooks.Load().deadThrough {
			op = &buryOp{webhook: webhook}
			break
		}
		if op == nil {
			return nil
		}
		start := time.Now()
		if err := s.submit(ctx, op.name(), op); err != nil {
			return fmt.Errorf("ending deliveries: %w", err)
		}
		pause.Reset(time.Since(start))
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// buryOp makes one step for a webhook, if it is marked.
type buryOp struct{ webhook string }

func (*buryOp) name() string { return "housekeeping" }

func (*buryOp) weight() (events, bytes int) { return maxBatchEvents, 0 }

func (op *buryOp) apply(ctx context.Context, t *txn) error {
	through, ok := t.hooks.deadThrough[op.webhook]
	if !ok {
		return nil
	}
	before := t.disabled
	err := t.endDisabled(ctx, `$1 WHERE id IN (
		SELECT id FROM pombo_delivery WHERE webhook_id = $2 AND state = 'pending' AND id + 0 <= $3 ORDER BY id + 0 LIMIT $4)`,
		t.now.UnixMilli(), op.webhook, through, buryStep)
	if err != nil || t.disabled-before == buryStep {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE pombo_webhook SET dead_through = 0 WHERE id = $1`, op.webhook); err != nil {
		return err
	}
	t.hooks = t.hooks.dead(op.webhook, 0)
	return nil
}

// buryAttempted buries marked deliveries that a result came for, so that the
// result finds them dead.
func (t *txn) buryAttempted(ctx context.Context, attempts []pombo.Attempt) error {
	for _, a := range attempts {
		err := t.endDisabled(ctx, `$1 WHERE id = $2 AND state = 'pending'
			AND id <= (SELECT dead_through FROM pombo_webhook w WHERE w.id = pombo_delivery.webhook_id)`,
			t.now.UnixMilli(), a.Delivery)
		if err != nil {
			return err
		}
	}
	return nil
}
