package store

import (
	"context"
	"time"

	"pombo"
)

const (
	// sentAge is how long sent messages are kept. A recipient asks again within
	// days at most: WhatsApp itself keeps a message for two weeks.
	sentAge = 7 * 24 * time.Hour
	// sentPerInstance is how many sent messages an instance keeps at most.
	sentPerInstance = 20_000
	// houseInterval is the time between two rounds of housekeeping; houseStep is
	// how many rows one transaction removes, so that no caller waits long.
	houseInterval = 10 * time.Minute
	houseStep     = 500
	// trimInterval is the least time between two attempts to make room.
	trimInterval = 5 * time.Second
)

// keepHouse removes what is no longer needed until ctx ends.
func (s *Store) keepHouse(ctx context.Context) {
	clean, count, look := time.NewTicker(houseInterval), time.NewTicker(tallyInterval), time.NewTicker(diskInterval)
	defer clean.Stop()
	defer count.Stop()
	defer look.Stop()
	var trimmed time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.buryNow:
			if err := s.bury(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("deliveries of a webhook that was switched off could not all be ended; this is tried again", "error", err)
			}
		case <-count.C:
			s.writeTally(ctx)
		case <-look.C:
			if err := s.measure(ctx); err != nil && ctx.Err() == nil {
				s.log.Debug("the database's size is not known", "error", err)
			}
		case <-s.cleanNow:
			// While nothing can be trimmed, looking for it is not free.
			if time.Since(trimmed) > trimInterval {
				s.makeRoom(ctx)
				trimmed = time.Now()
			}
		case <-clean.C:
			s.signalBury() // what failed is tried again
			s.clean(ctx)
		}
	}
}

// clean removes what is too old.
func (s *Store) clean(ctx context.Context) {
	if err := s.cleanSent(ctx, time.Now(), sentPerInstance); err != nil && ctx.Err() == nil {
		s.log.Warn("old sent messages could not be removed", "error", err)
	}
	if err := s.cleanHistory(ctx, time.Now()); err != nil && ctx.Err() == nil {
		s.log.Warn("parts of histories that were told could not be removed", "error", err)
	}
	removed, err := s.expire(ctx, time.Now())
	if err != nil && ctx.Err() == nil {
		s.log.Warn("old deliveries could not be removed; this is tried again", "error", err)
	}
	if err := s.measure(ctx); err == nil && removed > 0 {
		u := s.Usage()
		s.log.Info("old deliveries were removed", "removed", removed, "used", bytesText(u.Used), "file", bytesText(u.File))
	}
}

// makeRoom trims a database that is near its limit.
func (s *Store) makeRoom(ctx context.Context) {
	removed, err := s.trim(ctx, time.Now())
	switch {
	case err != nil && ctx.Err() == nil:
		s.log.Warn("room could not be made in the database; this is tried again", "error", err)
	case removed > 0:
		u := s.Usage()
		s.log.Warn("the database is near its limit (POMBO_MAX_DISK): the history of deliveries that were made was cut short",
			"removed", removed, "used", bytesText(u.Used), "limit", bytesText(u.Max))
	}
	if err := s.measure(ctx); err != nil && ctx.Err() == nil {
		s.log.Debug("the database's size is not known", "error", err)
	}
}

// cleanSent removes sent messages older than sentAge, and the oldest of each
// instance that has more than perInstance.
func (s *Store) cleanSent(ctx context.Context, now time.Time, perInstance int) error {
	old := &sweepOp{
		query: `DELETE FROM pombo_sent WHERE (instance_id, id) IN (
			SELECT instance_id, id FROM pombo_sent WHERE sent_at < $1 ORDER BY sent_at LIMIT $2)`,
		args: []any{now.Add(-sentAge).UnixMilli()},
	}
	if err := s.sweep(ctx, old, 0); err != nil {
		return err
	}
	surplus, err := s.surplusSent(ctx, perInstance)
	if err != nil {
		return err
	}
	for instance, n := range surplus {
		op := &sweepOp{
			query: `DELETE FROM pombo_sent WHERE (instance_id, id) IN (
				SELECT instance_id, id FROM pombo_sent WHERE instance_id = $1 ORDER BY sent_at LIMIT $2)`,
			args: []any{string(instance)},
		}
		if err := s.sweep(ctx, op, n); err != nil {
			return err
		}
	}
	return nil
}

// surplusSent returns how many sent messages instances have above the bound.
func (s *Store) surplusSent(ctx context.Context, perInstance int) (map[pombo.InstanceID]int, error) {
	rows, err := s.read.QueryContext(ctx, s.dialect.form(
		`SELECT instance_id, COUNT(*) FROM pombo_sent GROUP BY instance_id HAVING COUNT(*) > $1`), perInstance)
	if err != nil {
		return nil, readError(ctx, "counting sent messages", err)
	}
	defer rows.Close()
	surplus := map[pombo.InstanceID]int{}
	for rows.Next() {
		var id pombo.InstanceID
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return nil, readError(ctx, "counting sent messages", err)
		}
		surplus[id] = n - perInstance
	}
	return surplus, rows.Err()
}

// sweep repeats op, a step at a time, until it removed total rows or, with total
// 0, until nothing is left.
func (s *Store) sweep(ctx context.Context, op *sweepOp, total int) error {
	for removed := 0; total == 0 || removed < total; {
		op.limit = houseStep
		if total > 0 {
			op.limit = min(houseStep, total-removed)
		}
		if err := s.submit(ctx, op.name(), op); err != nil {
			return err
		}
		removed += int(op.removed)
		if op.removed < int64(op.limit) {
			return nil
		}
	}
	return nil
}

// sweepOp removes at most limit rows.
type sweepOp struct {
	query   string
	args    []any
	limit   int
	removed int64
}

func (*sweepOp) name() string { return "housekeeping" }

func (*sweepOp) weight() (events, bytes int) { return maxBatchEvents / 4, 0 }

func (op *sweepOp) apply(ctx context.Context, t *txn) error {
	var err error
	op.removed, err = t.exec(ctx, op.query, append(op.args[:len(op.args):len(op.args)], op.limit)...)
	return err
}
