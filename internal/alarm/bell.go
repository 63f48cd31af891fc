package alarm

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pombo"
)

// Kind says what an alarm is about.
type Kind string

// The kinds of alarms.
const (
	CircuitOpened   Kind = "circuit.opened"   // an endpoint fails; its events wait
	CircuitClosed   Kind = "circuit.closed"   // it works again
	WebhookDisabled Kind = "webhook.disabled" // it answered 410 Gone
	WebhookGone     Kind = "webhook.gone"     // the global one answered 410 Gone, and is retried
	EventsDied      Kind = "events.died"      // events were given up
	BacklogHigh     Kind = "backlog.high"     // more is pending than the limit
	BacklogNormal   Kind = "backlog.normal"   // less than half of the limit again
	InstanceOffline Kind = "instance.offline" // paired, but not connected for long
	InstanceOnline  Kind = "instance.online"  // connected again
)

// Alarm is the data of one alarm, as it is posted.
type Alarm struct {
	Message  string `json:"message"` // a sentence for people
	Instance string `json:"instance,omitempty"`
	Webhook  string `json:"webhook,omitempty"` // its ID
	URL      string `json:"url,omitempty"`     // the webhook's, without what may be secret
	Event    string `json:"event,omitempty"`   // of the first event that died
	// MessageID is the webhook-id of the first event that died.
	MessageID string `json:"messageId,omitempty"`
	Count     int    `json:"count,omitempty"` // of failures, events, or deliveries pending
	Code      string `json:"code,omitempty"`  // the last attempt's error code
	Status    int    `json:"status,omitempty"`
	Reason    string `json:"reason,omitempty"` // a sentence about the last attempt
	Since     string `json:"since,omitempty"`  // RFC 3339
	// Suppressed counts the alarms about the same thing that were left out since
	// the last one, because they came too close.
	Suppressed int `json:"suppressed,omitempty"`
}

// Options configure a Bell.
type Options struct {
	URL string // posted to; "": alarms go nowhere
	// Sign returns the value of the header webhook-signature; nil for none.
	Sign   func(id string, at time.Time, body []byte) (string, error)
	Logger *slog.Logger // nil: nothing is logged
	// Dial is for tests; nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	// room is how many alarms wait at most; older ones are given up for newer.
	room = 256
	// spacing is the least time between two alarms of one kind about one thing.
	spacing = 5 * time.Minute
	// gathering is how long events that died are gathered for one alarm.
	gathering = 10 * time.Second
	// timeout bounds one POST, drainTime what is posted when Run ends.
	timeout, drainTime = 10 * time.Second, 3 * time.Second
)

// pauses are waited between the tries of one alarm.
var pauses = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute}

// Bell posts alarms. Its methods may be called from any goroutine and never wait.
type Bell struct {
	o      Options
	log    *slog.Logger
	client *http.Client

	mu      sync.Mutex
	queue   []posting
	lost    int // given up for want of room
	last    map[subject]*quiet
	wake    chan struct{} // capacity 1
	failing bool
}

// subject is what alarms are held apart by: the first half of their kind, and the
// instance or webhook.
type subject struct{ family, about string }

// quiet is what is known of a subject: what was told of it lately, and what is
// held back because it came too close.
type quiet struct {
	until  map[Kind]time.Time // until when no other alarm of this kind is posted
	held   *Alarm             // the latest that was held back; of events that died, the first
	kind   Kind               // its kind
	due    time.Time          // when it is posted
	count  int                // alarms that were held back
	deaths int                // events that died and were not told yet
}

// posting is an alarm on its way.
type posting struct {
	id   string
	kind Kind
	body []byte
}

