package dispatch

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

func TestAWebhookSwitchedOffGetsNothingMore(t *testing.T) {
	var release chan int
	var rc *receiver
	rc = &receiver{t: t, answer: func(p posted, r *http.Request) int {
		if p.ID == 1 && rc.count(1) == 1 {
			return <-release
		}
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		release = make(chan int) // of this bubble
		b.d.SetWebhook(hook("w"))
		b.add("w", "a", "a")
		synctest.Wait()
		b.store.disable("w")
		off := hook("w")
		off.Enabled = false
		b.d.SetWebhook(off)
		b.add("w", "b") // announced, though it should not have been: it stays out
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{1}) {
			t.Fatalf("got %v while the webhook was off", got)
		}

		// Switched on again while the old flight is still in the air: its chat waits
		// for it, the others do not.
		b.store.disable("w")
		b.d.SetWebhook(hook("w"))
		b.add("w", "a", "b")
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{1, 5}) {
			t.Fatalf("got %v: want 1 and the other chat's 5", got)
		}
		release <- http.StatusInternalServerError
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{1, 5, 4}) {
			t.Errorf("got %v: want 4 after the flight, and no retry of it", got)
		}
		attempts := b.store.attempts()
		i := slices.IndexFunc(attempts, func(a pombo.Attempt) bool { return a.Delivery == 1 })
		if a := attempts[i]; a.State != pombo.Dead || a.Reason != pombo.Disabled || a.Status != 500 {
			t.Errorf("the flight ended as %s: %s", a.State, a.Reason)
		}
	})
}

func TestARemovedWebhookIsForgotten(t *testing.T) {
	var release chan int
	rc := &receiver{t: t, answer: func(posted, *http.Request) int { return <-release }}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		release = make(chan int)
		b.d.SetWebhook(hook("w"))
		b.add("w", "a", "b", "b")
		synctest.Wait()
		b.d.RemoveWebhook("w")
		b.store.disable("w")
		b.add("w", "c")
		release <- http.StatusOK
		release <- http.StatusInternalServerError
		synctest.Wait()
		if got := b.d.Stats(); len(got) != 0 {
			t.Errorf("the removed webhook is still known: %+v", got)
		}
		if got := len(rc.ids()); got != 2 {
			t.Errorf("%d requests: want the two that were in flight", got)
		}
		if n := b.d.usage.lanes.Load() + b.d.usage.bytes.Load(); n != 0 {
			t.Errorf("it still counts as using memory: %d", n)
		}
	})
}

func TestAChangedURLAppliesToWhatIsPending(t *testing.T) {
	rc := &receiver{t: t, answer: func(_ posted, r *http.Request) int {
		if r.URL.Path == "/wrong" {
			return http.StatusNotFound
		}
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		w := hook("w")
		w.URL = "http://receiver.test/wrong"
		b.d.SetWebhook(w)
		b.add("w", "a", "b", "a", "b")
		time.Sleep(30 * time.Hour)
		synctest.Wait()
		if d := b.store.row(1); d.State != pombo.Pending || d.Attempts < 10 {
			t.Fatalf("a delivery answered with 404 is %s after %d attempts", d.State, d.Attempts)
		}
		at := time.Now()
		b.d.SetWebhook(hook("w"))
		synctest.Wait()
		if n := b.store.pending(); n != 0 || !time.Now().Equal(at) {
			t.Errorf("%d are pending after the URL was put right", n)
		}
	})
}

func TestAnAnswerFromAnOldURLIsNotHeldAgainstTheEvent(t *testing.T) {
	var release chan int
	rc := &receiver{t: t, answer: func(_ posted, r *http.Request) int {
		if r.URL.Path == "/old" {
			return <-release
		}
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		release = make(chan int)
		w := hook("w")
		w.URL = "http://receiver.test/old"
		b.d.SetWebhook(w)
		b.add("w", "a")
		synctest.Wait()
		b.d.SetWebhook(hook("w"))
		release <- http.StatusBadRequest
		synctest.Wait()
		if d := b.store.row(1); d.State != pombo.Delivered || d.Attempts != 2 {
			t.Errorf("the delivery is %s (%s) after %d attempts", d.State, d.Reason, d.Attempts)
		}
	})
}

