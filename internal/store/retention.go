package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Retention says how long deliveries are kept after they ended; zero fields are
// the defaults, 7 and 30 days.
type Retention struct{ Delivered, Dead time.Duration }

func (r Retention) orDefault() Retention {
	if r.Delivered <= 0 {
		r.Delivered = 7 * 24 * time.Hour
	}
	if r.Dead <= 0 {
		r.Dead = 30 * 24 * time.Hour
	}
	return r
}

const (
	// expireLook is how many rows one step looks at, without keeping anyone from
	// writing, and expireStep how many it removes at most: a few milliseconds of the
	// writer's time.
	expireLook, expireStep = 5_000, 500
)

// Expire removes the deliveries that are too old at the time now, and what only
// they needed, as housekeeping does every ten minutes, and returns how many they
// were. Between the steps it leaves others three times as much time as it took.
//
// It goes along the primary key from the oldest row on, so that it needs no index
// of its own: what ended was appended before, so it can stop at the first row that
// was appended too late to be too old.
func (s *Store) Expire(ctx context.Context, now time.Time) (removed int, err error) {
	return s.removeEnded(ctx, now.Add(-s.keep.Delivered), now.Add(-s.keep.Dead), nil)
}

// trim removes deliveries that were made, the oldest first, until the database is
// well below its limit.
func (s *Store) trim(ctx context.Context, now time.Time) (removed int, err error) {
	return s.removeEnded(ctx, now, now.Add(-s.keep.Dead), func() bool {
		return float64(s.disk.used.Load()) <= trimTo*float64(s.maxDisk)
	})
}

// removeEnded removes deliveries that were made before delivered, or died before
// dead, until enough says so.
func (s *Store) removeEnded(ctx context.Context, delivered, dead time.Time, enough func() bool) (removed int, err error) {
	w := &expireWalk{delivered: delivered.UnixMilli(), dead: dead.UnixMilli()}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for !w.end {
		if enough != nil {
			if err := s.measure(ctx); err != nil {
				return removed, err
			}
			if enough() {
				break
			}
		}
		began := time.Now()
		old, err := s.look(ctx, w)
		if err != nil {
			return removed, readError(ctx, "looking for old deliveries", err)
		}
		if len(old) > 0 {
			op := expireOp(old)
			if err := s.submit(ctx, op.name(), op); err != nil {
				return removed, fmt.Errorf("removing old deliveries: %w", err)
			}
			removed += len(old)
		}
		pause.Reset(3 * time.Since(began))
		select {
		case <-pause.C:
		case <-ctx.Done():
			return removed, ctx.Err()
		}
	}
	return removed, s.submit(ctx, "housekeeping", orphansOp{})
}

// expireWalk is how far a walk along all deliveries has come.
type expireWalk struct {
	delivered, dead int64 // milliseconds: what ended before is removed

	after int64 // the last row that was looked at
	end   bool  // there is nothing more to look at
}

type expired struct{ id, event int64 }

// look finds the next rows to remove and moves on.
func (s *Store) look(ctx context.Context, w *expireWalk) ([]expired, error) {
	if err := s.askFault("read"); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, s.dialect.form(`
		SELECT id, event_id, state, created_at, ended_at FROM pombo_delivery WHERE id > $1 ORDER BY id LIMIT $2`), w.after, expireLook)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var old []expired
	n := 0
	for rows.Next() {
		var row expired
		var state string
		var created int64
		var ended *int64
		if err := rows.Scan(&row.id, &row.event, &state, &created, &ended); err != nil {
			return nil, err
		}
		n++
		if created >= max(w.delivered, w.dead) {
			w.end = true
			break
		}
		limit := w.delivered
		if state == "dead" {
			limit = w.dead
		}
		if ended != nil && *ended < limit {
			old = append(old, row)
		}
		w.after = row.id
		if len(old) == expireStep {
			break
		}
	}
	if n < expireLook && len(old) < expireStep {
		w.end = true
	}
	return old, rows.Err()
}

// expireOp removes deliveries, save those that were replayed meanwhile, and their
// events if no other delivery needs them.
type expireOp []expired

func (expireOp) name() string { return "housekeeping" }

func (expireOp) weight() (events, bytes int) { return maxBatchEvents, 0 }

func (op expireOp) apply(ctx context.Context, t *txn) error {
	deliveries, events := make([]int64, len(op)), make([]int64, len(op))
	for i, row := range op {
		deliveries[i], events[i] = row.id, row.event
	}
	if _, err := t.exec(ctx, `DELETE FROM pombo_delivery WHERE state <> 'pending' AND id IN (`+numbers(deliveries)+`)`); err != nil {
		return err
	}
	return t.removeEvents(ctx, events)
}

// removeEvents removes those of events that no delivery needs.
func (t *txn) removeEvents(ctx context.Context, events []int64) error {
	rows, err := t.QueryContext(ctx, `DELETE FROM pombo_event WHERE id IN (`+numbers(events)+`)
		AND NOT EXISTS (SELECT 1 FROM pombo_delivery d WHERE d.event_id = pombo_event.id) RETURNING occurrence, id`)
	if err != nil {
		return err
	}
	var gone []occurrence
	if err := scanOccurrences(rows, func(x occurrence) { gone = append(gone, x) }); err != nil {
		return err
	}
	return t.removeOccurrences(ctx, gone)
}

// numbers writes ids as a list for IN ( ), which cannot be a parameter of both
// databases.
func numbers(ids []int64) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	return b.String()
}

// orphansOp removes webhooks that were removed, and deleted instances, when
// nothing of theirs is left.
type orphansOp struct{}

func (orphansOp) name() string { return "housekeeping" }

func (orphansOp) weight() (events, bytes int) { return maxBatchEvents, 0 }

func (orphansOp) apply(ctx context.Context, t *txn) error {
	_, err := t.exec(ctx, `
		DELETE FROM pombo_webhook
		WHERE (position < 0 OR instance_id IN (SELECT id FROM pombo_instance WHERE deleted_at IS NOT NULL))
			AND NOT EXISTS (SELECT 1 FROM pombo_delivery d WHERE d.webhook_id = pombo_webhook.id)`)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `
		DELETE FROM pombo_instance
		WHERE deleted_at IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM pombo_webhook w WHERE w.instance_id = pombo_instance.id)
			AND NOT EXISTS (SELECT 1 FROM pombo_delivery d WHERE d.webhook_id = 'global' AND d.instance_id = pombo_instance.id)`)
	return err
}
