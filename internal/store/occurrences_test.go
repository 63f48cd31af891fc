package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pombo"
	"pombo/internal/store"
)

// An event is known again while memory has it, while it moves to the table of
// occurrences, and there; after a start, too. What was removed can come again.
func TestOccurrencesMove(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		var reported atomic.Int64
		var s *store.Store
		o := store.Options{URI: uri, OnAppend: func(ds []pombo.Delivery) { reported.Add(int64(len(ds))) }}
		s = open(t, o)
		i, w := hooked(t, s, "i")
		const half = store.OccurrencesKept + 1000
		again := func(when string, n int) {
			t.Helper()
			before := reported.Load()
			appendMany(t, s, i, n)
			if got := reported.Load() - before; got != 0 {
				t.Errorf("%s, %d of %d events are taken for new ones", when, got, n)
			}
		}
		appendMany(t, s, i, half)
		if n, _ := occurrences(t, s); n == 0 || n >= store.OccurrencesKept {
			t.Errorf("%d events are in the table of occurrences: the test is to see some of them move", n)
		}
		again("half-way", half)
		must(t, s.Close())
		s = open(t, o)
		again("after a start", half)
		appendMany(t, s, i, 2*half)
		if n, mark := occurrences(t, s); n < store.OccurrencesKept || mark < store.OccurrencesKept {
			t.Errorf("%d events are in the table, all up to %d: want %d at least", n, mark, store.OccurrencesKept)
		}
		again("after all have moved", 2*half)

		ds, err := s.Pending(within(t), w.ID, 0, 10)
		must(t, err)
		for _, d := range ds {
			must(t, s.Settle(within(t), pombo.Attempt{Delivery: d.ID, Number: 1, State: pombo.Delivered, Status: 200}))
		}
		must(t, s.Append(within(t), event(i, "0"))) // after the results
		removed, err := s.Expire(within(t), time.Now().Add(8*24*time.Hour))
		must(t, err)
		var left int
		must(t, s.Reads().QueryRowContext(t.Context(), s.Form(`SELECT COUNT(*) FROM pombo_occurrence WHERE event_id <= $1`), ds[len(ds)-1].Event.ID).Scan(&left))
		if removed != len(ds) || left > 0 {
			t.Errorf("%d deliveries are removed, want %d; of their events %d are in the table of occurrences", removed, len(ds), left)
		}
		seen := reported.Load()
		appendMany(t, s, i, len(ds))
		if got := int(reported.Load() - seen); got != len(ds) {
			t.Errorf("%d of %d events that were removed came again", got, len(ds))
		}
	})
}

