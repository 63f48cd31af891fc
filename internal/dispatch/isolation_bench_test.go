package dispatch

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hangs is an endpoint that takes connections and answers nothing; before that, if
// it is told so, it answers. Hanging costs it nothing, so that what is measured is
// the sender's.
type hangs struct {
	net.Listener
	answers atomic.Bool
	wg      sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
}

func newHangs(b *testing.B) *hangs {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	h := &hangs{Listener: ln}
	h.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
			if h.answers.Load() {
				h.wg.Go(func() { h.answer(c) })
			}
		}
	})
	return h
}

// answer takes requests until the endpoint hangs.
func (h *hangs) answer(c net.Conn) {
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil || !h.answers.Load() {
			return
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func (h *hangs) close() {
	h.Close()
	h.mu.Lock()
	for _, c := range h.conns {
		c.Close()
	}
	h.mu.Unlock()
	h.wg.Wait()
}

// isolation is one run: a webhook that works, and others that hang.
type isolation struct {
	store *memoryStore
	d     *Dispatcher
	bad   *hangs
	count int // of those that hang
}

func (i *isolation) set(id, url string) {
	w := hook(id)
	w.URL = url
	i.d.SetWebhook(w)
}

// warm lets all that are to hang answer first.
func (i *isolation) warm() {
	i.bad.answers.Store(true)
	for n := range i.count {
		i.d.Notify(i.store.add("bad"+strconv.Itoa(n), chats50[:]...))
	}
	for i.store.pending() > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	i.bad.answers.Store(false)
}

// feed announces an event in each of 50 chats of all that hang, within a second.
func (i *isolation) feed() {
	for c := range chats50 {
		for n := range i.count {
			i.d.Notify(i.store.add("bad"+strconv.Itoa(n), chats50[c]))
			if n%10 == 9 {
				time.Sleep(2 * time.Millisecond)
			}
		}
	}
}

var chats50 = func() (chats [50]string) {
	for c := range chats {
		chats[c] = strconv.Itoa(c)
	}
	return chats
}()

// latencies announces n events of the good webhook, one each two milliseconds
// whatever became of those before, and returns how long each took to arrive,
// counted from when it was meant to be announced. As it begins, the other webhooks
// begin to hang: known ones have answered before, and their events come one by one;
// the others have a backlog, and are set one after the other, as after a start.
func latencies(b *testing.B, n, hanging int, known bool) []time.Duration {
	b.Helper()
	arrived := make(chan struct{}, n)
	came := make([]time.Time, n)
	good := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if p := body(b, r); p.Chat != "warm" {
			at, _ := strconv.Atoi(p.Chat)
			came[at] = time.Now()
		}
		arrived <- struct{}{}
	}))
	defer good.Close()
	i := &isolation{store: newMemoryStore(b), bad: newHangs(b), count: hanging}
	defer i.bad.close()
	p := DefaultPolicy()
	p.Timeout = 2 * time.Second // so that they run into it, and their circuits open
	i.d = New(Options{Store: i.store, Encode: plain, Policy: p, Grace: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- i.d.Run(ctx) }()
	hook := func(n int) { i.set("bad"+strconv.Itoa(n), "http://"+i.bad.Addr().String()) }
	i.set("good", good.URL)
	i.d.Notify(i.store.add("good", "warm"))
	<-arrived
	if known {
		for n := range hanging {
			hook(n)
		}
		i.warm()
	} else {
		for n := range hanging {
			i.store.add("bad"+strconv.Itoa(n), chats50[:]...)
		}
	}
	began := time.Now()
	if known {
		go i.feed()
	} else {
		go func() {
			for n := range hanging {
				hook(n)
				time.Sleep(2 * time.Millisecond)
			}
		}()
	}
	took := make([]time.Duration, n)
	for k := range took {
		meant := began.Add(time.Duration(k) * 2 * time.Millisecond)
		time.Sleep(time.Until(meant))
		i.d.Notify(i.store.add("good", strconv.Itoa(k)))
	}
	for range took {
		<-arrived
	}
	for k := range took {
		took[k] = came[k].Sub(began.Add(time.Duration(k) * 2 * time.Millisecond))
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	slices.Sort(took)
	return took
}

// BenchmarkIsolation compares the latencies of one webhook alone and beside 99
// that hang, from announcement to arrival: five runs of each in turn, of which the
// median counts. It fails if the p99 is beyond 1.5 times the p99 alone and 5 ms;
// with -short it only shows that it works.
func BenchmarkIsolation(b *testing.B) {
	b.Run("never-answered", func(b *testing.B) { isolate(b, false) })
	b.Run("answered-before", func(b *testing.B) { isolate(b, true) })
}

func isolate(b *testing.B, known bool) {
	runs, n := 5, 2000 // four seconds, of which two until the first timeouts
	if testing.Short() {
		runs, n = 1, 500
	}
	percentile := func(took []time.Duration, p int) float64 {
		return float64(took[len(took)*p/100].Microseconds())
	}
	var alone, beside [2][]float64
	for range runs {
		a, h := latencies(b, n, 0, known), latencies(b, n, 99, known)
		for i, p := range []int{50, 99} {
			alone[i], beside[i] = append(alone[i], percentile(a, p)), append(beside[i], percentile(h, p))
		}
		b.Logf("p99 alone %.0f µs, beside %.0f µs", percentile(a, 99), percentile(h, 99))
	}
	median := func(all []float64) float64 {
		slices.Sort(all)
		return all[len(all)/2]
	}
	b.ReportMetric(median(alone[0]), "alone-p50-µs")
	b.ReportMetric(median(beside[0]), "beside-p50-µs")
	b.ReportMetric(median(alone[1]), "alone-p99-µs")
	b.ReportMetric(median(beside[1]), "beside-p99-µs")
	goal := 1.5*median(alone[1]) + 5000
	b.ReportMetric(median(beside[1])/goal, "of-goal")
	b.ReportMetric(0, "ns/op")
	if got := median(beside[1]); got > goal && !testing.Short() {
		b.Errorf("beside others that hang the p99 is %.0f µs: want at most %.0f µs", got, goal)
	}
}
