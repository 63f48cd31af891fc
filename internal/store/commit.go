package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"pombo"
	"pombo/internal/store/session"
)

// backend is what the committer needs of a database beyond SQL.
type backend interface {
	// begin starts a transaction. It is called by one goroutine at a time.
	begin(ctx context.Context) (*sql.Tx, error)
	// failed is told that a transaction failed, so that a broken connection is
	// replaced.
	failed(ctx context.Context)
	// sync waits until every commit so far is on the disk.
	sync() error
	close() error
}

// txn is the committer's transaction with what becomes of its Store at commit.
type txn struct {
	*sql.Tx
	s     *Store
	now   time.Time
	hooks *registry        // as of this point of the transaction
	fresh []pombo.Delivery // to report to OnAppend
	// results are the attempts that were recorded, for the tally and Observe.
	results []settled
	// events counts those that were stored, disabled the deliveries that ended because
	// their webhook was switched off.
	events, disabled int
	// undo gives back what operations took out of memory, if there is no commit.
	undo  []func()
	wrote bool // something of a device, or rows of deliveries
	// rows are those of deliveries that are written later, or now.
	rows        rowChanges
	occurrences occurrenceChanges
}

// exec runs SQL that is not often run.
func (t *txn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.ExecContext(ctx, t.s.dialect.form(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *txn) row(ctx context.Context, query string, args ...any) *sql.Row {
	return t.QueryRowContext(ctx, t.s.dialect.form(query), args...)
}

// faultWritten is what Options.Fault is asked when everything of a transaction is
// written, before its commit.
const faultWritten = "written"

// faultCommitted is what Options.Fault is asked after a commit: an error there
// stands for an answer that was lost.
const faultCommitted = "committed"

const (
	// commitTimeout bounds a transaction on PostgreSQL, where a silent network
	// would otherwise hold every caller for ever.
	commitTimeout = time.Minute
	// Failed settles and doubts are tried again after a pause that doubles.
	firstPause, longestPause = settleDelay, time.Second
	// drainTries is how often Close tries to commit what still waits.
	drainTries = 3
)

// committer makes all writes of the Store, one transaction after the other.
type committer struct {
	s           *Store
	rows        *unwritten
	occurrences *occurrences

	// lastID is the newest delivery that was reported to OnAppend, or was there
	// when the Store was opened.
	lastID int64
	// doubt says that a transaction failed in its commit, so that nobody knows
	// whether it took place.
	doubt bool
	// pause is how long after a failure settles are held back, and doubts not
	// looked into; 0 while all is well.
	pause time.Duration
	hold  time.Time
	// apart says that a transaction with settles failed: until some of them are
	// committed, they get transactions of their own.
	apart bool
}

// run works until the queue is closed and drained.
func (c *committer) run() {
	defer close(c.s.drained)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	failures := 0
	for {
		b, wait := c.s.queue.take(c.apart, c.hold)
		if !b.empty() {
			c.process(b)
			continue
		}
		if (c.doubt || c.pause > 0) && wait == 0 {
			wait = max(c.pause, firstPause)
		}
		if c.s.queue.drained() {
			c.writeLast()
			return
		}
		if c.closing() {
			// Only failed settles can be left. Bounded: a database that is gone
			// must not keep the process from stopping.
			if failures++; failures > drainTries {
				c.s.drainErr = unavailable("committing the last results of deliveries", c.s.lastError())
				return
			}
		}
		if wait == 0 {
			wait = time.Hour
		}
		if due, ok := c.rows.due(); ok && !c.doubt && c.pause == 0 {
			wait = min(wait, max(due, time.Millisecond))
		}
		timer.Reset(wait)
		select {
		case <-c.s.queue.wake:
		case <-timer.C:
			switch {
			case c.doubt:
				c.resolve()
			case c.pause > 0 && !c.apart:
				c.probe()
			case c.pause == 0:
				c.writeOld()
			}
		}
	}
}

// probe writes something of no account, to learn whether the database can be
// written again: nobody else may want to for long, and Ping would say no all the
// while.
func (c *committer) probe() {
	c.process(single(probeOp{}))
}

// single is an operation that nobody waits for.
func single(op operation) batch {
	return batch{requests: []*request{{op: op, done: make(chan error, 1)}}}
}

// writeOld writes the rows that are due, if there are any: they ride in any transaction.
func (c *committer) writeOld() {
	if due, ok := c.rows.due(); ok && due <= 0 {
		c.process(single(rideOp{}))
	}
}

// writeLast writes the rows that are left, so that the next start need not. If it fails,
// the next start does.
func (c *committer) writeLast() {
	if !c.doubt && c.pause == 0 {
		c.process(single(rowsOp{}))
	}
}

type probeOp struct{}

func (probeOp) name() string { return "probe" }

func (probeOp) weight() (events, bytes int) { return 0, 0 }

func (probeOp) apply(ctx context.Context, t *txn) error {
	_, err := t.exec(ctx, `INSERT INTO pombo_meta (key, value) VALUES ('probe', $1)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, t.now.UTC().Format(time.RFC3339))
	return err
}

func (c *committer) closing() bool {
	select {
	case <-c.s.stopped:
		return true
	default:
		return false
	}
}

// process commits b and answers its callers. If one part is refused by the
// database for its own fault, each part gets a transaction of its own, so that
// only the culprit fails.
func (c *committer) process(b batch) {
	results, err := c.transact(b)
	switch {
	case err == nil:
		c.s.queue.settled(len(b.settles))
		c.recovered(len(b.settles) > 0) // before a caller may ask Ping
		for i, r := range b.requests {
			r.done <- results[i]
		}
	case ownFault(err) && len(b.requests)+len(b.settles) > 1:
		c.separately(b)
	case ownFault(err):
		for _, r := range b.requests {
			r.done <- err
		}
		for _, a := range b.settles {
			c.s.log.Error("the database refused the result of a delivery's attempt; the delivery will be repeated",
				"delivery", a.Delivery, "attempt", a.Number, "error", err)
		}
		c.s.queue.settled(len(b.settles))
	default:
		c.failed(err)
		if len(b.settles) > 0 {
			c.apart = true
			c.s.queue.putBack(b.settles)
		}
		for _, r := range b.requests {
			r.done <- unavailable(r.op.name(), err)
		}
	}
}

func (c *committer) separately(b batch) {
	for i := range b.settles {
		c.process(batch{settles: b.settles[i : i+1]})
	}
	for i := range b.requests {
		c.process(batch{requests: b.requests[i : i+1]})
	}
}

// failed notes that the database failed.
func (c *committer) failed(err error) {
	if c.pause == 0 {
		c.s.log.Error("the database cannot be written; callers are told to try again", "error", err)
	}
	c.pause = min(max(2*c.pause, firstPause), longestPause)
	c.hold = time.Now().Add(c.pause)
	c.s.setError(err)
}

// recovered notes a commit, which may have had settles in it.
func (c *committer) recovered(settled bool) {
	if settled {
		c.apart = false
	}
	if c.pause == 0 || c.apart {
		return
	}
	c.pause, c.hold = 0, time.Time{}
	c.s.setError(nil)
	c.s.log.Info("the database can be written again")
}

// transact makes one transaction of b. results holds what each request's caller
// is answered if err is nil.
func (c *committer) transact(b batch) (results []error, err error) {
	ctx, cancel := c.context()
	defer cancel()
	if c.doubt {
		if err := c.reconcile(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.askFault(b); err != nil {
		return nil, err
	}
	tx, err := c.s.backend.begin(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	t := c.txn(tx, began)
	results, err = t.apply(ctx, b)
	if err != nil {
		// The rollback's own error says nothing new: the connection is checked.
		rollbackErr := tx.Rollback()
		if rollbackErr != nil && !errors.Is(rollbackErr, sql.ErrTxDone) {
			c.s.log.Debug("rolling back", "error", rollbackErr)
		}
		if !ownFault(err) {
			c.s.backend.failed(ctx)
		}
		t.giveBack()
		return nil, err
	}
	if err = c.s.askFault(faultWritten); err == nil {
		err = tx.Commit()
	} else {
		err = errors.Join(err, tx.Rollback())
	}
	if err == nil && len(t.fresh) == 0 && !t.wrote && len(b.requests) > 0 {
		// If nothing was written (an event that nobody wants, or that was there),
		// the commit has not waited for what its callers wrote before, Unsynced.
		err = c.s.backend.sync()
	}
	if err == nil && c.s.fault != nil {
		err = c.s.fault(faultCommitted)
	}
	if err != nil {
		c.doubt = true
		c.s.backend.failed(ctx)
		t.giveBack()
		return nil, err
	}
	c.s.hooks.Store(t.hooks)
	c.s.unwritten.Store(int64(t.rows.commit())) // before anybody is told of them
	t.occurrences.commit(t.rows.event)
	c.report(t.fresh)
	c.s.observed(t, time.Since(began), len(b.settles))
	return results, nil
}

func (c *committer) txn(tx *sql.Tx, began time.Time) *txn {
	return &txn{Tx: tx, s: c.s, now: stored(began), hooks: c.s.hooks.Load(), rows: c.rows.change(), occurrences: c.occurrences.change()}
}

func (t *txn) giveBack() {
	for _, f := range t.undo {
		f()
	}
}

// context returns the context of one transaction. On SQLite it cannot end:
// nothing there waits for a network, and a context that can end costs the driver
// a goroutine for each statement.
func (c *committer) context() (context.Context, context.CancelFunc) {
	if c.s.dialect == dialectSQLite {
		return context.Background(), func() {}
	}
	return context.WithTimeout(context.Background(), commitTimeout)
}

func (c *committer) askFault(b batch) error {
	if c.s.fault == nil {
		return nil
	}
	asked := map[string]bool{}
	ask := func(op string) error {
		if asked[op] {
			return nil
		}
		asked[op] = true
		return c.s.fault(op)
	}
	for _, r := range b.requests {
		if err := ask(r.op.name()); err != nil {
			return err
		}
	}
	if len(b.settles) > 0 {
		return ask("settle")
	}
	return nil
}

// apply makes b's writes. Appends that follow each other are written together, and
// so is what devices write with them.
func (t *txn) apply(ctx context.Context, b batch) ([]error, error) {
	if err := t.settle(ctx, b.settles); err != nil {
		return nil, err
	}
	if err := t.writeRows(ctx, false); err != nil {
		return nil, err
	}
	results := make([]error, len(b.requests))
	looked := false
	var events []arrival
	var writes []*session.Writes
	together := func() error {
		defer func() { events, writes = events[:0], writes[:0] }()
		if err := t.s.sessions.Apply(ctx, t.Tx, writes...); err != nil {
			return err
		}
		t.wrote = t.wrote || len(writes) > 0
		return t.append(ctx, events)
	}
	for i, r := range b.requests {
		switch op := r.op.(type) {
		case appendOp:
			events = append(events, op...)
			continue
		case unitOp:
			events = append(events, op.events...)
			if !op.writes.Empty() {
				writes = append(writes, op.writes)
			}
			continue
		}
		if err := together(); err != nil {
			return nil, err
		}
		t.rows.atOnce = looksAtRows(r.op)
		if t.rows.atOnce {
			looked = true
			if err := t.writeRows(ctx, true); err != nil {
				return nil, err
			}
		}
		err := r.op.apply(ctx, t)
		t.rows.atOnce = false
		if err != nil && !refusal(err) {
			return nil, err
		}
		results[i] = err
	}
	if err := together(); err != nil {
		return nil, err
	}
	if err := t.moveOccurrences(ctx); err != nil {
		return nil, err
	}
	return results, t.moveMark(ctx, looked)
}

// report tells OnAppend of committed deliveries, in the order of their ids.
func (c *committer) report(fresh []pombo.Delivery) {
	if len(fresh) == 0 {
		return
	}
	c.lastID = max(c.lastID, fresh[len(fresh)-1].ID)
	if c.s.onAppend != nil {
		c.s.onAppend(fresh)
	}
}