// occurrences returns how many events are in the table, and the mark.
func occurrences(t *testing.T, s *store.Store) (n, mark int) {
	t.Helper()
	must(t, s.Reads().QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM pombo_occurrence),
		(SELECT CAST(value AS INTEGER) FROM pombo_meta WHERE key = 'occurrences')`).Scan(&n, &mark))
	return n, mark
}

// What memory knew of an event goes with the event, and its ID is not given out again.
func TestOccurrencesRemoved(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		i, w := hooked(t, s, "i")
		var last int64
		for _, restart := range []bool{false, true, false} {
			must(t, s.Append(within(t), event(i, "a")))
			ds, err := s.Pending(within(t), w.ID, 0, 10)
			must(t, err)
			if len(ds) != 1 || ds[0].Event.ID <= last {
				t.Fatalf("pending %+v: want one of an event above %d", ds, last)
			}
			last = ds[0].Event.ID
			must(t, s.Settle(within(t), pombo.Attempt{Delivery: ds[0].ID, Number: 1, State: pombo.Delivered, Status: 200}))
			must(t, s.Append(within(t), event(i, "a"))) // after the result
			n, err := s.Expire(within(t), time.Now().Add(8*24*time.Hour))
			must(t, err)
			if n != 1 {
				t.Fatalf("%d removed", n)
			}
			if restart {
				must(t, s.Close())
				s = open(t, store.Options{URI: uri})
			}
		}
	})
}

// A database of the version before the table of occurrences opens as it is, also if it was
// left by a crash: what its events promise is delivered, each is known again, and no ID is
// given out twice.
func TestUpgradeToOccurrences(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		ctx := within(t)
		old, err := store.OldDatabase(ctx, uri, 6)
		must(t, err)
		fillOld(ctx, t, old)
		must(t, old.Close())
		old, err = store.OldDatabase(ctx, uri, 8)
		must(t, err)
		promise(ctx, t, old)
		must(t, old.Close())

		var log strings.Builder
		s := open(t, store.Options{URI: uri, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if !strings.Contains(log.String(), "upgraded") {
			t.Errorf("the log does not tell why the start takes long: %q", log.String())
		}
		i := pombo.Instance{ID: "instance"}
		hooks, err := s.Webhooks(ctx)
		must(t, err)
		must(t, s.Append(ctx, event(i, "a"), event(i, "b"), event(i, "promised"), event(i, "new")))
		wantKeys(t, s, hooks[0], "MESSAGES_UPSERT b", "MESSAGES_UPSERT promised", "MESSAGES_UPSERT new")
		ds, err := s.Pending(ctx, hooks[0].ID, 0, 10)
		must(t, err)
		if ds[1].ID != 7 || ds[2].ID <= 7 || ds[2].Event.ID <= 5 { // event 5 was removed
			t.Errorf("the promised delivery is %d, the new one %d, of event %d", ds[1].ID, ds[2].ID, ds[2].Event.ID)
		}
		if err := s.Do(ctx, `UPDATE pombo_delivery SET event_id = 99 WHERE id = 2`); err == nil {
			t.Error("a delivery can be of an event that does not exist")
		}
	})
}

// promise adds an event whose delivery has no row yet, and one that is removed.
func promise(ctx context.Context, t *testing.T, db *sql.DB) {
	t.Helper()
	const insert = `INSERT INTO pombo_event (occurrence, instance_id, name, key, chat, chat_digest, sender, time, data, created_at, targets) VALUES `
	for _, query := range []string{
		fmt.Sprintf(insert+`(%d, 'instance', 'MESSAGES_UPSERT', 'promised', 'c', 0, '', 0, '{"n":4}', 0, '7 hook')`,
			store.Digest("instance", "MESSAGES_UPSERT", "promised")),
		insert + `(1, 'instance', 'MESSAGES_UPSERT', 'removed', 'c', 0, '', 0, '{"n":5}', 0, '')`,
		`DELETE FROM pombo_event WHERE key = 'removed'`,
	} {
		_, err := db.ExecContext(ctx, query)
		must(t, err)
	}
}

// The events of a rare chat are found among those of others.
func TestChatAmongOthers(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		i, _ := hooked(t, s, "i")
		var want []string
		for _, key := range []string{"first", "middle", "last"} {
			rare := event(i, key)
			rare.Chat = "rare"
			must(t, s.Append(within(t), rare))
			want = append([]string{key}, want...)
			for n := range 20 {
				var others []pombo.Event
				for k := range 100 {
					others = append(others, event(i, key+strconv.Itoa(100*n+k)))
				}
				must(t, s.Append(within(t), others...))
			}
		}
		ds, err := s.Deliveries(within(t), pombo.DeliveryQuery{Instance: i.ID, Chat: "rare", Limit: 10})
		must(t, err)
		var got []string
		for _, d := range ds {
			got = append(got, d.Event.Key)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("listed: %q, want %q", got, want)
		}
	})
}

// It looks into each block of an index, and reads no table as a whole.
func TestChatPlan(t *testing.T) {
	s := open(t, store.Options{URI: newFile(t)})
	rows, err := s.Reads().QueryContext(t.Context(), s.Form("EXPLAIN QUERY PLAN "+s.EventsOfChat()), "i", "chat", 1)
	must(t, err)
	defer rows.Close()
	blocks := false
	for rows.Next() {
		var id, parent, unused int
		var detail string
		must(t, rows.Scan(&id, &parent, &unused, &detail))
		blocks = blocks || strings.Contains(detail, "USING INDEX pombo_event_chat (<expr>=? AND chat_digest=?)")
		if strings.HasPrefix(detail, "SCAN e") || strings.HasPrefix(detail, "SCAN pombo_event") {
			t.Errorf("%s", detail)
		}
	}
	must(t, rows.Err())
	if !blocks {
		t.Error("the index of chats is not used")
	}
}
