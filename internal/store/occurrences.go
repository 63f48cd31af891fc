package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"pombo"
)

// occurrencesKept is how many of the newest events are known by memory alone before they
// are moved to the table of occurrences: about 60 bytes of memory each. While they are
// moved as many new ones may come: Open reads them all.
const occurrencesKept = 16_384

// occurrence says which event has a number. That is the digest of what makes the event
// unique, or a number after it if another event has that one already.
type occurrence struct{ number, event int64 }

// occurrences is what the committer knows of the newest events, so that it finds one that
// is appended again. Numbers are digests, so each would change another page of an index:
// together, and in their order, thousands of them change a few at a time.
type occurrences struct {
	fresh map[int64]int64 // the newest events, which are not in the table, by their numbers
	// moving are those that are on their way to the table, by their numbers; through is
	// the newest event among them.
	moving  []occurrence
	through int64
}

func newOccurrences() *occurrences { return &occurrences{fresh: map[int64]int64{}} }

// move takes what there is onto its way to the table.
func (o *occurrences) move(newest int64) {
	o.moving, o.through = make([]occurrence, 0, len(o.fresh)), newest
	for number, event := range o.fresh {
		o.moving = append(o.moving, occurrence{number, event})
	}
	slices.SortFunc(o.moving, func(a, b occurrence) int { return cmp.Compare(a.number, b.number) })
}

// drop forgets events, unless another one has their number by now.
func (o *occurrences) drop(list []occurrence) {
	for _, x := range list {
		if o.fresh[x.number] == x.event {
			delete(o.fresh, x.number)
		}
	}
}

// occurrenceChanges is what a transaction does to occurrences when it is committed.
type occurrenceChanges struct {
	o       *occurrences
	added   map[int64]int64
	removed []occurrence
	moved   int
}

func (o *occurrences) change() occurrenceChanges {
	return occurrenceChanges{o: o, added: map[int64]int64{}}
}

// commit makes the changes; newest is the newest event.
func (c *occurrenceChanges) commit(newest int64) {
	o := c.o
	o.drop(c.removed)
	o.drop(o.moving[:c.moved])
	o.moving = o.moving[c.moved:]
	for number, event := range c.added {
		o.fresh[number] = event
	}
	if len(o.moving) == 0 && len(o.fresh) >= occurrencesKept {
		o.move(newest)
	}
}

// known returns an event that memory has by its number.
func (c *occurrenceChanges) known(number int64) (event int64, ok bool) {
	if event, ok = c.added[number]; !ok {
		event, ok = c.o.fresh[number]
	}
	return event, ok
}

const (
	findOccurrenceHead   = `SELECT number, event_id FROM pombo_occurrence WHERE number IN (`
	findOccurrenceTail   = `)`
	insertOccurrenceHead = `INSERT INTO pombo_occurrence (number, event_id) VALUES `
	insertOccurrenceTail = ` ON CONFLICT (number) DO UPDATE SET event_id = excluded.event_id`
)

// occurrence is the number of an event, if no other has it.
func (s *Store) occurrence(e *pombo.Event) int64 {
	return s.digest(string(e.Instance), string(e.Name), e.Key)
}

// storedEvents returns the events in the table that have numbers already.
func (t *txn) storedEvents(ctx context.Context, numbers ...int64) (map[int64]int64, error) {
	stored := map[int64]int64{}
	args := make([]any, 0, len(numbers))
	for _, number := range numbers {
		if _, ok := t.occurrences.known(number); !ok {
			args = append(args, number)
		}
	}
	err := t.s.findOccurrence.chunks(len(args), func(from, to int, s statement) error {
		rows, err := s.query(ctx, t.Tx, args[from:to])
		if err != nil {
			return err
		}
		return scanOccurrences(rows, func(x occurrence) { stored[x.number] = x.event })
	})
	return stored, err
}

// scanOccurrences reports rows of numbers and events, and closes them.
func scanOccurrences(rows *sql.Rows, report func(occurrence)) error {
	defer rows.Close()
	for rows.Next() {
		var x occurrence
		if err := rows.Scan(&x.number, &x.event); err != nil {
			return err
		}
		report(x)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// moveOccurrences writes some of those that are on their way to the table, twice as many
// as were added: so they are there before the next ones go.
func (t *txn) moveOccurrences(ctx context.Context) error {
	c := &t.occurrences
	rest := c.o.moving[c.moved:]
	if len(rest) == 0 {
		return nil
	}
	if n := 2*len(c.added) + 16; len(rest) > n {
		rest = rest[:n]
	}
	c.moved += len(rest)
	args := make([]any, 0, 2*len(rest))
	for _, x := range rest {
		if c.o.fresh[x.number] == x.event && !slices.Contains(c.removed, x) {
			args = append(args, x.number, x.event)
		}
	}
	err := t.s.insertOccurrence.chunks(len(args)/2, func(from, to int, s statement) error {
		_, err := s.exec(ctx, t.Tx, args[2*from:2*to])
		return err
	})
	if err != nil || c.moved < len(c.o.moving) {
		return err
	}
	_, err = t.exec(ctx, `UPDATE pombo_meta SET value = $1 WHERE key = 'occurrences'`, strconv.FormatInt(c.o.through, 10))
	return err
}

// removeOccurrences forgets events that this transaction removed.
func (t *txn) removeOccurrences(ctx context.Context, gone []occurrence) error {
	if len(gone) == 0 {
		return nil
	}
	t.occurrences.removed = append(t.occurrences.removed, gone...)
	list := make([]int64, len(gone))
	for i, x := range gone {
		list[i] = x.number
	}
	_, err := t.exec(ctx, `DELETE FROM pombo_occurrence WHERE number IN (`+numbers(list)+`)`)
	return err
}

// recoverOccurrences reads the events that are not in the table of occurrences, or not
// all of them: those above the mark, which it returns.
func (t *txn) recoverOccurrences(ctx context.Context, o *occurrences) (mark int64, err error) {
	var text string
	if err := t.row(ctx, `SELECT value FROM pombo_meta WHERE key = 'occurrences'`).Scan(&text); err != nil {
		return 0, fmt.Errorf("reading which occurrences are in their table: %w", err)
	}
	if mark, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, fmt.Errorf("reading which occurrences are in their table: %w", err)
	}
	rows, err := t.QueryContext(ctx, t.s.dialect.form(`SELECT occurrence, id FROM pombo_event WHERE id > $1`), mark)
	if err != nil {
		return 0, err
	}
	o.fresh, o.moving = map[int64]int64{}, nil
	return mark, scanOccurrences(rows, func(x occurrence) { o.fresh[x.number] = x.event })
}
