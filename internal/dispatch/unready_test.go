package dispatch

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// unready is an Encoder for which the deliveries of one chat are not ready.
type unready struct {
	mu    sync.Mutex
	chat  string
	until time.Duration
	asked int
	// during is called while such a delivery is put together.
	during func()
}

func (u *unready) encode(d pombo.Delivery, w pombo.Webhook) (string, Body, http.Header, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d.Event.Chat != u.chat {
		return plain(d, w)
	}
	u.asked++
	if u.during != nil {
		u.during()
	}
	return "", nil, nil, &NotReady{Until: time.Now().Add(u.until)}
}

func (u *unready) change(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f()
}

func TestWhatIsNotReadyWaitsAlone(t *testing.T) {
	rc := &receiver{t: t}
	u := &unready{chat: "slow", until: time.Minute}
	onPipe(t, rc.ServeHTTP, Options{Encode: u.encode}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		slow := b.add("w", "slow", "slow")
		for range 40 { // more than there are workers
			b.add("w", "a", "b")
		}
		synctest.Wait()
		if n := b.store.pending(); n != 2 {
			t.Fatalf("%d are pending, want those that are not ready", n)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if u.asked != 1 || b.store.row(slow[0].ID).Attempts != 0 {
			t.Fatalf("put together %d times, %d attempts", u.asked, b.store.row(slow[0].ID).Attempts)
		}
		u.change(func() { u.chat = "" })
		time.Sleep(time.Second)
		synctest.Wait()
		ids := rc.ids()
		if b.store.pending() != 0 || !slices.Equal(ids[len(ids)-2:], []int64{slow[0].ID, slow[1].ID}) {
			t.Errorf("posted %v", ids[len(ids)-2:])
		}
		for _, a := range b.store.attempts() {
			if a.Number != 1 || a.State != pombo.Delivered {
				t.Errorf("attempt %+v", a)
			}
		}
	})
}

func TestHurry(t *testing.T) {
	rc := &receiver{t: t}
	u := &unready{chat: "slow", until: time.Hour}
	onPipe(t, rc.ServeHTTP, Options{Encode: u.encode}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		lane := b.add("w", "slow")[0].Lane()
		synctest.Wait()
		b.d.Hurry(pombo.Lane{Instance: lane.Instance, Chat: "other"})
		b.d.Hurry(lane) // for nothing
		synctest.Wait()
		if u.asked != 2 || len(rc.ids()) != 0 {
			t.Fatalf("put together %d times, posted %v", u.asked, rc.ids())
		}
		u.change(func() { u.chat = "" })
		b.d.Hurry(lane)
		synctest.Wait()
		if b.store.pending() != 0 {
			t.Error("it still waits")
		}
	})
}

// What becomes ready while it is put together does not wait.
func TestHurryMeanwhile(t *testing.T) {
	rc := &receiver{t: t}
	u := &unready{chat: "slow", until: time.Hour}
	onPipe(t, rc.ServeHTTP, Options{Encode: u.encode}, func(b *bench) {
		u.during = func() {
			u.chat = ""
			b.d.Hurry(pombo.Lane{})
		}
		b.d.SetWebhook(hook("w"))
		b.add("w", "slow")
		synctest.Wait()
		if b.store.pending() != 0 {
			t.Error("it waits")
		}
	})
}

// Hurry is no reason to try what has failed.
func TestHurryLeavesRetriesAlone(t *testing.T) {
	rc := &receiver{t: t, answer: func(posted, *http.Request) int { return 503 }}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		lane := b.add("w", "a")[0].Lane()
		synctest.Wait()
		b.d.Hurry(lane)
		synctest.Wait()
		if n := len(rc.ids()); n != 1 {
			t.Errorf("%d attempts", n)
		}
	})
}

// While a circuit is open, a chat that is not ready is no probe, and is asked no more
// often than otherwise.
func TestUnreadyBehindAnOpenCircuit(t *testing.T) {
	var up bool
	rc := &receiver{t: t}
	rc.answer = func(posted, *http.Request) int {
		if up {
			return 200
		}
		return 503
	}
	u := &unready{until: time.Minute}
	onPipe(t, rc.ServeHTTP, Options{Encode: u.encode, Policy: steady()}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		lane := b.add("w", "slow")[0].Lane()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		failed := len(rc.ids())
		if failed < tripAfter {
			t.Fatalf("it failed only %d times", failed)
		}
		u.change(func() { u.chat = "slow" })
		time.Sleep(time.Hour)
		synctest.Wait()
		if u.asked < 30 || u.asked > 61 {
			t.Errorf("it was put together %d times in an hour", u.asked)
		}
		up = true
		b.add("w", "other") // the probe
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := b.store.pending(); n != 1 {
			t.Fatalf("%d are pending", n)
		}
		u.change(func() { u.chat = "" })
		b.d.Hurry(lane)
		synctest.Wait()
		if n := b.store.pending(); n != 0 || len(rc.ids()) != failed+2 {
			t.Errorf("%d are pending after %d attempts", n, len(rc.ids())-failed)
		}
	})
}

// stream is a body that is not in memory.
type stream string

func (s stream) Size() int64                  { return int64(len(s)) }
func (s stream) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(s))), nil }

// A body that is read from somewhere is sent whole, with its length, each time.
func TestStreamedBody(t *testing.T) {
	var lengths []int64
	rc := &receiver{t: t}
	rc.answer = func(_ posted, r *http.Request) int {
		lengths = append(lengths, r.ContentLength)
		if len(lengths) == 1 {
			return 503
		}
		return 200
	}
	text := `{"id":1,"file":"` + strings.Repeat("x", 300_000) + `"}`
	o := Options{Encode: func(_ pombo.Delivery, w pombo.Webhook) (string, Body, http.Header, error) {
		return w.URL, stream(text), http.Header{}, nil
	}}
	onPipe(t, rc.ServeHTTP, o, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := int64(len(text)); !slices.Equal(lengths, []int64{n, n}) || rc.count(1) != 2 {
			t.Errorf("posted bodies of %v, want two of %d", lengths, n)
		}
	})
	if got := DefaultPolicy().timeout(90 << 20); got != 2*time.Minute {
		t.Errorf("90 MiB may take %s", got)
	}
}

// A body is signed alike wherever it comes from.
func TestStreamedSignature(t *testing.T) {
	secrets := []pombo.SigningSecret{{Key: "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}, {Key: "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIx"}}
	text := strings.Repeat("x", 100_000)
	at := time.Unix(1751300000, 0)
	streamed, err := Sign(secrets, "msg_1", at, stream(text))
	if err != nil {
		t.Fatal(err)
	}
	if whole, err := Sign(secrets, "msg_1", at, Bytes(text)); err != nil || whole != streamed || len(strings.Fields(whole)) != 2 {
		t.Errorf("%q and %q, %v", whole, streamed, err)
	}
}
