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
	// pollAge is how long polls are kept, and pollsPerInstance how many. People vote
	// within days; what is lost is that votes can be read.
	pollAge          = 90 * 24 * time.Hour
	pollsPerInstance = 5_000
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
	for _, k := range [...]retention{keptSent, keptPolls} {
		if err := s.cleanKept(ctx, k, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("what is no longer needed could not be removed", "what", k.what, "error", err)
		}
	}
	if err := s.cleanHistory(ctx, time.Now()); err != nil && ctx.Err() == nil {
		s.log.Warn("parts of histories that were told could not be removed", "error", err)
	}
	removed, err := s.Expire(ctx, time.Now())
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

// retention is a table whose rows are kept for a while.
type retention struct {
	what, table string
	key, at     string // columns
	age         time.Duration
	perInstance int
}

var (
	keptSent  = retention{"sent messages", "pombo_sent", "instance_id, id", "sent_at", sentAge, sentPerInstance}
	keptPolls = retention{"polls", "pombo_poll", "instance_id, id, chat", "at", pollAge, pollsPerInstance}
)

// cleanKept removes rows that are too old, and the oldest of each instance that has
// too many.
func (s *Store) cleanKept(ctx context.Context, k retention, now time.Time) error {
	remove := func(which string, arg any) *sweepOp {
		return &sweepOp{
			query: `DELETE FROM ` + k.table + ` WHERE (` + k.key + `) IN (
				SELECT ` + k.key + ` FROM ` + k.table + ` WHERE ` + which + ` ORDER BY ` + k.at + ` LIMIT $2)`,
			args: []any{arg},
		}
	}
	if err := s.sweep(ctx, remove(k.at+` < $1`, now.Add(-k.age).UnixMilli()), 0); err != nil {
		return err
	}
	surplus, err := s.surplus(ctx, k)
	if err != nil {
		return err
	}
	for instance, n := range surplus {
		if err := s.sweep(ctx, remove(`instance_id = $1`, string(instance)), n); err != nil {
			return err
		}
	}
	return nil
}

// surplus returns how many rows instances have above the bound.
func (s *Store) surplus(ctx context.Context, k retention) (map[pombo.InstanceID]int, error) {
	doing := "counting " + k.what
	rows, err := s.read.QueryContext(ctx, s.dialect.form(
		`SELECT instance_id, COUNT(*) FROM `+k.table+` GROUP BY instance_id HAVING COUNT(*) > $1`), k.perInstance)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	defer rows.Close()
	surplus := map[pombo.InstanceID]int{}
	for rows.Next() {
		var id pombo.InstanceID
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return nil, readError(ctx, doing, err)
		}
		surplus[id] = n - k.perInstance
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
