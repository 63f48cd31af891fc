package store

import (
	"context"
	"database/sql"
	"errors"

	"pombo"
)

const eventColumns = 12

const (
	insertEventHead = `INSERT INTO pombo_event (occurrence, instance_id, name, key, chat, chat_digest, sender, time, data, created_at, media_id, media_offset) VALUES `
	insertEventTail = ` ON CONFLICT (occurrence) DO NOTHING RETURNING id, occurrence`
)

// occurrence is the number of what makes an event unique.
func (s *Store) occurrence(e *pombo.Event) int64 {
	return s.digest(string(e.Instance), string(e.Name), e.Key)
}

// insertEvents writes events and sets the ID of each that is new.
func (t *txn) insertEvents(ctx context.Context, events []pombo.Event) error {
	return t.s.insertEvent.chunks(len(events), func(from, to int, s statement) error {
		part := events[from:to]
		args := make([]any, 0, eventColumns*len(part))
		// Rows come back in no promised order, and only those that were inserted: of
		// several with the same number the first.
		first := make(map[int64]int, len(part))
		for i := range part {
			number := t.s.occurrence(&part[i])
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

func (t *txn) eventArgs(args []any, e *pombo.Event, number int64) []any {
	return append(args, number, string(e.Instance), string(e.Name), e.Key, e.Chat, t.s.digest(string(e.Instance), e.Chat), e.Sender,
		e.Time.UnixMilli(), []byte(e.Data), t.now.UnixMilli(), e.Attachment.ID, e.Attachment.Offset)
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
		n++
	}
	t.events += n
	return n, rows.Err()
}

// insertBeside looks what has the number of e: e itself, which was stored before (its ID
// stays 0), or another event by chance. Then e gets the next number that is free.
func (t *txn) insertBeside(ctx context.Context, e *pombo.Event) error {
	for number := t.s.occurrence(e); e.ID == 0; number++ {
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

const deliveryColumns = 5

// SQLite's one writer numbers the rows of an INSERT in their order, one after the other,
// so that the last number tells all. It has no use for RETURNING, which costs more.
const (
	insertDeliveryHead         = `INSERT INTO pombo_delivery (event_id, webhook_id, instance_id, chat, created_at) VALUES `
	insertDeliveryTailPostgres = ` RETURNING id, event_id, webhook_id`
)

// insertDeliveries writes deliveries and sets their IDs.
func (t *txn) insertDeliveries(ctx context.Context, ds []pombo.Delivery) error {
	err := t.s.insertDelivery.chunks(len(ds), func(from, to int, s statement) error {
		part := ds[from:to]
		args := make([]any, 0, deliveryColumns*len(part))
		for i := range part {
			d := &part[i]
			args = append(args, d.Event.ID, d.WebhookID, string(d.Event.Instance), d.Event.Chat, d.CreatedAt.UnixMilli())
		}
		if t.s.dialect == dialectPostgres {
			return t.numberedDeliveries(ctx, s, args, part)
		}
		result, err := s.exec(ctx, t.Tx, args)
		if err != nil {
			return err
		}
		last, err := result.LastInsertId()
		for i := range part {
			part[i].ID = last - int64(len(part)-1-i)
		}
		return err
	})
	for i := range ds {
		ds[i].MessageID = t.s.messageID(ds[i].ID)
	}
	return err
}

// numberedDeliveries runs an insert that says which row got which ID, in any order.
func (t *txn) numberedDeliveries(ctx context.Context, s statement, args []any, ds []pombo.Delivery) error {
	type target struct {
		event   int64
		webhook string
	}
	index := make(map[target]int, len(ds))
	for i := range ds {
		index[target{ds[i].Event.ID, ds[i].WebhookID}] = i
	}
	rows, err := s.query(ctx, t.Tx, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var to target
		if err := rows.Scan(&id, &to.event, &to.webhook); err != nil {
			return err
		}
		ds[index[to]].ID = id
	}
	return rows.Err()
}
