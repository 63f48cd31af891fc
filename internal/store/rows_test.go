package store_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
	"pombo/internal/store"
)

// How many rows of deliveries there are: nobody is asked to write those that wait.
func countRows(t *testing.T, s *store.Store, state string) (n int) {
	t.Helper()
	must(t, s.Reads().QueryRowContext(t.Context(), s.Form(`SELECT COUNT(*) FROM pombo_delivery WHERE state = $1`), state).Scan(&n))
	return n
}

// A delivery that is made at once never has a row that says pending; one that is not gets
// it after a second, or as soon as there is something to tell.
func TestRowsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fresh []pombo.Delivery
		s := open(t, store.Options{URI: newFile(t), OnAppend: func(ds []pombo.Delivery) { fresh = append(fresh, ds...) }})
		i, _ := hooked(t, s, "i")
		must(t, s.Append(t.Context(), event(i, "made"), event(i, "tried"), event(i, "waits")))
		rows := func(when string, pending, delivered int) {
			t.Helper()
			if p, d := countRows(t, s, "pending"), countRows(t, s, "delivered"); p != pending || d != delivered {
				t.Errorf("%s there are %d rows that are pending and %d that are delivered; want %d and %d", when, p, d, pending, delivered)
			}
		}
		rows("at first", 0, 0)
		must(t, s.Settle(t.Context(),
			pombo.Attempt{Delivery: fresh[0].ID, Number: 1, State: pombo.Delivered, Status: 200},
			pombo.Attempt{Delivery: fresh[1].ID, Number: 1, State: pombo.Pending, Status: 500, NextAttempt: time.Now().Add(time.Minute)}))
		<-time.After(store.UnwrittenAge - time.Millisecond)
		synctest.Wait()
		rows("after the attempts", 1, 1)
		<-time.After(2 * time.Millisecond)
		synctest.Wait()
		rows("after a second", 2, 1)
	})
}

// The rows of more deliveries than memory should have to do with come with their events.
func TestRowsBounded(t *testing.T) {
	s := open(t, store.Options{URI: newFile(t)})
	i, w := hooked(t, s, "i")
	const more = 100
	appendMany(t, s, i, store.UnwrittenMost+more)
	if n := countRows(t, s, "pending"); n < more {
		t.Errorf("%d rows are written, want at least %d", n, more)
	}
	n, err := s.CountPending(t.Context(), w.ID, 100_000)
	must(t, err)
	if n != store.UnwrittenMost+more {
		t.Errorf("%d pending, want %d", n, store.UnwrittenMost+more)
	}
}

// The mark follows, so that a start after a crash has few events to look at.
func TestRowsMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Options{URI: newFile(t)})
		i, _ := hooked(t, s, "i")
		appendMany(t, s, i, store.MarkStep+100)
		<-time.After(2 * store.UnwrittenAge)
		synctest.Wait()
		var mark int
		must(t, s.Reads().QueryRowContext(t.Context(), `SELECT CAST(value AS INTEGER) FROM pombo_meta WHERE key = 'rows'`).Scan(&mark))
		if mark < store.MarkStep {
			t.Errorf("the mark is %d after %d events", mark, store.MarkStep+100)
		}
	})
}

func appendMany(t *testing.T, s *store.Store, i pombo.Instance, n int) {
	t.Helper()
	var events []pombo.Event
	for k := range n {
		if events = append(events, event(i, strconv.Itoa(k))); len(events) == 500 || k == n-1 {
			must(t, s.Append(t.Context(), events...))
			events = nil
		}
	}
}