// A change that comes when an answer is judged, and its lane does not wait yet.
func TestAURLThatChangesWhileAnAnswerIsStored(t *testing.T) {
	for _, failures := range []int{0, 5} { // the sixth failure is one to compare
		rc := &receiver{t: t, answer: func(_ posted, r *http.Request) int {
			if r.URL.Path == "/old" {
				return http.StatusNotFound
			}
			return http.StatusOK
		}}
		onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
			w := hook("w")
			w.URL = "http://receiver.test/old"
			b.store.onSettle = func(a pombo.Attempt) {
				if a.Number > failures {
					b.d.SetWebhook(hook("w"))
				}
			}
			b.d.SetWebhook(w)
			b.add("w", "a")
			for b.store.row(1).Attempts <= failures {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if d := b.store.row(1); d.State != pombo.Delivered {
				t.Errorf("the delivery is %s after %d attempts", d.State, d.Attempts)
			}
		})
	}
}

func TestGoneIsTold(t *testing.T) {
	rc := &receiver{t: t, answer: func(posted, *http.Request) int { return http.StatusGone }}
	var b *bench
	var calls atomic.Int32
	o := Options{Gone: func(_ context.Context, w pombo.Webhook) {
		calls.Add(1)
		b.store.disable(w.ID)
		off := hook(w.ID)
		off.Enabled = false
		b.d.SetWebhook(off)
	}}
	onPipe(t, rc.ServeHTTP, o, func(bb *bench) {
		b = bb
		b.d.SetWebhook(hook("w"))
		b.add("w", "a", "a", "a")
		time.Sleep(time.Hour)
		synctest.Wait()
		if calls.Load() != 1 || len(rc.ids()) != 1 {
			t.Errorf("told %d times, %d requests: want 1 and 1", calls.Load(), len(rc.ids()))
		}
		if d := b.store.row(1); d.State != pombo.Dead || d.Reason != pombo.Disabled {
			t.Errorf("the delivery is %s: %s", d.State, d.Reason)
		}
	})
}

func TestAnEventThatCannotBeEncodedIsTriedAgain(t *testing.T) {
	rc := &receiver{t: t}
	var mended atomic.Bool
	o := Options{Encode: func(d pombo.Delivery, w pombo.Webhook) (string, Body, http.Header, error) {
		if !mended.Load() {
			return "", nil, nil, errors.New("no such instance")
		}
		return plain(d, w)
	}}
	onPipe(t, rc.ServeHTTP, o, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		synctest.Wait()
		if a := b.store.attempts()[0]; a.State != pombo.Pending || a.ErrorCode != codeEncode {
			t.Fatalf("the attempt is %+v", a)
		}
		mended.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := b.store.pending(); n != 0 {
			t.Errorf("%d are pending", n)
		}
	})
}

func TestHeaders(t *testing.T) {
	var mu sync.Mutex
	var got []http.Header
	var hosts []string
	h := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got, hosts = append(got, r.Header.Clone()), append(hosts, r.Host)
		if len(got) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	onPipe(t, h, Options{Policy: steady()}, func(b *bench) {
		w := hook("w")
		w.URL = "http://user:secret@receiver.test:81/x?key=hidden"
		w.Headers = map[string]string{"X-Own": "1", "host": "other.test", "Connection": "close", "webhook-id": "forged"}
		b.d.SetWebhook(w)
		b.add("w", "a")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if len(got) != 2 {
			t.Fatalf("%d requests", len(got))
		}
		first := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() // where synctest's clock begins
		for i, at := range []int64{first, first + 5} {
			for k, want := range map[string]string{
				"Content-Type": "application/json", "User-Agent": "Pombo/" + pombo.Version, "X-Own": "1",
				"Webhook-Id": "msg_1", "Webhook-Timestamp": strconv.FormatInt(at, 10),
				"Authorization": "Basic dXNlcjpzZWNyZXQ=", "Connection": "", "Accept-Encoding": "",
			} {
				if v := got[i].Get(k); v != want {
					t.Errorf("request %d: %s is %q: want %q", i, k, v, want)
				}
			}
			if hosts[i] != "other.test" {
				t.Errorf("request %d: the host is %q", i, hosts[i])
			}
		}
		for _, a := range b.store.attempts() {
			if strings.Contains(a.Error, "secret") || strings.Contains(a.Error, "hidden") {
				t.Errorf("the attempt tells a secret: %s", a.Error)
			}
		}
	})
}
