package store

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"pombo"
)

const (
	// tallyInterval is how often counts are written down. A crash loses those since.
	tallyInterval = 10 * time.Second
	// tallyAge is how long they are kept.
	tallyAge = 7 * 24 * time.Hour
	// healthSpan is the time over which a webhook's rate of success is told.
	healthSpan = 24 * time.Hour
)

// tally counts attempts by webhook and hour until they are written down.
type tally struct {
	mu     sync.Mutex
	counts map[tallyKey]tallied
}

type tallyKey struct {
	webhook string
	hour    int64
}

type tallied struct {
	succeeded, failed int64
	lastSuccess       time.Time
}

func (c tallied) plus(o tallied) tallied {
	c.succeeded += o.succeeded
	c.failed += o.failed
	if o.lastSuccess.After(c.lastSuccess) {
		c.lastSuccess = o.lastSuccess
	}
	return c
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

func (t *tally) count(results []settled, now time.Time) {
	if len(results) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[tallyKey]tallied{}
	}
	for _, r := range results {
		one := tallied{failed: 1}
		if r.State == pombo.Delivered {
			one = tallied{succeeded: 1, lastSuccess: now}
		}
		key := tallyKey{r.webhook, hourOf(now)}
		t.counts[key] = t.counts[key].plus(one)
	}
}

// since returns what a webhook has in memory from an hour on.
func (t *tally) since(webhook string, hour int64) tallied {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum tallied
	for key, c := range t.counts {
		if key.webhook == webhook && key.hour >= hour {
			sum = sum.plus(c)
		}
	}
	return sum
}

// writeTally writes down what was counted.
func (s *Store) writeTally(ctx context.Context) {
	s.tally.mu.Lock()
	n := len(s.tally.counts)
	s.tally.mu.Unlock()
	if n == 0 {
		return
	}
	if err := s.submit(ctx, "counting attempts", tallyOp{}); err != nil && ctx.Err() == nil {
		s.log.Debug("counts of attempts could not be written down; this is tried again", "error", err)
	}
}

type tallyOp struct{}

func (tallyOp) name() string { return "housekeeping" }

func (tallyOp) weight() (events, bytes int) { return maxBatchEvents / 4, 0 }

func (tallyOp) apply(ctx context.Context, t *txn) error {
	c := &t.s.tally
	c.mu.Lock()
	counts := c.counts
	c.counts = nil
	c.mu.Unlock()
	// What an operation takes out of memory is put back if it is not committed.
	t.undo = append(t.undo, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.counts == nil {
			c.counts = map[tallyKey]tallied{}
		}
		for key, n := range counts {
			c.counts[key] = c.counts[key].plus(n)
		}
	})
	for key, n := range counts {
		_, err := t.exec(ctx, `
			INSERT INTO pombo_tally (webhook_id, hour, succeeded, failed, last_success) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (webhook_id, hour) DO UPDATE SET succeeded = pombo_tally.succeeded + excluded.succeeded,
				failed = pombo_tally.failed + excluded.failed,
				last_success = COALESCE(excluded.last_success, pombo_tally.last_success)`,
			key.webhook, key.hour, n.succeeded, n.failed, millis(n.lastSuccess))
		if err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `DELETE FROM pombo_tally WHERE hour < $1`, hourOf(t.now.Add(-tallyAge)))
	return err
}

// tallied returns a webhook's counts: those of healthSpan, and when it last
// answered with a 2xx.
func (s *Store) tallied(ctx context.Context, webhook string, now time.Time) (tallied, error) {
	from := hourOf(now.Add(-healthSpan))
	var sum tallied
	var last sql.NullInt64
	err := s.read.QueryRowContext(ctx, s.dialect.form(`
		SELECT COALESCE(SUM(CASE WHEN hour >= $2 THEN succeeded ELSE 0 END), 0), COALESCE(SUM(CASE WHEN hour >= $2 THEN failed ELSE 0 END), 0), MAX(last_success)
		FROM pombo_tally WHERE webhook_id = $1`), webhook, from).Scan(&sum.succeeded, &sum.failed, &last)
	if err != nil {
		return sum, err
	}
	sum.lastSuccess = fromMillis(last)
	return sum.plus(s.tally.since(webhook, from)), nil
}
