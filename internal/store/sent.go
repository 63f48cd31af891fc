package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"pombo"
)

// PutSent keeps a message that was sent, for sentAge or until its instance has
// sent sentPerInstance others. A repeated ID replaces the message. It returns
// after the commit. Errors: Invalid without instance or ID; Unavailable.
func (s *Store) PutSent(ctx context.Context, m pombo.SentMessage) error {
	if m.Instance == "" || m.ID == "" {
		return pombo.Errorf(pombo.Invalid, "a sent message needs its instance and its ID")
	}
	if err := s.room(); err != nil {
		return err
	}
	op := sentOp(m)
	return s.submit(ctx, op.name(), op)
}

type sentOp pombo.SentMessage

func (sentOp) name() string { return "put sent message" }

func (op sentOp) weight() (events, bytes int) { return 1, len(op.Message) }

func (op sentOp) apply(ctx context.Context, t *txn) error {
	at := op.At
	if at.IsZero() {
		at = t.now
	}
	message := op.Message
	if message == nil {
		message = []byte{} // NULL would be refused
	}
	_, err := t.s.insertSent.exec(ctx, t.Tx, []any{
		cleanKey(string(op.Instance)), cleanKey(op.ID), clean(op.Chat), message, at.UnixMilli(),
	})
	return err
}

const insertSentQuery = `
	INSERT INTO pombo_sent (instance_id, id, chat, message, sent_at) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (instance_id, id) DO UPDATE SET chat = excluded.chat, message = excluded.message, sent_at = excluded.sent_at`

// Sent returns a message that was sent; ok is false if it is not kept.
func (s *Store) Sent(ctx context.Context, instance pombo.InstanceID, id string) (m pombo.SentMessage, ok bool, err error) {
	const doing = "reading a sent message"
	if err := s.askFault("read"); err != nil {
		return m, false, unavailable(doing, err)
	}
	var at int64
	err = s.read.QueryRowContext(ctx, s.dialect.form(`SELECT chat, message, sent_at FROM pombo_sent WHERE instance_id = $1 AND id = $2`),
		cleanKey(string(instance)), cleanKey(id)).Scan(&m.Chat, &m.Message, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return pombo.SentMessage{}, false, nil
	} else if err != nil {
		return pombo.SentMessage{}, false, readError(ctx, doing, err)
	}
	m.Instance, m.ID, m.At = instance, id, time.UnixMilli(at).UTC()
	return m, true, nil
}
