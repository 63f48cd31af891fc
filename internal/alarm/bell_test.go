package alarm

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pombo/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// pipe is a network without sockets, on which synctest's clock goes on.
type pipe struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
	case <-ctx.Done():
	}
	return nil, errors.Join(errors.New("no network"), client.Close(), server.Close())
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipe) Close() error   { close(p.done); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// posted is what a receiver got.
type posted struct {
	ID        string
	At        time.Time
	Signature string
	Type      Kind
	Timestamp time.Time
	Data      Alarm
}

type receiver struct {
	t      *testing.T
	mu     sync.Mutex
	got    []posted
	status func(n int) int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	p := posted{ID: req.Header.Get("webhook-id"), At: time.Now(), Signature: req.Header.Get("webhook-signature")}
	if err := errors.Join(err, json.Unmarshal(body, &p)); err != nil {
		r.t.Errorf("%q: %v", body, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, p)
	if r.status != nil {
		w.WriteHeader(r.status(len(r.got)))
	}
}

func (r *receiver) all() []posted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// ring runs f with a bell that posts to r.
func ring(t *testing.T, r *receiver, o Options, f func(b *Bell)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r.t = t
		p := &pipe{conns: make(chan net.Conn), done: make(chan struct{})}
		srv := &http.Server{Handler: r, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(p) }()
		o.URL, o.Dial = "http://user:password@ops.test/alarm?token=hidden", p.dial
		b := New(o)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); b.Run(ctx) }()
		f(b)
		cancel()
		<-ended
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func TestAlarmsArePosted(t *testing.T) {
	r := &receiver{}
	o := Options{Sign: func(id string, at time.Time, body []byte) (string, error) {
		return "v1," + id + at.UTC().Format(time.RFC3339) + string(body[:8]), nil
	}}
	ring(t, r, o, func(b *Bell) {
		b.Ring(CircuitOpened, Alarm{Webhook: "w", Instance: "shop", Count: 10, Message: "It fails."})
		b.Ring(CircuitClosed, Alarm{Webhook: "w", Instance: "shop"})
		b.Ring(CircuitOpened, Alarm{Webhook: "other", Instance: "shop"})
		synctest.Wait()
		got := r.all()
		if len(got) != 3 {
			t.Fatalf("%d alarms came: %+v", len(got), got)
		}
		first := got[0]
		if first.Type != CircuitOpened || first.Data.Count != 10 || first.Data.Message != "It fails." || !first.Timestamp.Equal(first.At) ||
			first.Signature != "v1,"+first.ID+first.At.UTC().Format(time.RFC3339)+`{"type":` || !strings.HasPrefix(first.ID, "alarm_") {
			t.Errorf("the first is %+v", first)
		}
		if got[1].ID == first.ID || got[1].Type != CircuitClosed || got[2].Data.Webhook != "other" {
			t.Errorf("then came %+v", got[1:])
		}
	})
}

// A circuit that opens and closes all the time is told of every five minutes, and
// the last word is the true one.
func TestAlarmsThatComeTooClose(t *testing.T) {
	r := &receiver{}
	ring(t, r, Options{}, func(b *Bell) {
		for range 61 {
			b.Ring(CircuitOpened, Alarm{Webhook: "w"})
			time.Sleep(2 * time.Second)
			b.Ring(CircuitClosed, Alarm{Webhook: "w"})
			time.Sleep(8 * time.Second)
		}
		time.Sleep(time.Hour)
		got := r.all()
		if len(got) < 4 || len(got) > 7 {
			t.Fatalf("%d alarms in ten minutes: %+v", len(got), got)
		}
		last := got[len(got)-1]
		if last.Type != CircuitClosed || got[2].Data.Suppressed == 0 {
			t.Errorf("the last is %+v", last)
		}
	})
}

func TestEventsThatDieAreGathered(t *testing.T) {
	r := &receiver{}
	ring(t, r, Options{}, func(b *Bell) {
		for i := range 1000 {
			b.Died(Alarm{Webhook: "w", MessageID: string(rune('a' + i%26)), Status: 422})
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Hour)
		got := r.all()
		if len(got) != 2 || got[0].Data.Count < 99 || got[0].Data.Count > 101 || got[0].Data.Count+got[1].Data.Count != 1000 {
			t.Fatalf("%d alarms: %+v", len(got), got)
		}
		if got[0].Data.MessageID != "a" || got[0].Type != EventsDied || got[0].Data.Status != 422 {
			t.Errorf("the first is %+v", got[0])
		}
	})
}

// An alarm is tried again, under the same ID; its failures cause no alarm, are
// logged once, and never tell the URL's secrets.
func TestAnAlarmIsRetried(t *testing.T) {
	r := &receiver{status: func(n int) int {
		if n < 4 {
			return http.StatusBadGateway
		}
		return http.StatusOK
	}}
	var log strings.Builder
	o := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	ring(t, r, o, func(b *Bell) {
		b.Ring(WebhookDisabled, Alarm{Webhook: "w"})
		time.Sleep(time.Hour)
		got := r.all()
		if len(got) != 4 || got[3].ID != got[0].ID {
			t.Errorf("%d tries: %+v", len(got), got)
		}
	})
	if n := strings.Count(log.String(), "does not take alarms"); n != 1 || strings.Contains(log.String(), "hidden") || strings.Contains(log.String(), "password") {
		t.Errorf("the log is %s", log.String())
	}
}

// However long the operational webhook is down, memory is bounded and the newest
// alarms are kept; at the end nothing waits for it for long.
func TestAnOperationalWebhookThatIsDown(t *testing.T) {
	r := &receiver{status: func(int) int { return http.StatusInternalServerError }}
	var log strings.Builder
	o := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	ring(t, r, o, func(b *Bell) {
		for i := range 10 * room {
			b.Ring(InstanceOffline, Alarm{Instance: string(rune(0x4e00 + i))})
		}
		time.Sleep(24 * time.Hour)
		if n := len(r.all()); n < 100 || n > (room+1)*(len(pauses)+1) {
			t.Errorf("%d tries in a day", n)
		}
		b.Ring(InstanceOffline, Alarm{Instance: "one more"})
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.last) > 1 || len(b.queue) > room {
			t.Errorf("%d subjects are remembered, %d alarms wait", len(b.last), len(b.queue))
		}
	})
	if !strings.Contains(log.String(), "too many wait") {
		t.Error("the log does not say that alarms were given up")
	}
}