// New returns a Bell. Nothing is posted before Run.
func New(o Options) *Bell {
	transport := &http.Transport{DialContext: o.Dial, TLSHandshakeTimeout: timeout, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true}
	return &Bell{
		o: o, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), last: map[subject]*quiet{}, wake: make(chan struct{}, 1),
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// Ring posts an alarm, unless one of its kind about the same thing (an instance or
// a webhook) was posted within five minutes: then it is posted after that, in place
// of all that came before it.
func (b *Bell) Ring(kind Kind, a Alarm) {
	if b.o.URL == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	q := b.about(kind, a, now)
	if q.held == nil && !q.until[kind].After(now) {
		q.until[kind] = now.Add(spacing)
		b.push(kind, a, now)
		return
	}
	q.held, q.kind, q.due = &a, kind, now
	if q.until[kind].After(now) {
		q.due = q.until[kind]
	}
	q.count++
	b.signal()
}

// Died gathers events that were given up, and rings for those of one webhook
// together: ten seconds after the first, and then every five minutes at most.
func (b *Bell) Died(a Alarm) {
	if b.o.URL == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	q := b.about(EventsDied, a, now)
	if q.deaths++; q.held == nil {
		q.held, q.kind, q.due = &a, EventsDied, now.Add(gathering)
		if q.until[EventsDied].After(q.due) {
			q.due = q.until[EventsDied]
		}
		b.signal()
	}
}

// about returns what is known of an alarm's subject, and forgets what is over. The
// caller holds the lock.
func (b *Bell) about(kind Kind, a Alarm, now time.Time) *quiet {
	if len(b.last) >= 4*room {
		maps.DeleteFunc(b.last, func(_ subject, q *quiet) bool {
			for _, until := range q.until {
				if until.After(now) {
					return false
				}
			}
			return q.held == nil
		})
	}
	family, _, _ := strings.Cut(string(kind), ".")
	s := subject{family, a.Webhook + "/" + a.Instance}
	q := b.last[s]
	if q == nil {
		q = &quiet{until: map[Kind]time.Time{}}
		b.last[s] = q
	}
	return q
}

// tell puts what was held back and is due into the queue. It returns when the
// next is due, zero if there is none.
func (b *Bell) tell(now time.Time) (next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.last {
		switch {
		case q.held == nil:
		case q.due.After(now):
			if next.IsZero() || q.due.Before(next) {
				next = q.due
			}
		default:
			a := *q.held
			if a.Suppressed = max(q.count-1, 0); q.deaths > 0 {
				a.Count = q.deaths
			}
			q.held, q.count, q.deaths = nil, 0, 0
			q.until[q.kind] = now.Add(spacing)
			b.push(q.kind, a, now)
		}
	}
	return next
}

// push puts an alarm into the queue. The caller holds the lock.
func (b *Bell) push(kind Kind, a Alarm, now time.Time) {
	body, err := json.Marshal(struct {
		Type      Kind   `json:"type"`
		Timestamp string `json:"timestamp"`
		Data      Alarm  `json:"data"`
	}{kind, now.UTC().Format("2006-01-02T15:04:05.000Z07:00"), a})
	if err != nil {
		b.log.Error("an alarm could not be put together", "kind", kind, "error", err)
		return
	}
	if len(b.queue) >= room {
		b.queue = b.queue[1:]
		b.lost++
	}
	b.queue = append(b.queue, posting{id: "alarm_" + strings.ToLower(rand.Text()), kind: kind, body: body})
	b.signal()
}

func (b *Bell) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Run posts alarms until ctx ends; then it tries once to post what waits.
func (b *Bell) Run(ctx context.Context) {
	defer b.client.CloseIdleConnections()
	for ctx.Err() == nil {
		next := b.tell(time.Now())
		if p, ok := b.pop(); ok {
			b.deliver(ctx, p)
			continue
		}
		wait := time.NewTimer(time.Hour)
		if !next.IsZero() {
			wait.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-b.wake:
		case <-wait.C:
		}
		wait.Stop()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	b.tell(time.Now().Add(spacing)) // whatever was gathered
	for p, ok := b.pop(); ok && last.Err() == nil; p, ok = b.pop() {
		if err := b.post(last, p); err != nil {
			b.log.Warn("an alarm was not posted before the end", "kind", p.kind, "error", err)
			return
		}
	}
}

func (b *Bell) pop() (posting, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost > 0 {
		b.log.Warn("alarms were given up because too many wait", "count", b.lost)
		b.lost = 0
	}
	if len(b.queue) == 0 {
		return posting{}, false
	}
	p := b.queue[0]
	b.queue = b.queue[1:]
	return p, true
}

// deliver posts an alarm, again and again for some minutes.
func (b *Bell) deliver(ctx context.Context, p posting) {
	for n := 0; ; n++ {
		err := b.post(ctx, p)
		switch {
		case err == nil:
			if b.failing {
				b.failing = false
				b.log.Info("the operational webhook takes alarms again")
			}
			return
		case !b.failing && ctx.Err() == nil:
			b.failing = true
			b.log.Warn("the operational webhook (WEBHOOK_OPERATIONAL_URL) does not take alarms", "error", err)
		}
		if n < len(pauses) && !sleep(ctx, pauses[n]) || ctx.Err() != nil {
			b.mu.Lock()
			b.queue = slices.Insert(b.queue, 0, p) // Run tries once more
			b.mu.Unlock()
			return
		}
		if n == len(pauses) {
			b.log.Warn("an alarm was not posted", "kind", p.kind, "error", err)
			return
		}
	}
}

// post makes one attempt. Its errors hold no part of the URL.
func (b *Bell) post(ctx context.Context, p posting) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.o.URL, bytes.NewReader(p.body))
	if err != nil {
		return errors.New("its URL cannot be posted to")
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Pombo/"+pombo.Version)
	req.Header.Set("Webhook-Id", p.id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if b.o.Sign != nil {
		signature, err := b.o.Sign(p.id, now, p.body)
		if err != nil {
			return fmt.Errorf("signing: %w", err)
		}
		req.Header.Set("Webhook-Signature", signature)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		var wrapped *url.Error // its text has the whole URL
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// sleep waits for d and returns true, or false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ShownURL returns a webhook's URL without what may be secret: user, query and
// fragment.
func ShownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
