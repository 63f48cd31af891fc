package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"pombo"
	"pombo/internal/leaktest"
)

// quiet is where receivers complain.
var quiet = slog.NewLogLogger(slog.DiscardHandler, 0)

func TestMain(m *testing.M) { leaktest.Main(m) }

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
