package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"pombo"
)

// quiet is where receivers complain.
var quiet = slog.NewLogLogger(slog.DiscardHandler, 0)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryStore is a strict Store in memory. Results are committed by commit, as
// in the real one; crash forgets those that were not.
type memoryStore struct {
	t testing.TB

	mu        sync.Mutex
	rows      []pombo.Delivery // by ID, from 1
	queued    []pombo.Attempt
	committed []pombo.Attempt
	loaded    int // rows returned by reads
	reads     int
	manual    bool // commit is called by the test
	fault     func(op string) error
	onSettle  func(pombo.Attempt)
	slow      func() // called before and after a read
}

func newMemoryStore(t testing.TB) *memoryStore { return &memoryStore{t: t} }

// add stores pending deliveries, one per chat named, and returns them.
func (s *memoryStore) add(webhook string, chats ...string) []pombo.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := len(s.rows)
	for _, chat := range chats {
		id := int64(len(s.rows) + 1)
		s.rows = append(s.rows, pombo.Delivery{
			ID: id, WebhookID: webhook, MessageID: fmt.Sprintf("msg_%d", id), State: pombo.Pending,
			Event: pombo.Event{
				ID: id, Instance: "instance", Name: pombo.MessagesUpsert, Chat: chat,
				Data: json.RawMessage(fmt.Sprintf(`{"id":%d,"chat":%q}`, id, chat)),
			},
			CreatedAt: time.Now().Round(0),
		})
	}
	return slices.Clone(s.rows[first:])
}

func (s *memoryStore) row(id int64) pombo.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[id-1]
}

// handed is row with the results that are not committed yet.
func (s *memoryStore) handed(id int64) pombo.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.rows[id-1]
	for _, a := range s.queued {
		if a.Delivery == id && d.State == pombo.Pending {
			d.State, d.Attempts, d.Parked = a.State, a.Number, a.Parked
		}
	}
	return d
}

func (s *memoryStore) failing(op string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(op)
}

func (s *memoryStore) Pending(ctx context.Context, webhook string, after int64, limit int) ([]pombo.Delivery, error) {
	return s.find("pending", after, limit, func(d *pombo.Delivery) bool { return d.WebhookID == webhook })
}

func (s *memoryStore) PendingInLane(ctx context.Context, webhook string, lane pombo.Lane, after int64, limit int) ([]pombo.Delivery, error) {
	return s.find("lane", after, limit, func(d *pombo.Delivery) bool { return d.WebhookID == webhook && d.Lane() == lane })
}

func (s *memoryStore) find(op string, after int64, limit int, want func(*pombo.Delivery) bool) ([]pombo.Delivery, error) {
	if s.slow != nil {
		s.slow()
		defer s.slow()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing(op); err != nil {
		return nil, err
	}
	if limit < 1 {
		s.t.Errorf("%s was asked for %d rows", op, limit)
	}
	s.reads++
	var found []pombo.Delivery
	for i := max(after, 0); i < int64(len(s.rows)) && len(found) < limit; i++ {
		if d := &s.rows[i]; d.State == pombo.Pending && want(d) {
			found = append(found, *d)
		}
	}
	s.loaded += len(found)
	return found, nil
}

func (s *memoryStore) Parked(ctx context.Context, webhook string, limit int) ([]pombo.Delivery, error) {
	all, err := s.find("parked", 0, 1<<30, func(d *pombo.Delivery) bool { return d.WebhookID == webhook && d.Parked })
	slices.SortFunc(all, func(a, b pombo.Delivery) int { return a.NextAttempt.Compare(b.NextAttempt) })
	return all[:min(limit, len(all))], err
}

func (s *memoryStore) Settle(ctx context.Context, attempts ...pombo.Attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("settle"); err != nil {
		return err
	}
	for _, a := range attempts {
		s.check(a)
		s.queued = append(s.queued, a)
		if s.onSettle != nil {
			s.onSettle(a)
		}
	}
	if !s.manual {
		s.commitLocked()
	}
	return nil
}

// check holds an attempt to what the schema's constraints demand.
func (s *memoryStore) check(a pombo.Attempt) {
	switch {
	case a.Delivery < 1 || a.Delivery > int64(len(s.rows)):
		s.t.Errorf("attempt of a delivery that does not exist: %+v", a)
	case a.At.IsZero() || a.Number < 1 || len(a.Response) > keptAnswer:
		s.t.Errorf("attempt that makes no sense: %+v", a)
	case (a.State == pombo.Delivered) != (a.ErrorCode == "") || (a.ErrorCode == "") != (a.Error == ""):
		s.t.Errorf("attempt whose error does not fit its state: %+v", a)
	case (a.State == pombo.Dead) != (a.Reason != "") || (a.State == pombo.Pending) == a.NextAttempt.IsZero():
		s.t.Errorf("attempt whose reason or next attempt does not fit its state: %+v", a)
	}
	if a.Parked && a.State != pombo.Pending {
		s.t.Errorf("attempt that ends a delivery and parks it: %+v", a)
	}
	last, parked := s.rows[a.Delivery-1].Attempts, s.rows[a.Delivery-1].Parked
	for _, q := range s.queued {
		if q.Delivery == a.Delivery {
			last, parked = q.Number, q.Parked
		}
	}
	if parked && a.State == pombo.Pending && !a.Parked {
		s.t.Errorf("delivery %d was parked and is not any more", a.Delivery)
	}
	if a.Number != last+1 {
		s.t.Errorf("delivery %d: attempt %d follows %d: the store would ignore it, or miss one", a.Delivery, a.Number, last)
	}
}

func (s *memoryStore) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitLocked()
}

