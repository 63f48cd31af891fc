package dispatch

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// receiver answers by script and keeps what it got.
type receiver struct {
	t      testing.TB
	answer func(p posted, r *http.Request) int

	mu   sync.Mutex
	got  []int64
	when []time.Time
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := body(rc.t, r)
	rc.mu.Lock()
	rc.got = append(rc.got, p.ID)
	rc.when = append(rc.when, time.Now())
	rc.mu.Unlock()
	status := http.StatusOK
	if rc.answer != nil {
		status = rc.answer(p, r)
	}
	w.WriteHeader(status)
}

func (rc *receiver) ids() []int64 {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return slices.Clone(rc.got)
}

func (rc *receiver) count(id int64) (n int) {
	for _, got := range rc.ids() {
		if got == id {
			n++
		}
	}
	return n
}

func TestDeliversInOrderWithinAChat(t *testing.T) {
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		for range 50 {
			b.add("w", "a", "b", "a", "c")
		}
		synctest.Wait()
		if n := b.store.pending(); n != 0 {
			t.Fatalf("%d deliveries are pending after everything was answered", n)
		}
		last := map[string]int64{}
		for _, id := range rc.ids() {
			chat := b.store.row(id).Event.Chat
			if id <= last[chat] {
				t.Errorf("chat %s: delivery %d came after %d", chat, id, last[chat])
			}
			last[chat] = id
		}
		if len(rc.ids()) != 200 {
			t.Errorf("the receiver got %d requests for 200 deliveries", len(rc.ids()))
		}
	})
}

func TestAFailingChatHoldsBackOnlyItself(t *testing.T) {
	var healed sync.Map
	rc := &receiver{t: t, answer: func(p posted, _ *http.Request) int {
		if _, ok := healed.Load(p.Chat); p.Chat == "bad" && !ok {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "bad", "good", "bad", "good")
		synctest.Wait()
		if got := rc.ids(); len(got) != 3 || rc.count(3) != 0 {
			t.Fatalf("got %v: want the first of each chat, and the second of the good one", got)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := rc.count(1); n != 1 {
			t.Fatalf("tried %d times before the first delay was over", n)
		}
		time.Sleep(time.Second + time.Millisecond) // 5 s after the first
		synctest.Wait()
		if n := rc.count(1); n != 2 {
			t.Fatalf("tried %d times after the first delay: want 2", n)
		}
		healed.Store("bad", true)
		time.Sleep(10 * time.Second) // the second delay is twice the first
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got[len(got)-2:], []int64{1, 3}) {
			t.Errorf("got %v: want it to end with 1, 3", got)
		}
		if d := b.store.row(1); d.State != pombo.Delivered || d.Attempts != 3 {
			t.Errorf("delivery 1 is %s after %d attempts: want delivered after 3", d.State, d.Attempts)
		}
	})
}

func TestEverythingPendingIsDeliveredAfterARestart(t *testing.T) {
	var mu sync.Mutex
	ids := map[int64]string{}
	rc := &receiver{t: t, answer: func(p posted, r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		if old, ok := ids[p.ID]; ok && old != r.Header.Get("webhook-id") {
			t.Errorf("delivery %d came as %s and as %s", p.ID, old, r.Header.Get("webhook-id"))
		}
		ids[p.ID] = r.Header.Get("webhook-id")
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		b.store.manual = true
		b.d.SetWebhook(hook("w"))
		b.add("w", "a", "a", "a")
		synctest.Wait()
		b.store.crash() // nothing was committed
		b.stop()

		b.start(Options{})
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		synctest.Wait()
		if got := rc.ids(); !slices.Equal(got, []int64{1, 2, 3, 1, 2, 3, 4}) {
			t.Errorf("got %v: want all of it again, in order, and then what is new", got)
		}
		b.store.commit()
		if n := b.store.pending(); n != 0 {
			t.Errorf("%d are pending", n)
		}
	})
}

func TestALaneDoesNotWaitForTheCommit(t *testing.T) {
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		b.store.manual = true
		b.d.SetWebhook(hook("w"))
		chats := make([]string, 5*standardBounds.laneDepth) // more than is loaded at once: refills must not see them again
		for i := range chats {
			chats[i] = "a"
		}
		b.add("w", chats...)
		synctest.Wait()
		want := make([]int64, len(chats))
		for i := range want {
			want[i] = int64(i + 1)
		}
		if got := rc.ids(); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}

func TestAStoreThatRefusesResultsStopsTheWork(t *testing.T) {
	rc := &receiver{t: t}
	p := steady()
	p.Concurrency = 4
	onPipe(t, rc.ServeHTTP, Options{Policy: p}, func(b *bench) {
		var down = true
		b.store.fault = func(op string) error {
			if down && op == "settle" {
				return http.ErrAbortHandler
			}
			return nil
		}
		b.d.SetWebhook(hook("w"))
		for range 20 {
			b.add("w", "a", "b", "c", "d", "e", "f")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(rc.ids()); got != 4 {
			t.Errorf("%d were sent while no result was taken: want one for each worker", got)
		}
		b.store.mu.Lock()
		down = false
		b.store.mu.Unlock()
		time.Sleep(maxPause)
		synctest.Wait()
		if got := len(rc.ids()); got != 120 || b.store.pending() != 0 {
			t.Errorf("%d were sent and %d are pending: want 120, each once", got, b.store.pending())
		}
	})
}

func TestAStoreThatCannotBeReadIsAskedAgain(t *testing.T) {
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		asked, down := 0, true
		b.store.fault = func(op string) error {
			if down && op != "settle" {
				asked++
				return http.ErrAbortHandler
			}
			return nil
		}
		b.store.add("w", "a", "b", "a")
		b.d.SetWebhook(hook("w"))
		time.Sleep(10 * time.Minute)
		b.store.mu.Lock()
		if asked < 10 || asked > 40 {
			t.Errorf("the store was asked %d times in ten minutes: want about 25", asked)
		}
		down = false
		b.store.mu.Unlock()
		time.Sleep(maxPause)
		synctest.Wait()
		if n := b.store.pending(); n != 0 {
			t.Errorf("%d are pending after the store came back", n)
		}
	})
}
