package store

import (
	"context"
	"errors"
	"time"

	"pombo"
)

// recover is txn.recover in a transaction of its own.
func (c *committer) recover(ctx context.Context) error {
	tx, err := c.s.backend.begin(ctx)
	if err != nil {
		return err
	}
	if err := c.txn(tx, time.Now()).recover(ctx, c); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// recover finds out what c must know of the database, at its start or after a commit in
// doubt.
func (t *txn) recover(ctx context.Context, c *committer) error {
	mark, err := t.recoverOccurrences(ctx, c.occurrences)
	if err != nil {
		return err
	}
	c.rows.event = max(c.rows.event, mark) // IDs up to it were given out, also if their events are gone
	return t.recoverRows(ctx, c.rows)
}

// resolve tries to end a doubt while no one writes.
func (c *committer) resolve() {
	ctx, cancel := c.context()
	defer cancel()
	if err := c.reconcile(ctx); err != nil {
		c.failed(err)
		return
	}
	c.recovered(false)
}

// reconcile finds out what became of a transaction whose commit failed: the
// webhooks are read again, and deliveries that were committed after all are
// reported. Without this they would wait for the next start, since a caller who
// repeats an append creates no second delivery.
func (c *committer) reconcile(ctx context.Context) error {
	tx, err := c.s.backend.begin(ctx)
	if err != nil {
		return err
	}
	hooks, err := c.s.loadRegistry(ctx, tx)
	var missed []pombo.Delivery
	if err == nil {
		err = c.txn(tx, time.Now()).recover(ctx, c)
	}
	if err == nil {
		missed, err = c.s.pendingAfter(ctx, tx, hooks, c.lastID)
	}
	if err == nil {
		err = tx.Commit()
	} else {
		err = errors.Join(err, tx.Rollback())
	}
	if err != nil {
		c.s.backend.failed(ctx)
		return err
	}
	c.doubt = false
	c.s.hooks.Store(hooks)
	c.s.unwritten.Store(0)
	c.report(missed)
	return nil
}
