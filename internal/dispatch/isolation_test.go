package dispatch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// Of 100 webhooks 99 hang, each with a long backlog. The hundredth is posted to as
// if it were alone, and the others take no more than their share of goroutines.
func TestHangingWebhooksCostTheOthersNothing(t *testing.T) {
	h := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/good" {
			<-r.Context().Done()
		}
	}
	// Fewer slots than the hanging ones ask for: the good one has one by right.
	onPipe(t, h, Options{Policy: steady(), MaxInFlight: 200}, func(b *bench) {
		before := runtime.NumGoroutine()
		for i := range 99 {
			id := "bad" + strconv.Itoa(i)
			b.d.SetWebhook(hook(id))
			chats := make([]string, 100)
			for c := range chats {
				chats[c] = strconv.Itoa(c % 50)
			}
			b.add(id, chats...)
		}
		b.d.SetWebhook(hook("good"))
		for minute := range 10 {
			for i := range 60 {
				at := time.Now()
				d := b.add("good", strconv.Itoa(i%7))[0]
				synctest.Wait()
				if got := b.store.row(d.ID); got.State != pombo.Delivered || !time.Now().Equal(at) {
					t.Fatalf("in minute %d, the good webhook's delivery is %s", minute, got.State)
				}
				time.Sleep(time.Second)
			}
			flying := 0
			for _, s := range b.d.Stats() {
				flying += s.InFlight
			}
			if flying > 200+100 {
				t.Errorf("in minute %d, %d POSTs are in flight", minute, flying)
			}
			if n := runtime.NumGoroutine() - before; n > 300*8 { // worker, connection, and the receiver's side
				t.Errorf("in minute %d, there are %d goroutines more", minute, n)
			}
		}
		open := 0
		for _, s := range b.d.Stats() {
			if s.Circuit == Open {
				if open++; s.InFlight > 1 || s.Loaded != 0 {
					t.Errorf("%s is open, with %d in flight and %d loaded", s.WebhookID, s.InFlight, s.Loaded)
				}
			}
		}
		if open != 99 {
			t.Errorf("%d circuits are open: want 99", open)
		}
	})
}

// latencies announces n events of the good webhook, one after the other at a pace,
// and returns how long each took to arrive.
func latencies(b *testing.B, n, hanging int) []time.Duration {
	b.Helper()
	arrived := make(chan time.Time, 1)
	good := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- time.Now()
	}))
	defer good.Close()
	bad := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // otherwise the server does not see the client go
		<-r.Context().Done()
	}))
	defer bad.Close()
	store := newMemoryStore(b)
	p := DefaultPolicy()
	p.Timeout = 2 * time.Second // so that they are hit again and again
	d := New(Options{Store: store, Encode: plain, Policy: p, Grace: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	set := func(id, url string) {
		w := hook(id)
		w.URL = url
		d.SetWebhook(w)
	}
	var busy sync.WaitGroup
	for i := range hanging {
		id := "bad" + strconv.Itoa(i)
		set(id, bad.URL)
		busy.Go(func() {
			for c := range 50 {
				d.Notify(store.add(id, fmt.Sprint(c)))
			}
		})
	}
	busy.Wait()
	set("good", good.URL)
	took := make([]time.Duration, n)
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for i := range took {
		<-pace.C
		ds := store.add("good", strconv.Itoa(i%10))
		at := time.Now()
		d.Notify(ds)
		took[i] = (<-arrived).Sub(at)
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	bad.CloseClientConnections()
	slices.Sort(took)
	return took
}

// BenchmarkIsolation compares the latencies of one webhook alone and beside 99
// that hang, from announcement to arrival: five runs of each in turn, of which the
// median counts. With -short it only shows that it works.
func BenchmarkIsolation(b *testing.B) {
	runs, n := 5, max(b.N, 4000) // eight seconds: the hanging ones run into their timeout, and their circuits open
	if testing.Short() {
		runs, n = 1, 500
	}
	percentile := func(took []time.Duration, p int) time.Duration { return took[len(took)*p/100] }
	var alone, beside [2][]time.Duration
	for range runs {
		a, h := latencies(b, n, 0), latencies(b, n, 99)
		for i, p := range []int{50, 99} {
			alone[i], beside[i] = append(alone[i], percentile(a, p)), append(beside[i], percentile(h, p))
		}
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2].Microseconds())
	}
	b.ReportMetric(median(alone[0]), "alone-p50-µs")
	b.ReportMetric(median(beside[0]), "beside-p50-µs")
	b.ReportMetric(median(alone[1]), "alone-p99-µs")
	b.ReportMetric(median(beside[1]), "beside-p99-µs")
	// At most 1 is what is asked for: 1.5 times the p99 alone, and 5 ms.
	b.ReportMetric(median(beside[1])/(1.5*median(alone[1])+5000), "of-goal")
	b.ReportMetric(0, "ns/op")
}
