package dispatch

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// poison answers 500 to the deliveries named, and 200 to all others.
func poison(ids ...int64) func(posted, *http.Request) int {
	return func(p posted, _ *http.Request) int {
		if slices.Contains(ids, p.ID) {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}
}

// One bad event in the only chat that is busy does not stop it.
func TestABadEventIsParkedAfterFiveTries(t *testing.T) {
	rc := &receiver{t: t, answer: poison(1)}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "a", "a", "a")
		time.Sleep(75*time.Second - time.Millisecond) // 5 + 10 + 20 + 40
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{1, 1, 1, 1}) {
			t.Fatalf("got %v before the fifth try: want the first alone", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{1, 1, 1, 1, 1, 2, 3}) {
			t.Fatalf("got %v after the fifth try: want the others behind it", got)
		}
		if d := b.store.row(1); !d.Parked || d.State != pombo.Pending || d.Attempts != 5 {
			t.Fatalf("the bad one is %+v: want it parked", d)
		}
		b.add("w", "a", "b")
		synctest.Wait()
		if rc.count(4) != 1 || rc.count(5) != 1 {
			t.Errorf("then came %v: want what is new, at once", rc.ids()[7:])
		}
		s := b.d.Stats()[0]
		if s.Parked != 1 || s.Lanes != 0 || s.Circuit != Closed || s.Opened != 0 {
			t.Errorf("the figures are %+v", s)
		}
		time.Sleep(80 * time.Second) // it goes on by itself
		synctest.Wait()
		if n := rc.count(1); n != 6 {
			t.Errorf("the parked one was tried %d times: want 6", n)
		}
		rc.mu.Lock()
		rc.answer = nil
		rc.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if b.store.pending() != 0 {
			t.Errorf("%d are pending", b.store.pending())
		}
		if s := b.d.Stats()[0]; s.Parked != 0 {
			t.Errorf("%d are still known as parked", s.Parked)
		}
	})
}

// A bad event is parked by what another chat shows, too; and several of them in
// a row do not hold their chat up for good.
func TestSeveralBadEventsInARow(t *testing.T) {
	for name, chats := range map[string][]string{
		"one chat":  {"a", "a", "a", "a", "a", "a"},
		"two chats": {"a", "a", "a", "b", "b", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			rc := &receiver{t: t, answer: poison(1, 2, 3, 4)}
			onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
				b.d.SetWebhook(hook("w"))
				b.add("w", chats...)
				time.Sleep(3 * time.Hour)
				b.add("w", "a") // what shows that it is not the endpoint
				synctest.Wait()
				for id := int64(1); id <= 4; id++ {
					if d := b.store.row(id); !d.Parked || d.Attempts < suspectAfter {
						t.Errorf("delivery %d is parked: %v, after %d tries", id, d.Parked, d.Attempts)
					}
				}
				for id := int64(5); id <= 7; id++ {
					if d := b.store.row(id); d.State != pombo.Delivered || rc.count(id) != 1 {
						t.Errorf("delivery %d is %s, came %d times", id, d.State, rc.count(id))
					}
				}
				if s := b.d.Stats()[0]; s.Circuit != Closed {
					t.Errorf("the circuit is %s", s.Circuit)
				}
			})
		})
	}
}

// A bad event that waits alone is compared as soon as there is another.
func TestTheNextEventOfAChatNeedNotWaitForTheRetry(t *testing.T) {
	rc := &receiver{t: t, answer: poison(1)}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		time.Sleep(10 * time.Minute)
		if s := b.d.Stats()[0]; s.Parked != 0 {
			t.Fatal("it was parked though nothing showed that the endpoint is healthy")
		}
		b.add("w", "a")
		synctest.Wait()
		if d := b.store.row(2); d.State != pombo.Delivered || !b.store.row(1).Parked {
			t.Errorf("the next event is %s", d.State)
		}
	})
}

