package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pombo"
	"pombo/internal/warm"
)

// Store is where deliveries wait. Its methods are called from many goroutines.
type Store interface {
	// Pending returns deliveries of a webhook that are pending and have an ID
	// above after, oldest first. Fewer than limit means that there were no more.
	Pending(ctx context.Context, webhookID string, after int64, limit int) ([]pombo.Delivery, error)
	// PendingInLane is Pending for one lane.
	PendingInLane(ctx context.Context, webhookID string, lane pombo.Lane, after int64, limit int) ([]pombo.Delivery, error)
	// Parked returns deliveries of a webhook that are pending and parked, those
	// first whose next attempt is due first. What was settled before the call counts.
	Parked(ctx context.Context, webhookID string, limit int) ([]pombo.Delivery, error)
	// HurryParked makes all of those due at once.
	HurryParked(ctx context.Context, webhookID string) error
	// Settle takes the results of attempts. It may commit them later, in the
	// order in which they were handed over; until then a crash repeats those
	// deliveries. A delivery that is dead by then stays dead.
	Settle(ctx context.Context, attempts ...pombo.Attempt) error
}

// Encoder puts the request for a delivery together: the URL to post to, the body
// and the webhook's own headers. The body must be the same on every call for the
// same delivery. The error NotReady puts the delivery off. It is called from many
// goroutines.
type Encoder func(d pombo.Delivery, w pombo.Webhook) (url string, body Body, header http.Header, err error)

// Options are the parts and habits of a Dispatcher. Store and Encode are required.
type Options struct {
	Store  Store
	Encode Encoder
	// Policy is DefaultPolicy if its Timeout is 0.
	Policy Policy
	Logger *slog.Logger // nil: nothing is logged
	// Gone is called when an endpoint answers 410 Gone, with the webhook as it was
	// posted to: it is meant to disable it, in the store and by SetWebhook. One
	// call per webhook at a time. Unless it does so, a 410 is retried like a 404.
	Gone func(ctx context.Context, w pombo.Webhook)
	// Report, if set, is told what an operator may want to know. It must not block,
	// nor call the Dispatcher.
	Report func(Report)
	// BlockPrivate refuses to connect to loopback and private addresses. Link-local
	// ones and those of cloud metadata are refused in any case.
	BlockPrivate bool
	// MaxInFlight bounds the POSTs in flight over all webhooks, each of which
	// may have one beyond that. 0: 2048.
	MaxInFlight int
	// Grace is how long POSTs in flight may take when Run ends. 0: 10 s.
	Grace time.Duration
}

// settleGrace is how long the store may take the last results after Grace.
const settleGrace = 5 * time.Second

// Dispatcher makes the deliveries of all webhooks.
type Dispatcher struct {
	store  Store
	encode Encoder
	policy Policy
	log    *slog.Logger
	gone   func(ctx context.Context, w pombo.Webhook)
	grace  time.Duration

	onReport func(Report)

	client *client
	slots  *slots
	bounds bounds
	usage  usage
	pacer  pacer
	wg     sync.WaitGroup // workers and readers
	warm   *warm.Pool     // for workers
	// refused tells that the store did not take the last result.
	refused atomic.Bool
	hurried atomic.Int64 // how often Hurry was called

	// life ends when POSTs in flight are cut; settling a little later.
	life, settling  context.Context
	cut, giveUp     context.CancelCauseFunc
	reads           context.Context // set by Run: ends as soon as Run is told to end
	mu              sync.Mutex
	runners         map[string]*runner
	began, finished bool
}

// New returns a Dispatcher without webhooks. Nothing happens before Run.
func New(o Options) *Dispatcher { return newDispatcher(o, nil) }