func TestWatch(t *testing.T) {
	r := &receiver{}
	ring(t, r, Options{}, func(b *Bell) {
		var mu sync.Mutex
		lines := []Line{{Instance: "fine", Expected: true, Open: true}, {Instance: "down", Expected: true}, {Instance: "new"}}
		pending := 0
		w := &Watch{
			Bell: b, Logger: slog.New(slog.DiscardHandler), Limit: 100, Patience: 10 * time.Minute,
			Lines: func() []Line { mu.Lock(); defer mu.Unlock(); return slices.Clone(lines) },
			Backlogs: func(_ context.Context, limit int) ([]Backlog, error) {
				mu.Lock()
				defer mu.Unlock()
				return []Backlog{{Webhook: "w", Instance: "down", URL: "http://u:p@host/x?y=z", Pending: min(pending, limit)}}, nil
			},
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); w.Run(ctx) }()
		step := func(change func(), wait time.Duration, want ...Kind) {
			t.Helper()
			before := len(r.all())
			mu.Lock()
			change()
			mu.Unlock()
			time.Sleep(wait)
			synctest.Wait()
			var got []Kind
			for _, p := range r.all()[before:] {
				got = append(got, p.Type)
			}
			if !slices.Equal(got, want) {
				t.Errorf("rang %v: want %v", got, want)
			}
		}
		step(func() {}, 9*time.Minute)
		step(func() {}, 2*time.Minute, InstanceOffline)
		step(func() {}, time.Hour)
		step(func() { lines[1].Open = true }, time.Minute)
		step(func() {}, 2*time.Minute, InstanceOnline) // it holds
		step(func() { lines[1].Open = false }, 5*time.Minute)
		step(func() { lines[1].Open = true }, time.Hour) // a short one is no news
		step(func() { lines[1].Open = false }, 9*time.Minute+30*time.Second)
		step(func() { lines[1].Open = true }, time.Hour) // nor is one that was over in time
		for range 10 {
			step(func() { lines[1].Changes += 2 }, time.Minute) // back each time before anybody looks
		}
		step(func() { lines[1].Changes += 2 }, time.Hour, InstanceOffline, InstanceOnline)
		step(func() { lines[0].Open = false }, time.Minute)
		step(func() { lines[0].Expected, lines[0].Unlinked = false, true }, time.Minute, InstanceOffline)
		step(func() { lines[1].Open = false }, time.Minute)
		step(func() { lines[1].Expected = false }, time.Hour) // as was asked for
		step(func() { pending = 99 }, time.Minute)
		step(func() { pending = 1000 }, time.Hour, BacklogHigh)
		step(func() { pending = 60 }, time.Hour)
		step(func() { pending = 10 }, time.Hour, BacklogNormal)
		all := r.all()
		if a := all[len(all)-2].Data; a.Count != 100 || a.URL != "http://host/x" || a.Webhook != "w" {
			t.Errorf("the alarm is %+v", a)
		}
		cancel()
		<-ended
	})
}