// When the whole endpoint fails, nothing is parked and order holds, however the
// failure looks; and one probe at a time is all it gets.
func TestAnOutageParksNothing(t *testing.T) {
	var up atomic.Bool
	var flying, most atomic.Int32
	rc := &receiver{t: t, answer: func(posted, *http.Request) int {
		if up.Load() {
			return http.StatusOK
		}
		most.Store(max(most.Load(), flying.Add(1)))
		time.Sleep(time.Second)
		flying.Add(-1)
		return http.StatusBadGateway
	}}
	var log strings.Builder
	var reports []Report
	o := Options{Policy: steady(), Logger: testLogger(&log), Report: func(r Report) { reports = append(reports, r) }}
	onPipe(t, rc.ServeHTTP, o, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		for range 40 {
			b.add("w", "a", "b", "a", "c", "a")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		most.Store(0)
		before := len(rc.ids())
		s := b.d.Stats()[0]
		if s.Circuit != Open || s.Since.IsZero() || s.NextProbe.Before(time.Now()) || s.Loaded != 0 {
			t.Errorf("in the outage the figures are %+v", s)
		}
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		if n := len(rc.ids()) - before; n < 115 || n > 260 || most.Load() != 1 {
			t.Errorf("%d requests in ten hours, %d at a time: want one or two every five minutes", n, most.Load())
		}
		for id := int64(1); id <= 200; id++ {
			if d := b.store.row(id); d.Parked || d.State != pombo.Pending {
				t.Fatalf("delivery %d is %s, parked: %v", id, d.State, d.Parked)
			}
		}
		down := len(rc.ids())
		up.Store(true)
		time.Sleep(maxProbePause)
		synctest.Wait()
		if n := b.store.pending(); n != 0 {
			t.Fatalf("%d are pending after the outage", n)
		}
		last := map[string]int64{}
		for _, id := range rc.ids()[down:] {
			chat := b.store.row(id).Event.Chat
			if id <= last[chat] {
				t.Errorf("chat %s: %d came after %d", chat, id, last[chat])
			}
			last[chat] = id
		}
		if s := b.d.Stats()[0]; s.Circuit != Closed || s.Opened != 1 || s.Lanes != 0 {
			t.Errorf("after the outage the figures are %+v", s)
		}
	})
	for text, want := range map[string]int{"keeps failing": 1, "answers again": 1} {
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("the log says %q %d times", text, n)
		}
	}
	if len(reports) != 2 || reports[0].Kind != CircuitOpened || reports[0].Failures != tripAfter || reports[1].Kind != CircuitClosed {
		t.Errorf("reported %+v", reports)
	}
}

// After a restart in an outage, one event is tried first; what was parked stays
// parked, and is tried by itself.
func TestCircuitAndParkingOverARestart(t *testing.T) {
	var up atomic.Bool
	rc := &receiver{t: t, answer: func(p posted, _ *http.Request) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	}}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.stop()
		b.store.add("w", "a", "a", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r")
		parked, tried := &b.store.rows[0], &b.store.rows[1]
		parked.Parked, parked.Attempts, parked.NextAttempt = true, 7, time.Now().Add(20*time.Minute)
		tried.Attempts, tried.NextAttempt = 6, time.Now().Add(3*time.Minute)
		b.start(Options{Policy: steady()})
		b.d.SetWebhook(hook("w"))
		synctest.Wait()
		if got := rc.ids(); len(got) != 2 || got[0] != 2 {
			t.Errorf("%v came at the start: want 2, and one to compare it with", got)
		}
		if s := b.d.Stats()[0]; s.Circuit != Open || s.Parked != 1 {
			t.Errorf("after the start the figures are %+v", s)
		}
		up.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := b.store.pending(); n != 1 || rc.count(1) != 0 {
			t.Errorf("%d are pending, and the parked one came %d times: want it to wait for its time", n, rc.count(1))
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if d := b.store.row(1); d.State != pombo.Delivered || d.Attempts != 8 {
			t.Errorf("the parked one is %s after %d attempts", d.State, d.Attempts)
		}
	})
}

// What was tried before its replay counts neither against the event nor against its
// endpoint.
func TestAReplayBeginsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		chats []string
		bad   int64 // the other one was replayed
	}{
		"in the same chat":               {[]string{"a", "a"}, 1},
		"in another chat":                {[]string{"a", "b"}, 1},
		"in another chat, and the older": {[]string{"a", "b"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			rc := &receiver{t: t, answer: poison(c.bad)}
			onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
				b.stop()
				b.store.add("w", c.chats...)
				other := &b.store.rows[2-c.bad]
				other.Attempts, other.AttemptsBefore, other.ReplayedAt = 8, 7, other.CreatedAt
				other.NextAttempt = time.Now().Add(time.Hour)
				b.start(Options{Policy: steady()})
				b.d.SetWebhook(hook("w"))
				synctest.Wait()
				if s := b.d.Stats()[0]; s.Circuit != Closed {
					t.Errorf("after one failure in this round, the circuit is %s", s.Circuit)
				}
				time.Sleep(80 * time.Second)
				synctest.Wait()
				if d := b.store.row(c.bad); d.Attempts != suspectAfter || !d.Parked {
					t.Errorf("after %d attempts the bad one is %s, parked: %t", d.Attempts, d.State, d.Parked)
				}
				if d := b.store.row(3 - c.bad); d.State != pombo.Delivered {
					t.Errorf("the other one is %s", d.State)
				}
			})
		})
	}
}

