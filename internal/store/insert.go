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
		e := &events[i]
		e.number = list[i]
		known, err := t.known(ctx, e, &fresh)
		if err != nil {
			return err
		}
		if !known {
			t.rows.event++
			e.ID = t.rows.event
			t.occurrences.added[e.number] = e.ID
			fresh.events = append(fresh.events, e)
		}
	}
	t.events += len(fresh.events)
	return t.s.insertEvent.chunks(len(fresh.events), func(from, to int, s statement) error {
		args := make([]any, 0, eventColumns*(to-from))
		for _, e := range fresh.events[from:to] {
			args = t.eventArgs(args, e)
		}
		_, err := s.exec(ctx, t.Tx, args)
		return err
	})
}

// newEvents are events that get IDs from first on, and are not written yet.
type newEvents struct {
	first  int64
	events []*wantedEvent
	stored map[int64]int64 // older ones by their numbers
}

// known tells whether e was stored before, or is among fresh. If another event has its
// number by chance, it gets the next one that is free.
func (t *txn) known(ctx context.Context, e *wantedEvent, fresh *newEvents) (bool, error) {
	for {
		event, taken := t.occurrences.known(e.number)
		if !taken {
			event, taken = fresh.stored[e.number]
		}
		if !taken {
			return false, nil
		}
		there, err := t.occurred(ctx, event, fresh)
		switch {
		case errors.Is(err, sql.ErrNoRows): // it was removed
			return false, nil
		case err != nil:
			return false, err
		case there.Instance == e.Instance && there.Name == e.Name && there.Key == e.Key:
			return true, nil
		}
		e.number++
		more, err := t.storedEvents(ctx, e.number)
		if err != nil {
			return false, err
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

func (t *txn) eventArgs(args []any, e *wantedEvent) []any {
	promised := ""
	if e.later {
		promised = targets(e.first, e.webhooks)
	}
	return append(args, e.ID, e.number, string(e.Instance), string(e.Name), e.Key, e.Chat, t.s.digest(string(e.Instance), e.Chat), e.Sender,
		e.Time.UnixMilli(), []byte(e.Data), t.now.UnixMilli(), e.Attachment.ID, e.Attachment.Offset, promised)
}
