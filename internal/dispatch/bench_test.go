package dispatch

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pombo"
)

const (
	benchChats       = 1000
	benchConcurrency = 16
	benchData        = 1200 // bytes of an event
)

// cpu returns the CPU time that this process used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// counter is a receiver that takes everything and tells when it has had n.
type counter struct {
	left atomic.Int64
	full chan struct{}
}

func (c *counter) expect(n int) {
	c.full = make(chan struct{})
	c.left.Store(int64(n))
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if c.left.Add(-1) == 0 {
		close(c.full)
	}
}

// bare posts n bodies with a plain client, side by side.
func bare(b *testing.B, url string, store *hugeStore, n int) {
	var wg sync.WaitGroup
	var next atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchConcurrency}}
	defer client.CloseIdleConnections()
	for range benchConcurrency {
		wg.Go(func() {
			for id := next.Add(1); id <= int64(n); id = next.Add(1) {
				resp, err := client.Post(url, "application/json", bytes.NewReader(store.row(id).Event.Data))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

// deliver delivers n events through a Dispatcher: announced one batch after the
// other if live, otherwise all from the store.
func deliver(b *testing.B, url string, store *hugeStore, n int, c *counter, live bool) {
	c.expect(n)
	d := New(Options{Store: store, Encode: plain})
	w := hook("w")
	w.URL = url
	d.SetWebhook(w)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	if live {
		store.announce(n, d.Notify)
	}
	<-c.full
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// announce appends n rows in batches of 50, never more than 400 ahead of what is
// settled, as a store that commits in groups would.
func (s *hugeStore) announce(n int, notify func([]pombo.Delivery)) {
	for id := int64(1); id <= int64(n); {
		var batch []pombo.Delivery
		s.mu.Lock()
		for s.n-int64(len(s.settled)) > 400 {
			s.more.Wait()
		}
		for ; id <= int64(n) && len(batch) < 50; id++ {
			batch = append(batch, s.row(id))
		}
		s.n = id - 1
		s.mu.Unlock()
		notify(batch)
	}
}

// BenchmarkDeliveries compares one webhook's deliveries with a bare client loop
// that posts the same bodies to the same receiver with the same concurrency.
// The receiver runs in the same process and costs the same in all three.
func BenchmarkDeliveries(b *testing.B) {
	c := &counter{}
	srv := httptest.NewServer(c)
	defer srv.Close()
	n := max(b.N, 2000)
	type measured struct{ took, cpu time.Duration }
	measure := func(f func()) measured {
		t, u := time.Now(), cpu(b)
		f()
		return measured{time.Since(t), cpu(b) - u}
	}
	b.ResetTimer()
	c.expect(n)
	m0 := measure(func() { bare(b, srv.URL, newHugeStore(int64(n), benchChats, benchData), n) })
	live := newHugeStore(0, benchChats, benchData)
	m1 := measure(func() { deliver(b, srv.URL, live, n, c, true) })
	m2 := measure(func() { deliver(b, srv.URL, newHugeStore(int64(n), benchChats, benchData), n, c, false) })
	b.StopTimer()
	each := func(m measured) float64 { return float64(m.cpu.Microseconds()) / float64(n) }
	b.ReportMetric(float64(n)/m0.took.Seconds(), "bare/s")
	b.ReportMetric(float64(n)/m1.took.Seconds(), "live/s")
	b.ReportMetric(float64(n)/m2.took.Seconds(), "backlog/s")
	b.ReportMetric(m0.took.Seconds()/m1.took.Seconds(), "live-ratio")
	b.ReportMetric(m0.took.Seconds()/m2.took.Seconds(), "backlog-ratio")
	b.ReportMetric(each(m0), "bare-cpu-µs")
	b.ReportMetric(each(m1), "live-cpu-µs")
	b.ReportMetric(each(m2), "backlog-cpu-µs")
	b.ReportMetric(0, "ns/op")
}