// More parked deliveries than are kept in memory are all tried again.
func TestManyParkedDeliveries(t *testing.T) {
	const n = 2*1024 + 100
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.stop()
		chats := make([]string, n)
		b.store.add("w", chats...)
		for i := range b.store.rows {
			d := &b.store.rows[i]
			d.Parked, d.Attempts, d.NextAttempt = true, 6, time.Now().Add(time.Duration(n-i)*time.Second)
		}
		b.start(Options{Policy: steady()})
		b.d.SetWebhook(hook("w"))
		time.Sleep(n / 2 * time.Second)
		synctest.Wait()
		if got := b.store.pending(); got < n/2-1 || got > n/2+1 {
			t.Errorf("%d of %d are pending when half of them were due", got, n)
		}
		b.add("w", "a")
		synctest.Wait()
		if d := b.store.row(n + 1); d.State != pombo.Delivered {
			t.Errorf("a new event is %s", d.State)
		}
		time.Sleep(n * time.Second)
		synctest.Wait()
		if got := len(rc.ids()); got != n+1 || b.store.pending() != 0 {
			t.Errorf("%d requests, %d pending: want each once", got, b.store.pending())
		}
	})
}

// Of more parked deliveries than are kept in memory, each gets its turn, however
// long the others go on failing.
func TestManyParkedDeliveriesThatFail(t *testing.T) {
	const n = 2*1024 + 100
	rc := &receiver{t: t, answer: func(posted, *http.Request) int { return http.StatusInternalServerError }}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.stop()
		b.store.add("w", make([]string, n)...)
		for i := range b.store.rows {
			d := &b.store.rows[i]
			d.Parked, d.Attempts, d.NextAttempt = true, 12, time.Now().Add(time.Duration(i)*time.Second)
		}
		b.start(Options{Policy: steady()})
		b.d.SetWebhook(hook("w"))
		time.Sleep(n*time.Second + 2*time.Hour) // an hour between two tries
		synctest.Wait()
		for id := int64(1); id <= n; id++ {
			if got, want := rc.count(id), int((n*time.Second+2*time.Hour-time.Duration(id)*time.Second)/time.Hour)+1; got < want-1 || got > want {
				t.Fatalf("%d was tried %d times: want %d", id, got, want)
			}
		}
		if s := b.d.Stats()[0]; s.Parked > 1024 || !s.Behind {
			t.Errorf("the figures are %+v", s)
		}
	})
}

// A new address is tried with all that waits, also with what is not in memory.
func TestANewAddressHurriesEverything(t *testing.T) {
	const parked, chats = 2*1024 + 100, 300
	rc := &receiver{t: t}
	o := Options{Policy: steady()}
	onPipe(t, rc.ServeHTTP, o, func(b *bench) {
		b.stop()
		b.store.add("w", make([]string, parked)...)
		for i := range chats {
			b.store.add("w", strconv.Itoa(i), strconv.Itoa(i))
		}
		late := time.Now().Add(50 * time.Minute)
		for i := range b.store.rows {
			d := &b.store.rows[i]
			if d.Parked = i < parked; d.Parked || (i-parked)%2 == 0 {
				d.Attempts, d.NextAttempt = 4, late
			}
		}
		b.bounds = new(bounds)
		*b.bounds = standardBounds
		b.bounds.laneFloor, b.bounds.laneLimit = 8, 8
		failed := false
		b.store.fault = func(op string) error {
			if op == "hurry" && !failed {
				failed = true
				return errors.New("not now")
			}
			return nil
		}
		b.start(o)
		b.d.SetWebhook(hook("w"))
		synctest.Wait()
		if got := len(rc.ids()); got != 0 {
			t.Fatalf("%d came before their time", got)
		}
		w := hook("w")
		w.URL += "/other"
		b.d.SetWebhook(w)
		time.Sleep(minPause) // for the store
		synctest.Wait()
		if got := b.store.pending(); got != 0 || !failed {
			t.Errorf("%d are pending", got)
		}
	})
}

// A clock that was wrong puts off what is parked once, and not once for each page
// that is read.
func TestParkedDeliveriesOfTheFuture(t *testing.T) {
	const n = 300
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.stop()
		b.store.add("w", make([]string, n)...)
		for i := range b.store.rows {
			d := &b.store.rows[i]
			d.Parked, d.Attempts, d.NextAttempt = true, 6, time.Now().AddDate(20, 0, i)
		}
		b.start(Options{Policy: steady()})
		b.d.SetWebhook(hook("w"))
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if got := len(rc.ids()); got != 0 {
			t.Errorf("%d came before their time", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := b.store.pending(); got != 0 {
			t.Errorf("%d of %d are pending", got, n)
		}
	})
}
