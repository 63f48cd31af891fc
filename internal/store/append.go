package store

import (
	"context"

	"pombo"
	"pombo/internal/filter"
)

// Append stores events together with a delivery for each webhook that wants
// them, and returns after the commit: all of them, or none. An event that no
// webhook wants is not stored.
//
// An event with the instance, name and key of one already stored is the same
// occurrence: it creates nothing and is no error. So a caller in doubt (after a
// crash, or an error for which errors.Is(err, ErrUnavailable) holds) repeats the
// call. If ctx ends first, ctx's error is returned and the events may be stored
// nevertheless.
//
// The store keeps the events' Data, which must not be changed afterwards. It does
// not look into it: that it is JSON is up to whoever made it.
// Errors: Invalid for an event without instance, name, key or data; Unavailable if
// the database is at fault.
func (s *Store) Append(ctx context.Context, events ...pombo.Event) error {
	op, err := s.newAppend(events)
	if err != nil || len(op) == 0 {
		return err
	}
	if err := s.room(); err != nil {
		return err
	}
	return s.submit(ctx, op.name(), op)
}

// appendOp is events to store. It holds copies: the caller may go on with its
// own slice if its context ends.
type appendOp []arrival

// newAppend checks events, and asks the filters in force, so that the committer
// need not: an expression over a large event takes its time.
func (s *Store) newAppend(events []pombo.Event) (appendOp, error) {
	for i := range events {
		e := &events[i]
		switch {
		case e.Instance == "":
			return nil, pombo.Errorf(pombo.Invalid, "event %s %q has no instance: set it", e.Name, e.Key)
		case e.Name == "":
			return nil, pombo.Errorf(pombo.Invalid, "event %q of instance %s has no name: set it", e.Key, e.Instance)
		case e.Key == "":
			return nil, pombo.Errorf(pombo.Invalid, "event %s of instance %s has no key: set one that is the same whenever this occurrence is appended", e.Name, e.Instance)
		case len(e.Data) == 0:
			return nil, pombo.Errorf(pombo.Invalid, "event %s %q of instance %s has no data: give it JSON", e.Name, e.Key, e.Instance)
		}
	}
	if len(events) == 0 {
		return nil, nil
	}
	op := make(appendOp, len(events))
	hooks := s.hooks.Load()
	for i, e := range events {
		op[i].Event = e
		for _, h := range hooks.byInstance[e.Instance] {
			if h.filter != nil && h.Wants(e.Name) {
				op[i].passes(h)
			}
		}
	}
	return op, nil
}

func (appendOp) name() string { return "append" }

func (op appendOp) weight() (events, bytes int) {
	for i := range op {
		bytes += len(op[i].Data)
	}
	return len(op), bytes
}

func (op appendOp) apply(ctx context.Context, t *txn) error { return t.append(ctx, op) }

// arrival is an event on its way into the store, with what filters said of it.
type arrival struct {
	pombo.Event
	subject  *filter.Subject
	verdicts map[*filter.Filter]bool
}

// passes asks a webhook's filter, once.
func (e *arrival) passes(h *hook) bool {
	if h.filter == nil {
		return true
	}
	pass, asked := e.verdicts[h.filter]
	if !asked {
		if e.verdicts == nil {
			e.verdicts = map[*filter.Filter]bool{}
			e.subject = &filter.Subject{Event: e.Event, Instance: h.instance}
		}
		pass = h.filter.Pass(e.subject)
		e.verdicts[h.filter] = pass
	}
	return pass
}

// append writes those of events that are wanted and new, with their deliveries.
func (t *txn) append(ctx context.Context, events []arrival) error {
	if len(events) == 0 {
		return nil
	}
	wanted := make([]wantedEvent, 0, len(events))
	webhooks := make([]string, 0, len(events)) // of all wanted events, one after the other
	for i := range events {
		before := len(webhooks)
		if webhooks = t.hooks.wanting(&events[i], webhooks); len(webhooks) > before {
			wanted = append(wanted, wantedEvent{Event: normal(events[i].Event, t.now), webhooks: webhooks[before:len(webhooks):len(webhooks)]})
		}
	}
	later := t.rows.canWait(len(webhooks))
	for i := range wanted {
		wanted[i].first = t.rows.number(len(wanted[i].webhooks))
		wanted[i].later = later
	}
	if err := t.insertEvents(ctx, wanted); err != nil {
		return err
	}
	if err := t.insertMedia(ctx, events, wanted); err != nil {
		return err
	}
	return t.deliver(ctx, wanted, later)
}

// wantedEvent is an event that webhooks want, with its number (see occurrence) and the ID
// of its first delivery.
type wantedEvent struct {
	pombo.Event
	number   int64
	webhooks []string
	first    int64
	later    bool // its deliveries' rows are written later
}

// deliver makes the deliveries of those of events that were stored just now.
func (t *txn) deliver(ctx context.Context, events []wantedEvent, later bool) error {
	var rows []newRow
	since := t.rows.u.clock()
	for _, e := range events {
		if e.ID == 0 {
			continue // stored before, or earlier in this list
		}
		e.Attachment.Media, e.Attachment.Wanted = nil, e.Attachment.ID != "" && t.hooks.wantsFile(&e.Event, e.webhooks)
		lane := pombo.Lane{Instance: e.Instance, Chat: e.Chat}
		for i, webhook := range e.webhooks {
			id := e.first + int64(i)
			rows = append(rows, newRow{id: id, event: e.ID, webhook: webhook, lane: lane, created: t.now.UnixMilli(), since: since})
			t.fresh = append(t.fresh, pombo.Delivery{
				ID: id, MessageID: t.s.messageID(id), WebhookID: webhook, Event: e.Event, State: pombo.Pending, CreatedAt: t.now,
			})
		}
	}
	if later {
		t.rows.later = append(t.rows.later, rows...)
		return nil
	}
	return t.insertRows(ctx, rows, pombo.Pending)
}

// forget takes webhook's deliveries off the list of what is reported: they were
// appended and ended in the same transaction.
func (t *txn) forget(webhook string) {
	kept := t.fresh[:0]
	for _, d := range t.fresh {
		if d.WebhookID != webhook {
			kept = append(kept, d)
		}
	}
	t.fresh = kept
}
