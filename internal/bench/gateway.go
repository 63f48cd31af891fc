package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"pombo"
	"pombo/internal/dispatch"
	"pombo/internal/evolution"
	"pombo/internal/metrics"
	"pombo/internal/store"
)

// gatewayChild is the gateway without WhatsApp and without its API: the real store
// and the real dispatcher, joined as internal/app joins them, with the same envelope
// and the same metrics. Events are handed to Store.Append as a session does it: each
// instance appends one, waits until it is committed, and only then the next.
type gatewayChild struct {
	store   *store.Store
	deliver *dispatch.Dispatcher
	names   map[pombo.InstanceID]string
	backlog pombo.Webhook
	metrics *counting

	stop    context.CancelFunc
	ended   chan error
	watcher sync.WaitGroup

	mu    sync.Mutex
	peaks peaks
}

// counting is the gateway's metrics, and counts transactions.
type counting struct {
	*metrics.Metrics
	commits atomic.Int64
}

// Committed counts a transaction.
func (c *counting) Committed(took time.Duration, events, attempts int) {
	c.commits.Add(1)
	c.Metrics.Committed(took, events, attempts)
}

// peaks are the largest values seen, twice a second.
type peaks struct {
	RSS        float64 // MB
	Sockets    int
	Goroutines int
	// Commits is the number of transactions.
	Commits int64
}

// openOrder says what gateway to open.
type openOrder struct {
	URI       string
	Instances int
	// Port is where the endpoint listens, at every address of 127.0.0.0/8.
	Port int
	// Each gives every instance a webhook of its own, at a host of its own.
	// Otherwise one, the global one, has the events of all.
	Each bool
	// Down adds an instance with a webhook that nobody answers, for a backlog.
	Down bool
}

// The names of events tell the webhooks apart.
const (
	loadEvent    = pombo.MessagesUpsert
	backlogEvent = pombo.MessagesUpdate
)

func (g *gatewayChild) orders() map[string]handler {
	return map[string]handler{
		"open":    with(g.open),
		"burst":   with(g.burst),
		"steady":  with(g.steady),
		"fill":    with(g.fill),
		"answer":  with(g.answer),
		"profile": with(g.profile),
		"peaks":   with(g.takePeaks),
	}
}

func (g *gatewayChild) open(ctx context.Context, o openOrder) (any, error) {
	load := newLoad("", 1, o.Instances)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	g.metrics = &counting{Metrics: metrics.New()}
	var global *pombo.Webhook
	if !o.Each {
		global = &pombo.Webhook{ID: pombo.GlobalWebhookID, Enabled: true, URL: hookURL(0, o.Port), Events: []pombo.EventName{loadEvent}}
	}
	var err error
	g.store, err = store.Open(ctx, store.Options{
		URI: o.URI, Global: global, Logger: log, Observe: g.metrics,
		OnAppend: func(ds []pombo.Delivery) { g.deliver.Notify(ds) },
	})
	if err != nil {
		return nil, err
	}
	g.names = map[pombo.InstanceID]string{}
	g.deliver = dispatch.New(dispatch.Options{Store: g.store, Encode: g.encode, Logger: log, Policy: dispatch.DefaultPolicy()})
	if global != nil {
		g.deliver.SetWebhook(*global)
	}
	err = each(ctx, o.Instances, func(ctx context.Context, i int) error {
		var hook *pombo.Webhook
		if o.Each {
			hook = &pombo.Webhook{Enabled: true, URL: hookURL(i, o.Port), Events: []pombo.EventName{loadEvent}}
		}
		return g.add(ctx, pombo.Instance{ID: load.instance(i), Name: instanceName(i), Token: "token"}, hook)
	})
	if err == nil && o.Down {
		g.backlog = pombo.Webhook{Enabled: true, URL: nowhere, Events: []pombo.EventName{backlogEvent}}
		err = g.add(ctx, pombo.Instance{ID: backlogInstance, Name: "backlog", Token: "token"}, &g.backlog)
	}
	if err != nil {
		return nil, err
	}
	ctx, g.stop = context.WithCancel(context.Background())
	g.ended = make(chan error, 1)
	go func() { g.ended <- g.deliver.Run(ctx) }()
	g.watcher.Go(func() { g.watch(ctx) })
	return nil, nil
}

