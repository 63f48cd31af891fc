package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"

	"pombo"
)

const eventColumns = 14

const insertEventHead = `INSERT INTO pombo_event (id, occurrence, instance_id, name, key, chat, chat_digest, sender, time, data, created_at, media_id, media_offset, targets) VALUES `

// insertEvents writes those of events that are new, and sets their IDs.
func (t *txn) insertEvents(ctx context.Context, events []wantedEvent) error {
	list := make([]int64, len(events))
	for i := range events {
		list[i] = t.s.occurrence(&events[i].Event)
	}
	stored, err := t.storedEvents(ctx, list...)
	if err != nil {
		return err
	}
	fresh := newEvents{first: t.rows.event + 1, stored: stored}
	for i := range events {
		number, known, err := t.number(ctx, &events[i].Event, list[i], &fresh)
		if err != nil {
			return err
		}
		if !known {
			t.rows.event++
			events[i].ID = t.rows.event
			t.occurrences.added[number] = events[i].ID
			fresh.events, fresh.numbers = append(fresh.events, &events[i]), append(fresh.numbers, number)
		}
	}
	t.events += len(fresh.events)
	return t.s.insertEvent.chunks(len(fresh.events), func(from, to int, s statement) error {
		args := make([]any, 0, eventColumns*(to-from))
		for i := from; i < to; i++ {
			args = t.eventArgs(args, fresh.events[i], fresh.numbers[i])
		}
		_, err := s.exec(ctx, t.Tx, args)
		return err
	})
}

// newEvents are events that get IDs from first on, and are not written yet.
type newEvents struct {
	first   int64
	events  []*wantedEvent
	numbers []int64
	stored  map[int64]int64 // older ones by their numbers
}

// number returns the number of e, which is number or, if another event has that by
// chance, one after it. known says that e was stored before, or is among fresh.
func (t *txn) number(ctx context.Context, e *pombo.Event, number int64, fresh *newEvents) (_ int64, known bool, err error) {
	for {
		event, taken := t.occurrences.known(number)
		if !taken {
			event, taken = fresh.stored[number]
		}
		if !taken {
			return number, false, nil
		}
		there, err := t.occurred(ctx, event, fresh)
		switch {
		case errors.Is(err, sql.ErrNoRows): // it was removed
			return number, false, nil
		case err != nil:
			return 0, false, err
		case there.Instance == e.Instance && there.Name == e.Name && there.Key == e.Key:
			return number, true, nil
		}
		number++
		more, err := t.storedEvents(ctx, number)
		if err != nil {
			return 0, false, err
		}
		maps.Copy(fresh.stored, more)
	}
}

// occurred returns what makes an event unique.
func (t *txn) occurred(ctx context.Context, event int64, fresh *newEvents) (e pombo.Event, err error) {
	if event >= fresh.first {
		return fresh.events[event-fresh.first].Event, nil
	}
	err = t.row(ctx, `SELECT instance_id, name, key FROM pombo_event WHERE id = $1`, event).Scan(&e.Instance, &e.Name, &e.Key)
	return e, err
}

func (t *txn) eventArgs(args []any, e *wantedEvent, number int64) []any {
	promised := ""
	if e.later {
		promised = targets(e.first, e.webhooks)
	}
	return append(args, e.ID, number, string(e.Instance), string(e.Name), e.Key, e.Chat, t.s.digest(string(e.Instance), e.Chat), e.Sender,
		e.Time.UnixMilli(), []byte(e.Data), t.now.UnixMilli(), e.Attachment.ID, e.Attachment.Offset, promised)
}
