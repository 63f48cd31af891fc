package dispatch

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// replay makes rows pending again, as the store does.
func (s *memoryStore) replay(ids ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		d := &s.rows[id-1]
		d.State, d.Reason, d.NextAttempt, d.ReplayedAt, d.AttemptsBefore = pombo.Pending, "", time.Time{}, time.Now().Round(0), d.Attempts
		d.Parked = false
		for _, x := range s.indexes(d) {
			x.put(id)
		}
	}
}

// What is replayed is posted again in its old order, between what was pending
// already, once what is in flight has ended; and nothing is posted twice.
func TestReloadKeepsTheOrder(t *testing.T) {
	var release chan int
	rc := &receiver{t: t, answer: func(p posted, r *http.Request) int {
		if p.ID == 5 {
			return <-release
		}
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		release = make(chan int) // of this bubble
		b.d.SetWebhook(hook("w"))
		b.add("w", "a", "b", "a", "b")
		synctest.Wait()
		b.add("w", "a", "a", "b")
		synctest.Wait()
		b.store.replay(1, 3, 2)
		b.d.Reload("w")
		b.d.Reload("unknown")
		b.add("w", "b") // waits with the others
		synctest.Wait()
		if got := rc.ids(); len(got) != 6 {
			t.Fatalf("got %v while one was in flight", got)
		}
		release <- http.StatusOK
		synctest.Wait()
		again := rc.ids()[6:]
		a := slices.DeleteFunc(slices.Clone(again), func(id int64) bool { return id == 2 || id == 8 })
		if !slices.Equal(a, []int64{1, 3, 6}) || len(again) != 5 || slices.Index(again, 2) > slices.Index(again, 8) {
			t.Errorf("after the replay came %v", again)
		}
		if n := b.store.pending(); n != 0 {
			t.Errorf("%d are still pending", n)
		}
	})
}

// The horizon and the pauses of a delivery that is replayed begin anew.
func TestReplayedDeliveryIsNew(t *testing.T) {
	rc := &receiver{t: t, answer: func(posted, *http.Request) int { return http.StatusServiceUnavailable }}
	p := steady()
	p.Horizon = time.Hour
	onPipe(t, rc.ServeHTTP, Options{Policy: p}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		dead := b.store.row(1)
		if dead.State != pombo.Dead || dead.Reason != pombo.Exhausted {
			t.Fatalf("after the horizon it is %+v", dead)
		}
		b.store.replay(1)
		b.d.Reload("w")
		synctest.Wait()
		tried := b.store.row(1)
		if tried.State != pombo.Pending || tried.Attempts != dead.Attempts+1 || time.Until(tried.NextAttempt) > p.InitialDelay {
			t.Errorf("after its replay it is %+v, next in %v", tried, time.Until(tried.NextAttempt))
		}
	})
}

// A ping posts a delivery that is stored nowhere, and says what came of it.
func TestPing(t *testing.T) {
	rc := &receiver{t: t, answer: func(posted, *http.Request) int { return http.StatusTeapot }}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		sample := pombo.Delivery{MessageID: "test_1", Event: pombo.Event{Data: []byte(`{"id":9}`)}}
		off := hook("w")
		off.Enabled, off.URL = false, "http://user:secret@receiver.test/w?token=x"
		a, url := b.d.Ping(b.t.Context(), sample, off)
		if a.Status != http.StatusTeapot || a.ErrorCode != codeStatus || url != "http://receiver.test/w" || len(b.store.attempts()) != 0 {
			t.Errorf("pinged %s: %+v", url, a)
		}
		off.URL = "http://[::1"
		if a, url := b.d.Ping(b.t.Context(), sample, off); a.ErrorCode != codeURL || url != "" || strings.Contains(a.Error, "secret") {
			t.Errorf("pinged %q: %+v", url, a)
		}
	})
}