// nowhere is the URL of a webhook that is down: port 9 (discard) refuses.
const nowhere = "http://127.255.0.1:9/"

// hookURL is where the webhook of an instance points: each is a host of its own.
func hookURL(i, port int) string {
	return fmt.Sprintf("http://127.1.%d.%d:%d/webhook", i/250, i%250+1, port)
}

// add makes an instance, unless the database has it from an earlier process.
func (g *gatewayChild) add(ctx context.Context, i pombo.Instance, w *pombo.Webhook) error {
	g.mu.Lock()
	g.names[i.ID] = i.Name
	g.mu.Unlock()
	known, ok, err := g.store.Webhook(ctx, i.ID)
	if err != nil {
		return err
	}
	if _, _, there, err := g.store.Identity(ctx, i.ID); err != nil {
		return err
	} else if !there {
		if err := g.store.CreateInstance(ctx, i, w); err != nil {
			return err
		}
	} else if ok && w != nil {
		*w = known
	}
	if w != nil {
		g.deliver.SetWebhook(*w)
	}
	return nil
}

// encode is what internal/app's encoder does for an event without a file.
func (g *gatewayChild) encode(d pombo.Delivery, w pombo.Webhook) (string, dispatch.Body, http.Header, error) {
	url, err := evolution.EventURL(w.URL, w.ByEvents, d.Event.Name)
	if err != nil {
		return "", nil, nil, err
	}
	header, err := evolution.AttemptHeader(w, d.MessageID, time.Now())
	if err != nil {
		return "", nil, nil, err
	}
	return url, dispatch.Bytes(envelope(d.Event, g.names[d.Event.Instance], w.URL)), header, nil
}

func envelope(e pombo.Event, instance, destination string) []byte {
	body, _ := evolution.Envelope(evolution.EnvelopeInput{
		Event: e.Name, Instance: instance, Data: e.Data, Destination: destination,
		Time: e.Time, Sender: e.Sender, ServerURL: "http://localhost:8080", APIKey: "token",
	})
	return body
}

func (g *gatewayChild) close() error {
	if g.store == nil {
		return nil
	}
	var err error
	if g.stop != nil {
		g.stop()
		err = <-g.ended
		g.watcher.Wait()
	}
	return errors.Join(err, g.store.Close())
}

// answer lets the webhook that was down point to an endpoint.
func (g *gatewayChild) answer(ctx context.Context, url string) (any, error) {
	g.backlog.URL = url
	w, err := g.store.PutWebhook(ctx, g.backlog)
	if err != nil {
		return nil, err
	}
	g.backlog = w
	g.deliver.SetWebhook(w)
	return nil, nil
}

// profile begins a CPU profile at a path, or ends it if the path is "".
func (g *gatewayChild) profile(_ context.Context, path string) (any, error) {
	if path == "" {
		pprof.StopCPUProfile()
		return nil, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	var f io.Writer
	f, err := os.Create(path) // the process's end closes it
	if err != nil {
		return nil, err
	}
	return nil, pprof.StartCPUProfile(f)
}

func (g *gatewayChild) watch(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rss, err := residentMB(os.Getpid())
		if err != nil {
			continue // the next look may succeed; without any, the peak is 0
		}
		n, err := sockets(os.Getpid())
		if err != nil {
			continue
		}
		g.mu.Lock()
		p := &g.peaks
		p.RSS, p.Sockets, p.Goroutines = max(p.RSS, rss), max(p.Sockets, n), max(p.Goroutines, runtime.NumGoroutine())
		g.mu.Unlock()
	}
}

// takePeaks returns the peaks since it was called last.
func (g *gatewayChild) takePeaks(context.Context, json.RawMessage) (any, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.peaks
	p.Commits = g.metrics.commits.Swap(0)
	g.peaks = peaks{}
	return p, nil
}
