package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// backlog is how many rows the tests of memory have.
var backlog int64 = 1_000_000

// hugeStore has rows without holding them: IDs 1 to n, in lanes round robin.
type hugeStore struct {
	n, lanes int64
	data     int // bytes of each event's data
	template []byte
	born     time.Time

	mu      sync.Mutex
	more    sync.Cond      // signalled when something is settled
	settled map[int64]bool // delivered or dead
	rows    int            // returned by reads
	watch   func()         // called in each read
}

func newHugeStore(n, lanes int64, data int) *hugeStore {
	frame := `{"id":            ,"x":""}`
	s := &hugeStore{
		n: n, lanes: lanes, data: data, born: time.Now().Round(0), settled: map[int64]bool{},
		template: []byte(frame[:len(frame)-2] + strings.Repeat("x", max(data-len(frame), 0)) + `"}`),
	}
	s.more.L = &s.mu
	return s
}

func (s *hugeStore) row(id int64) pombo.Delivery {
	const head = `{"id":`
	data := make([]byte, s.data)
	copy(data, s.template)
	strconv.AppendInt(data[:len(head)], id, 10) // into the template's spaces
	return pombo.Delivery{
		ID: id, WebhookID: "w", MessageID: "msg_" + strconv.FormatInt(id, 10), State: pombo.Pending, CreatedAt: s.born,
		Event: pombo.Event{ID: id, Instance: "i", Chat: strconv.FormatInt(id%s.lanes, 10), Data: json.RawMessage(data)},
	}
}

func (s *hugeStore) find(after, step int64, limit int) (found []pombo.Delivery, err error) {
	if s.watch != nil {
		s.watch()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := after; id <= s.n && len(found) < limit; id += step {
		if !s.settled[id] {
			found = append(found, s.row(id))
		}
	}
	s.rows += len(found)
	return found, nil
}

func (s *hugeStore) Pending(_ context.Context, _ string, after int64, limit int) ([]pombo.Delivery, error) {
	return s.find(after+1, 1, limit)
}

func (s *hugeStore) PendingInLane(_ context.Context, _ string, lane pombo.Lane, after int64, limit int) ([]pombo.Delivery, error) {
	var rest int64
	if _, err := fmt.Sscan(lane.Chat, &rest); err != nil {
		return nil, err
	}
	first := after + 1
	first += ((rest-first)%s.lanes + s.lanes) % s.lanes
	return s.find(first, s.lanes, limit)
}

func (s *hugeStore) Parked(context.Context, string, int) ([]pombo.Delivery, error) { return nil, nil }

func (s *hugeStore) HurryParked(context.Context, string) error { return nil }

func (s *hugeStore) Settle(_ context.Context, attempts ...pombo.Attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range attempts {
		if a.State != pombo.Pending {
			s.settled[a.Delivery] = true
		}
	}
	s.more.Broadcast()
	return nil
}

func (s *hugeStore) left() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n - int64(len(s.settled))
}

func heapSize() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestABacklogCostsNoMemory(t *testing.T) {
	for _, c := range []struct {
		lanes int64
		data  int
	}{{1, 1500}, {1000, 1500}, {1_000_000, 1500}, {10, 200_000}} {
		t.Run(fmt.Sprintf("%d chats of %d bytes", c.lanes, c.data), func(t *testing.T) {
			store := newHugeStore(backlog, c.lanes, c.data)
			if c.data > 10_000 {
				store.n = 2_000 // each row that is skipped is made all the same
			}
			before, most := heapSize(), int64(0)
			h := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
			onPipe(t, h, Options{Policy: steady()}, func(b *bench) {
				b.stop()
				reads := 0
				store.watch = func() {
					if reads++; reads%500 == 0 || c.data > 10_000 && reads%10 == 0 {
						most = max(most, heapSize())
					}
				}
				b.run(Options{Policy: steady(), Store: store})
				b.d.SetWebhook(hook("w"))
				time.Sleep(6 * time.Second) // the first try and another
				synctest.Wait()
				most = max(most, heapSize())
				s := b.d.Stats()[0]
				if s.Lanes > standardBounds.laneLimit || s.Loaded != 0 || s.Waiting == 0 {
					t.Errorf("the window is %+v: want nothing loaded while all chats wait", s)
				}
				t.Logf("%d lanes waiting, %d attempts, %d rows read, %d MB more heap at most", s.Waiting, s.Failed, store.rows, (most-before)>>20)
			})
			if grown := most - before; grown > 48<<20 {
				t.Errorf("the heap grew by %d MB", grown>>20)
			}
		})
	}
}

