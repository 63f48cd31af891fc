package store

import (
	"context"
	"encoding/json"
	"time"

	"pombo"
)

// PutPoll keeps a poll for pollAge, or until its instance has pollsPerInstance
// newer ones. A poll that is kept already stays as it is: another message with its
// ID must not take its place. It returns after the commit. Errors: Invalid without
// instance or ID; Unavailable.
func (s *Store) PutPoll(ctx context.Context, p pombo.Poll) error {
	if p.Instance == "" || p.ID == "" {
		return pombo.Errorf(pombo.Invalid, "a poll needs its instance and its ID")
	}
	op := pollOp(p)
	return s.submit(ctx, op.name(), op)
}

type pollOp pombo.Poll

func (pollOp) name() string { return "put poll" }

func (op pollOp) weight() (events, bytes int) {
	for _, o := range op.Options {
		bytes += len(o)
	}
	return 1, bytes
}

func (op pollOp) apply(ctx context.Context, t *txn) error {
	at := op.At
	if at.IsZero() {
		at = t.now
	}
	names := make([]string, len(op.Options))
	for i, o := range op.Options {
		names[i] = clean(o)
	}
	options, err := json.Marshal(names)
	if err != nil {
		return err
	}
	secret := op.Secret
	if secret == nil {
		secret = []byte{} // NULL would be refused
	}
	_, err = t.exec(ctx, `
		INSERT INTO pombo_poll (instance_id, chat, id, author, secret, options, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (instance_id, id, chat) DO NOTHING`,
		cleanKey(string(op.Instance)), cleanKey(op.Chat), cleanKey(op.ID), clean(op.Author), secret, string(options), at.UnixMilli())
	return err
}

// maxPollsOfAnID bounds how many polls of one ID are looked at: there is one,
// unless somebody chose the ID of a poll in another chat.
const maxPollsOfAnID = 16

// Polls returns the polls with an ID, one for each chat that has such a one, the
// oldest first.
func (s *Store) Polls(ctx context.Context, instance pombo.InstanceID, id string) ([]pombo.Poll, error) {
	const doing = "reading a poll"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	rows, err := s.read.QueryContext(ctx, s.dialect.form(`
		SELECT chat, author, secret, options, at FROM pombo_poll WHERE instance_id = $1 AND id = $2 ORDER BY at, chat LIMIT $3`),
		cleanKey(string(instance)), cleanKey(id), maxPollsOfAnID)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	defer rows.Close()
	var out []pombo.Poll
	for rows.Next() {
		p := pombo.Poll{Instance: instance, ID: id}
		var options string
		var at int64
		if err := rows.Scan(&p.Chat, &p.Author, &p.Secret, &options, &at); err != nil {
			return nil, readError(ctx, doing, err)
		}
		if err := json.Unmarshal([]byte(options), &p.Options); err != nil {
			return nil, readError(ctx, doing, err)
		}
		p.At = time.UnixMilli(at).UTC()
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(ctx, doing, err)
	}
	return out, nil
}
