package store

import (
	"context"
	"database/sql"
	"errors"

	"pombo"
)

const eventColumns = 13

const (
	insertEventHead = `INSERT INTO pombo_event (occurrence, instance_id, name, key, chat, chat_digest, sender, time, data, created_at, media_id, media_offset, targets) VALUES `
	insertEventTail = ` ON CONFLICT (occurrence) DO NOTHING RETURNING id, occurrence`
)

// occurrence is the number of what makes an event unique.
func (s *Store) occurrence(e *pombo.Event) int64 {
	return s.digest(string(e.Instance), string(e.Name), e.Key)
}

// insertEvents writes events and sets the ID of each that is new.
func (t *txn) insertEvents(ctx context.Context, events []wantedEvent) error {
	return t.s.insertEvent.chunks(len(events), func(from, to int, s statement) error {
		part := events[from:to]
		args := make([]any, 0, eventColumns*len(part))
		// Rows come back in no promised order, and only those that were inserted: of
		// several with the same number the first.
		first := make(map[int64]int, len(part))
		for i := range part {
			number := t.s.occurrence(&part[i].Event)
			args = t.eventArgs(args, &part[i], number)
			if _, ok := first[number]; !ok {
				first[number] = i
			}
		}
		n, err := t.insertedEvents(ctx, s, args, func(id, number int64) { part[first[number]].ID = id })
		if err != nil || n == len(part) {
			return err
		}
		for i := range part {
			if part[i].ID == 0 {
				if err := t.insertBeside(ctx, &part[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (t *txn) eventArgs(args []any, e *wantedEvent, number int64) []any {
	promised := ""
	if e.later {
		promised = targets(e.first, e.webhooks)
	}
	return append(args, number, string(e.Instance), string(e.Name), e.Key, e.Chat, t.s.digest(string(e.Instance), e.Chat), e.Sender,
		e.Time.UnixMilli(), []byte(e.Data), t.now.UnixMilli(), e.Attachment.ID, e.Attachment.Offset, promised)
}

// insertedEvents runs an insert, and reports each row that it made.
func (t *txn) insertedEvents(ctx context.Context, s statement, args []any, report func(id, number int64)) (n int, err error) {
	rows, err := s.query(ctx, t.Tx, args)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, number int64
		if err := rows.Scan(&id, &number); err != nil {
			return n, err
		}
		report(id, number)
		t.rows.event = max(t.rows.event, id)
		n++
	}
	t.events += n
	return n, rows.Err()
}

// insertBeside looks what has the number of e: e itself, which was stored before (its ID
// stays 0), or another event by chance. Then e gets the next number that is free.
func (t *txn) insertBeside(ctx context.Context, e *wantedEvent) error {
	for number := t.s.occurrence(&e.Event); e.ID == 0; number++ {
		var there pombo.Event
		err := t.row(ctx, `SELECT instance_id, name, key FROM pombo_event WHERE occurrence = $1`, number).Scan(&there.Instance, &there.Name, &there.Key)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			args := t.eventArgs(nil, e, number)
			_, err = t.insertedEvents(ctx, t.s.insertEvent.single(), args, func(id, _ int64) { e.ID = id })
			if err != nil {
				return err
			}
		case err != nil:
			return err
		case there.Instance == e.Instance && there.Name == e.Name && there.Key == e.Key:
			return nil
		}
	}
	return nil
}