func TestABlockedChatDoesNotHideTheOthers(t *testing.T) {
	rc := &receiver{t: t, answer: func(p posted, _ *http.Request) int {
		if p.Chat == "hot" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		chats := make([]string, 100_000)
		for i := range chats {
			chats[i] = "hot"
		}
		b.store.add("w", chats...)
		b.store.add("w", "a", "b", "a", "c")
		b.d.SetWebhook(hook("w"))
		synctest.Wait()
		if got := len(rc.ids()); got != 5 || b.store.pending() != 100_000 {
			t.Errorf("%d requests, %d pending: want one of the hot chat and all of the others", got, b.store.pending())
		}
		s := b.d.Stats()[0]
		if s.Lanes != 1 || s.Loaded != 0 || s.Behind {
			t.Errorf("the window is %+v: want the hot chat alone, without its deliveries", s)
		}
		b.add("w", "hot", "d")
		synctest.Wait()
		if b.store.row(100_006).State != pombo.Delivered {
			t.Error("a chat that is new waits for the hot one")
		}
	})
}

func TestEveryDeliveryOfALongBacklogIsMadeOnce(t *testing.T) {
	for _, lanes := range []int64{1, 7, 500} {
		t.Run(fmt.Sprint(lanes), func(t *testing.T) {
			store := newHugeStore(6_000, lanes, 100)
			rc := &receiver{t: t}
			onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
				b.stop()
				b.run(Options{Store: store})
				b.d.SetWebhook(hook("w"))
				synctest.Wait()
			})
			last := map[int64]int64{}
			for _, id := range rc.ids() {
				if before := last[id%lanes]; before != 0 && id != before+lanes || before == 0 && id > lanes {
					t.Fatalf("in its chat, %d came after %d", id, before)
				}
				last[id%lanes] = id
			}
			if got := len(rc.ids()); got != 6_000 || store.left() != 0 {
				t.Errorf("%d requests, %d left", got, store.left())
			}
			if store.rows > 2*6_000+1000 {
				t.Errorf("%d rows were read for 6000 deliveries", store.rows)
			}
			t.Logf("%d rows read", store.rows)
		})
	}
}

func TestSlotsAreSharedFairly(t *testing.T) {
	// Two slots, three webhooks with long queues: all of them get on.
	var mu sync.Mutex
	now, most, got := 0, 0, map[string]int{}
	h := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		got[r.URL.Path]++
		mu.Unlock()
		time.Sleep(time.Second)
		mu.Lock()
		now--
		mu.Unlock()
	}
	onPipe(t, h, Options{MaxInFlight: 4}, func(b *bench) {
		chats := make([]string, 400)
		for i := range chats {
			chats[i] = fmt.Sprint(i)
		}
		for _, id := range []string{"x", "y", "z"} {
			b.d.SetWebhook(hook(id))
			b.add(id, chats...)
		}
		time.Sleep(3*time.Minute + time.Millisecond) // so long that luck evens out
		synctest.Wait()
		mu.Lock()
		if most > 4+3 {
			t.Errorf("%d POSTs were in flight: want 4 and one by right for each webhook at most", most)
		}
		for _, path := range []string{"/x", "/y", "/z"} {
			if got[path] < 210 { // 180 it gets by right
				t.Errorf("%s got %d requests in three minutes", path, got[path])
			}
		}
		mu.Unlock()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := b.store.pending(); n != 0 {
			t.Errorf("%d are pending", n)
		}
		if b.d.slots.free != 4 || b.d.slots.contended() {
			t.Errorf("%d slots are free in the end", b.d.slots.free)
		}
	})
}
