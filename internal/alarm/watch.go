package alarm

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Backlog is what waits at one webhook.
type Backlog struct {
	Webhook, Instance, URL string
	Pending                int // counted up to the limit
}

// Line is the connection of one instance.
type Line struct {
	Instance string
	// Expected tells that it should be connected: a phone has linked it.
	Expected bool
	// Unlinked tells that the phone, or WhatsApp, took that back: it waits for a person.
	Unlinked bool
	Open     bool
	// Changes counts how often it was opened and lost so far: one that comes and
	// goes between two looks is noticed by it.
	Changes int
}

// Watch looks at regular intervals for what nobody reports.
type Watch struct {
	Bell   *Bell
	Logger *slog.Logger
	// Limit is how many pending deliveries of one webhook raise an alarm.
	Limit int
	// Patience is how long an instance may be without a connection.
	Patience time.Duration
	// Backlogs returns the webhooks that may have a backlog, counted up to limit.
	Backlogs func(ctx context.Context, limit int) ([]Backlog, error)
	// Lines returns the living instances.
	Lines func() []Line

	high map[string]bool // webhooks whose backlog was told
	// known has the instances as they were at the last look.
	known map[string]*line
}

// line is what is known of an instance's connection.
type line struct {
	changes int       // Line.Changes
	up      time.Time // since when it is open; zero: it is not
	// lost is when the outage began that is not over yet, zero: there is none; told
	// tells whether an alarm was raised.
	lost time.Time
	told bool
}

// interval is the time between two looks.
const interval = 15 * time.Second

// steady is how long a connection has to hold until an outage is over, if Patience
// is not shorter: WhatsApp has answered two keepalives by then. One that is lost
// before that, again and again, is no better than none.
const steady = 2 * time.Minute

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	w.high, w.known = map[string]bool{}, map[string]*line{}
	tick := time.NewTicker(min(interval, max(w.Patience/4, 10*time.Millisecond)))
	defer tick.Stop()
	for {
		w.lines(time.Now())
		w.backlogs(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *Watch) lines(now time.Time) {
	living := map[string]bool{}
	for _, l := range w.Lines() {
		living[l.Instance] = true
		k := w.known[l.Instance]
		if k == nil {
			k = &line{changes: l.Changes}
			w.known[l.Instance] = k
		}
		w.line(k, l, now)
	}
	for name := range w.known {
		if !living[name] {
			delete(w.known, name)
		}
	}
}

// line looks at one instance.
func (w *Watch) line(k *line, l Line, now time.Time) {
	lost := !l.Open
	switch {
	case lost:
		k.up = time.Time{}
	case k.up.IsZero():
		k.up = now
	case l.Changes != k.changes: // it was gone in between
		lost, k.up = true, now
	}
	k.changes = l.Changes
	switch {
	case !l.Open && !l.Expected && !l.Unlinked: // not paired yet, or logged out as was asked for
		k.lost, k.told = time.Time{}, false
	case lost:
		if k.lost.IsZero() {
			k.lost = now
		}
		if !k.told && (l.Unlinked || now.Sub(k.lost) >= w.Patience) {
			k.told = true
			w.offline(k, l)
		}
	case !k.lost.IsZero() && now.Sub(k.up) >= min(steady, w.Patience):
		if k.told {
			w.Logger.Info("instance is connected again", "instance", l.Instance, "after", now.Sub(k.lost).Round(time.Second).String())
			w.Bell.Ring(InstanceOnline, Alarm{
				Instance: l.Instance, Since: stamp(k.lost),
				Message: fmt.Sprintf("The instance %q is connected to WhatsApp again.", l.Instance),
			})
		}
		k.lost, k.told = time.Time{}, false
	}
}

// offline tells of an instance that was unlinked, or has not been connected, or not
// for long, for Patience or more.
func (w *Watch) offline(k *line, l Line) {
	message := fmt.Sprintf("The instance %q has not been connected to WhatsApp for %s.", l.Instance, w.Patience)
	switch {
	case l.Unlinked:
		message = fmt.Sprintf("The instance %q was unlinked from its phone, and has to be paired again.", l.Instance)
	case l.Open:
		message = fmt.Sprintf("The instance %q connects to WhatsApp and loses the connection again, for %s now.", l.Instance, w.Patience)
	}
	w.Logger.Warn("instance is not connected to WhatsApp", "instance", l.Instance, "since", stamp(k.lost), "unlinked", l.Unlinked, "comes_and_goes", l.Open)
	w.Bell.Ring(InstanceOffline, Alarm{Instance: l.Instance, Since: stamp(k.lost), Message: message})
}

func (w *Watch) backlogs(ctx context.Context) {
	all, err := w.Backlogs(ctx, w.Limit)
	if err != nil {
		if ctx.Err() == nil {
			w.Logger.Warn("the backlogs could not be counted", "error", err)
		}
		return
	}
	seen := map[string]bool{}
	for _, b := range all {
		seen[b.Webhook] = true
		a := Alarm{Webhook: b.Webhook, Instance: b.Instance, URL: ShownURL(b.URL), Count: b.Pending}
		switch {
		case b.Pending >= w.Limit && !w.high[b.Webhook]:
			w.high[b.Webhook] = true
			w.Logger.Warn("a webhook's backlog is long", "webhook", b.Webhook, "instance", b.Instance, "pending_at_least", b.Pending)
			a.Message = fmt.Sprintf("At least %d events wait for a webhook: its endpoint fails, or is slower than they come.", b.Pending)
			w.Bell.Ring(BacklogHigh, a)
		case b.Pending < w.Limit/2:
			w.ease(a)
		}
	}
	for id := range w.high {
		if !seen[id] {
			w.ease(Alarm{Webhook: id})
		}
	}
}

// ease tells that a backlog is no longer long, if it was told that it was.
func (w *Watch) ease(a Alarm) {
	if !w.high[a.Webhook] {
		return
	}
	delete(w.high, a.Webhook)
	w.Logger.Info("a webhook's backlog is short again", "webhook", a.Webhook, "instance", a.Instance, "pending", a.Count)
	a.Message = "The backlog of a webhook is short again."
	w.Bell.Ring(BacklogNormal, a)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