func (s *memoryStore) commitLocked() {
	for _, a := range s.queued {
		d := &s.rows[a.Delivery-1]
		s.committed = append(s.committed, a)
		d.Attempts = a.Number
		if d.State == pombo.Pending {
			d.State, d.Reason, d.NextAttempt, d.Parked = a.State, a.Reason, a.NextAttempt, a.Parked
		}
	}
	s.queued = s.queued[:0]
}

// crash forgets what was not committed.
func (s *memoryStore) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued = s.queued[:0]
}

// disable does what switching a webhook off does to its deliveries.
func (s *memoryStore) disable(webhook string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitLocked()
	for i := range s.rows {
		if d := &s.rows[i]; d.WebhookID == webhook && d.State == pombo.Pending {
			d.State, d.Reason, d.Parked = pombo.Dead, pombo.Disabled, false
		}
	}
}

func (s *memoryStore) pending() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.rows {
		if s.rows[i].State == pombo.Pending {
			n++
		}
	}
	return n
}

func (s *memoryStore) attempts() []pombo.Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.committed)
}

// plain is an Encoder that posts the event's data as it is.
func plain(d pombo.Delivery, w pombo.Webhook) (string, Body, http.Header, error) {
	h := http.Header{}
	for k, v := range w.Headers {
		h.Set(k, v)
	}
	return w.URL, Bytes(d.Event.Data), h, nil
}

// posted is what plain posts.
type posted struct {
	ID   int64  `json:"id"`
	Chat string `json:"chat"`
}

// pipeNet is a network without sockets: under synctest, time goes on while its
// connections wait.
type pipeNet struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeNet() *pipeNet { return &pipeNet{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipeNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
	case <-ctx.Done():
	}
	return nil, errors.Join(errors.New("pipe network is closed"), client.Close(), server.Close())
}

func (p *pipeNet) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipeNet) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipeNet) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// bench is a dispatcher with a store and a receiver, on a clock that jumps.
type bench struct {
	t     *testing.T
	net   *pipeNet
	store *memoryStore
	d     *Dispatcher
	stop  func()
	// bounds are those of the next dispatcher, if set.
	bounds *bounds
}

// onPipe runs f under synctest with a receiver of its own.
func onPipe(t *testing.T, handler http.HandlerFunc, o Options, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, net: newPipeNet(), store: newMemoryStore(t)}
		srv := &http.Server{Handler: handler, ErrorLog: quiet}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(b.net) }()
		b.start(o)
		f(b)
		b.stop()
		if err := srv.Close(); err != nil {
			t.Errorf("closing the receiver: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving: %v", err)
		}
	})
}

// start makes and runs a dispatcher on the bench's store and network.
func (b *bench) start(o Options) {
	o.Store = b.store
	b.run(o)
}

// run runs a dispatcher on the bench's network.
func (b *bench) run(o Options) {
	if o.Encode == nil {
		o.Encode = plain
	}
	d := newDispatcher(o, b.net.dial)
	if b.bounds != nil {
		d.bounds = *b.bounds
	}
	b.d = d
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run: %v", err)
		}
		synctest.Wait()
	})
}

// add stores and announces deliveries.
func (b *bench) add(webhook string, chats ...string) []pombo.Delivery {
	ds := b.store.add(webhook, chats...)
	b.d.Notify(ds)
	return ds
}

func hook(id string) pombo.Webhook {
	return pombo.Webhook{ID: id, URL: "http://receiver.test/" + id, Enabled: true}
}

// steady is the default policy without jitter.
func steady() Policy {
	p := DefaultPolicy()
	p.Jitter = 0
	return p
}

func body(t testing.TB, r *http.Request) (p posted) {
	t.Helper()
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(r.Body); err != nil {
		t.Logf("reading the body: %v", err)
		return p
	}
	if err := json.Unmarshal(buf.Bytes(), &p); err != nil {
		t.Errorf("the body %q: %v", buf.Bytes(), err)
	}
	return p
}

// testLogger logs into w, which is read when nothing logs any more.
func testLogger(w *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