func newDispatcher(o Options, dial dialFunc) *Dispatcher {
	if o.Policy.Timeout == 0 {
		o.Policy = DefaultPolicy()
	}
	d := &Dispatcher{
		store: o.Store, encode: o.Encode, policy: o.Policy, gone: o.Gone,
		log:      cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		grace:    cmp.Or(o.Grace, 10*time.Second),
		onReport: o.Report,
		slots:    newSlots(cmp.Or(o.MaxInFlight, 2048)),
		runners:  map[string]*runner{}, bounds: standardBounds, warm: warm.New(),
	}
	d.life, d.cut = context.WithCancelCause(context.Background())
	d.settling, d.giveUp = context.WithCancelCause(context.Background())
	d.client = newClient(d.life, guard{blockPrivate: o.BlockPrivate}, dial)
	return d
}

// Run makes deliveries until ctx ends. Then it begins no more, lets those in
// flight finish within Options.Grace, cuts what is left, and hands the results
// to the store. It can be called once; the error is that of a wrong Policy.
func (d *Dispatcher) Run(ctx context.Context) error {
	if err := d.policy.Validate(); err != nil {
		return fmt.Errorf("starting deliveries: %w", err)
	}
	if err := d.begin(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	d.end()
	return nil
}

func (d *Dispatcher) begin(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.began {
		return fmt.Errorf("starting deliveries: Run was called before")
	}
	d.began, d.reads = true, ctx
	for _, r := range d.runners {
		r.open()
	}
	return nil
}

func (d *Dispatcher) end() {
	d.mu.Lock()
	d.finished = true
	for _, r := range d.runners {
		r.close()
	}
	d.mu.Unlock()

	done := make(chan struct{})
	go func() { defer close(done); d.wg.Wait() }()
	if !within(done, d.grace) {
		d.cut(errStopped)
		if !within(done, settleGrace) {
			d.giveUp(errStopped)
			<-done
		}
	}
	d.warm.Close()
	d.cut(errStopped)
	d.giveUp(errStopped)
	d.client.close()
}

// fly has a worker do something.
func (d *Dispatcher) fly(do func()) {
	d.wg.Add(1)
	d.warm.Go(func() {
		defer d.wg.Done()
		do()
	})
}

func within(done <-chan struct{}, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// SetWebhook puts w in force: it is new, was changed, or was switched on or off.
//
// Switched off (or without a URL), nothing more is sent to it; what is in flight
// may finish, but is not tried again. Before, the store must have made its
// pending deliveries dead. Switched on, everything that the store has pending for
// it is delivered, from the oldest on.
//
// A change of where or how it is posted applies to what is pending, and makes
// due at once what waits for a retry.
func (d *Dispatcher) SetWebhook(w pombo.Webhook) {
	w.Headers, w.Events, w.Secrets = maps.Clone(w.Headers), slices.Clone(w.Events), slices.Clone(w.Secrets)
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.runners[w.ID]
	if r == nil {
		r = newRunner(d, w.ID)
		d.runners[w.ID] = r
		if d.began && !d.finished {
			r.open()
		}
	}
	r.set(w)
}

// RemoveWebhook forgets a webhook as if it had been switched off.
func (d *Dispatcher) RemoveWebhook(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.runners[id]; r != nil && r.remove() {
		delete(d.runners, id)
	}
}

// forget drops a removed runner whose last flight has ended.
func (d *Dispatcher) forget(r *runner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runners[r.id] == r && r.remains() == 0 {
		delete(d.runners, r.id)
	}
}

// Notify announces deliveries that were just committed. The store calls it after
// each commit, in the order of commits, with ascending IDs. It does not block. A
// delivery for a webhook that is not set is ignored: SetWebhook reads it from
// the store.
func (d *Dispatcher) Notify(ds []pombo.Delivery) {
	for len(ds) > 0 {
		n := 1
		for n < len(ds) && ds[n].WebhookID == ds[0].WebhookID {
			n++
		}
		d.mu.Lock()
		r := d.runners[ds[0].WebhookID]
		d.mu.Unlock()
		if r != nil {
			r.notify(ds[:n])
		}
		ds = ds[n:]
	}
}
