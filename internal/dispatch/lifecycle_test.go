package dispatch

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

func TestTheEndWaitsForFlightsWithinItsGrace(t *testing.T) {
	var slow atomic.Bool
	slow.Store(true)
	rc := &receiver{t: t, answer: func(p posted, r *http.Request) int {
		if p.Chat == "quick" {
			time.Sleep(5 * time.Second)
		} else if slow.Load() {
			<-r.Context().Done()
		}
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "quick", "stuck", "quick", "stuck")
		synctest.Wait()
		at := time.Now()
		b.stop()
		if took := time.Since(at); took != 10*time.Second {
			t.Errorf("the end took %s: want the grace of 10 s", took)
		}
		if d := b.store.row(1); d.State != pombo.Delivered {
			t.Errorf("the flight that ended in time is %s", d.State)
		}
		if d := b.store.row(2); d.State != pombo.Pending || d.Attempts != 1 {
			t.Errorf("the flight that was cut is %s after %d attempts", d.State, d.Attempts)
		}
		if a := b.store.attempts(); len(a) != 2 || a[1].ErrorCode != codeStopped {
			t.Errorf("the attempts are %+v", a)
		}
		if got := rc.ids(); len(got) != 2 {
			t.Errorf("%v were sent: want nothing new after the end began", got)
		}
		b.d.Notify(b.store.add("w", "late"))
		b.d.SetWebhook(hook("other"))

		slow.Store(false)
		b.start(Options{})
		b.d.SetWebhook(hook("w"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := b.store.pending(); n != 0 {
			t.Errorf("%d are pending after the next start", n)
		}
	})
}

func TestTheEndDoesNotWaitForADeadStore(t *testing.T) {
	rc := &receiver{t: t}
	var log strings.Builder
	o := Options{Logger: testLogger(&log)}
	onPipe(t, rc.ServeHTTP, o, func(b *bench) {
		b.store.fault = func(op string) error {
			if op == "settle" {
				return errors.New("disk full")
			}
			return nil
		}
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		synctest.Wait()
		at := time.Now()
		b.stop()
		if took := time.Since(at); took != 15*time.Second {
			t.Errorf("the end took %s: want 10 s and 5 s more for the store", took)
		}
		if d := b.store.row(1); d.State != pombo.Pending {
			t.Errorf("the delivery is %s", d.State)
		}
		if !strings.Contains(log.String(), "delivered again") {
			t.Errorf("the log does not say what becomes of the result: %s", log.String())
		}
	})
}

func TestAResultThatTheStoreCallsInvalidBlocksNothing(t *testing.T) {
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		n := 0
		b.store.fault = func(op string) error {
			if op != "settle" {
				return nil
			}
			if n++; n == 1 {
				return pombo.Errorf(pombo.Invalid, "not a result")
			}
			return nil
		}
		b.d.SetWebhook(hook("w"))
		b.add("w", "a", "a")
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{1, 2}) || b.store.row(1).State != pombo.Pending {
			t.Errorf("got %v, and delivery 1 is %s", got, b.store.row(1).State)
		}
	})
}

func TestRunOnlyOnce(t *testing.T) {
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		synctest.Wait()
		if err := b.d.Run(t.Context()); err == nil {
			t.Error("a second Run did not mind")
		}
	})
}

func TestAReadFromBeforeASwitchOffIsDropped(t *testing.T) {
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		// The scan takes its snapshot, and is late with it. It comes after the read of
		// what is parked.
		var once sync.Once
		read, release := make(chan struct{}), make(chan struct{})
		calls := 0
		b.store.slow = func() {
			if calls++; calls == 4 {
				once.Do(func() { close(read); <-release })
			}
		}
		b.store.add("w", "a", "b")
		b.d.SetWebhook(hook("w"))
		<-read
		off := hook("w")
		off.Enabled = false
		b.store.disable("w")
		b.d.SetWebhook(off)
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		close(release)
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{3}) {
			t.Errorf("got %v: want what came after the webhook was switched on again", got)
		}
	})
}

func TestAFlightThatFailsWhileItsWebhookIsSwitchedOffHoldsNothingUp(t *testing.T) {
	rc := &receiver{t: t, answer: func(p posted, _ *http.Request) int {
		if p.ID == 1 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		// Switched off and on again while the store is taking the result.
		n := 0
		b.store.fault = func(op string) error {
			if op == "settle" {
				if n++; n == 1 {
					return errors.New("busy")
				}
			}
			return nil
		}
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		synctest.Wait()
		off := hook("w")
		off.Enabled = false
		b.store.disable("w")
		b.d.SetWebhook(off)
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		time.Sleep(time.Second)
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{1, 2}) {
			t.Errorf("got %v: want 2 as soon as the flight is over", got)
		}
	})
}

func TestTheLogNamesAFailingWebhookOnceAndNoSecret(t *testing.T) {
	var healthy atomic.Bool
	rc := &receiver{t: t, answer: func(p posted, _ *http.Request) int {
		if p.ID == 3 {
			return http.StatusBadRequest
		}
		if healthy.Load() {
			return http.StatusOK
		}
		return http.StatusUnauthorized
	}}
	var log strings.Builder
	onPipe(t, rc.ServeHTTP, Options{Logger: testLogger(&log)}, func(b *bench) {
		w := hook("w")
		w.URL, w.Headers = "http://user:password@receiver.test/?token=hidden", map[string]string{"Authorization": "Bearer hidden"}
		b.d.SetWebhook(w)
		b.add("w", "a", "b")
		time.Sleep(5 * time.Minute)
		healthy.Store(true)
		time.Sleep(time.Hour)
		b.add("w", "c")
		synctest.Wait()
		s := b.d.Stats()[0]
		if !s.Enabled || s.Delivered != 2 || s.Failed < 10 || s.Failures != 1 || s.LastSuccess.IsZero() || s.Behind || s.Lanes != 0 {
			t.Errorf("the figures are %+v", s)
		}
	})
	got := log.String()
	for text, want := range map[string]int{"webhook fails": 1, "takes events again": 1, "given up": 1, "hidden": 0, "password": 0} {
		if n := strings.Count(got, text); n != want {
			t.Errorf("the log says %q %d times: want %d\n%s", text, n, want, got)
		}
	}
}
