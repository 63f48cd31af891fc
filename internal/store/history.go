package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"pombo"
)

// PutHistory keeps a part of an account's history that is to be fetched. One that
// is kept already, or was told in the last historyAge, is not kept again. It
// returns after the commit. Errors: Invalid without instance or ID; Unavailable.
func (s *Store) PutHistory(ctx context.Context, p pombo.HistoryPart) error {
	if p.Instance == "" || p.ID == "" {
		return pombo.Errorf(pombo.Invalid, "a part of a history needs its instance and its ID")
	}
	op := &historyOp{doing: "put history", part: p, run: putHistory}
	return s.submit(ctx, op.name(), op)
}

// TellHistory appends the events that were made of a part, and keeps how far it
// is told, in one transaction; Notification, Attempts and NextAttempt may change
// with it. Errors: NotFound if the part does not wait any more, then nothing is
// appended; Invalid as for Append; Unavailable.
func (s *Store) TellHistory(ctx context.Context, p pombo.HistoryPart, events ...pombo.Event) error {
	made, err := s.newAppend(events)
	if err == nil {
		err = s.room()
	}
	if err != nil {
		return err
	}
	op := &historyOp{doing: "tell history", part: p, events: made, run: tellHistory}
	return s.submit(ctx, op.name(), op)
}

// EndHistory says that a part was told in full, or will never be. A repeated call
// succeeds. Error: Unavailable.
func (s *Store) EndHistory(ctx context.Context, instance pombo.InstanceID, id string) error {
	op := &historyOp{doing: "end history", part: pombo.HistoryPart{Instance: instance, ID: id}, run: endHistory}
	return s.submit(ctx, op.name(), op)
}

// ClearHistory forgets all parts of an instance: its phone is another one from
// now on. Error: Unavailable.
func (s *Store) ClearHistory(ctx context.Context, instance pombo.InstanceID) error {
	op := &historyOp{doing: "clear history", part: pombo.HistoryPart{Instance: instance}, run: clearHistory}
	return s.submit(ctx, op.name(), op)
}

// historyOp is a write to the queue of histories.
type historyOp struct {
	doing  string
	part   pombo.HistoryPart
	events appendOp
	run    func(ctx context.Context, t *txn, op *historyOp) error
}

func (op *historyOp) name() string { return op.doing }

func (op *historyOp) weight() (events, bytes int) {
	events, bytes = op.events.weight()
	return events + 1, bytes + len(op.part.Notification)
}

func (op *historyOp) apply(ctx context.Context, t *txn) error { return op.run(ctx, t, op) }

func (op *historyOp) key() (instance, id string) {
	return cleanKey(string(op.part.Instance)), cleanKey(op.part.ID)
}

func putHistory(ctx context.Context, t *txn, op *historyOp) error {
	at := op.part.ReceivedAt
	if at.IsZero() {
		at = t.now
	}
	notification := op.part.Notification
	if notification == nil {
		notification = []byte{} // NULL would be refused
	}
	instance, id := op.key()
	_, err := t.exec(ctx, `
		INSERT INTO pombo_history (instance_id, id, notification, told, attempts, next_attempt_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (instance_id, id) DO NOTHING`,
		instance, id, notification, op.part.Told, op.part.Attempts, millis(op.part.NextAttempt), at.UnixMilli())
	return err
}

func tellHistory(ctx context.Context, t *txn, op *historyOp) error {
	instance, id := op.key()
	n, err := t.exec(ctx, `
		UPDATE pombo_history SET notification = $3, told = $4, attempts = $5, next_attempt_at = $6
		WHERE instance_id = $1 AND id = $2 AND ended_at IS NULL`,
		instance, id, op.part.Notification, op.part.Told, op.part.Attempts, millis(op.part.NextAttempt))
	if err != nil {
		return err
	}
	if n == 0 {
		return pombo.Errorf(pombo.NotFound, "the part %s of a history does not wait any more", op.part.ID)
	}
	return t.append(ctx, op.events)
}

func endHistory(ctx context.Context, t *txn, op *historyOp) error {
	instance, id := op.key()
	_, err := t.exec(ctx, `
		UPDATE pombo_history SET notification = $3, next_attempt_at = NULL, ended_at = $4
		WHERE instance_id = $1 AND id = $2 AND ended_at IS NULL`,
		instance, id, []byte{}, t.now.UnixMilli())
	return err
}

func clearHistory(ctx context.Context, t *txn, op *historyOp) error {
	_, err := t.exec(ctx, `DELETE FROM pombo_history WHERE instance_id = $1`, cleanKey(string(op.part.Instance)))
	return err
}

// NextHistory returns the part of an instance's history to fetch next: the oldest
// that may be tried now, or else the one that may be tried first. ok is false if
// none waits.
func (s *Store) NextHistory(ctx context.Context, instance pombo.InstanceID, now time.Time) (p pombo.HistoryPart, ok bool, err error) {
	const doing = "reading the queue of histories"
	if err := s.askFault("read"); err != nil {
		return p, false, unavailable(doing, err)
	}
	var next sql.NullInt64
	var at int64
	err = s.read.QueryRowContext(ctx, s.dialect.form(`
		SELECT id, notification, told, attempts, next_attempt_at, created_at FROM pombo_history
		WHERE instance_id = $1 AND ended_at IS NULL
		ORDER BY CASE WHEN COALESCE(next_attempt_at, 0) <= $2 THEN 0 ELSE next_attempt_at END, seq LIMIT 1`),
		cleanKey(string(instance)), now.UnixMilli()).Scan(&p.ID, &p.Notification, &p.Told, &p.Attempts, &next, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return pombo.HistoryPart{}, false, nil
	} else if err != nil {
		return pombo.HistoryPart{}, false, readError(ctx, doing, err)
	}
	p.Instance, p.NextAttempt, p.ReceivedAt = instance, fromMillis(next), time.UnixMilli(at).UTC()
	return p, true, nil
}

// historyAge is how long a part that was told is remembered. WhatsApp repeats
// what it believes unconfirmed within days.
const historyAge = 14 * 24 * time.Hour

// cleanHistory forgets parts that were told long ago.
func (s *Store) cleanHistory(ctx context.Context, now time.Time) error {
	return s.sweep(ctx, &sweepOp{
		query: `DELETE FROM pombo_history WHERE seq IN (
			SELECT seq FROM pombo_history WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)`,
		args: []any{now.Add(-historyAge).UnixMilli()},
	}, 0)
}
