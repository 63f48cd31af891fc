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
	Open     bool
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
	// down has the instances without a connection, and since when.
	down map[string]*outage
}

type outage struct {
	since time.Time
	told  bool
}

// interval is the time between two looks.
const interval = 15 * time.Second

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	w.high, w.down = map[string]bool{}, map[string]*outage{}
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
		o := w.down[l.Instance]
		switch {
		case l.Open:
			if o != nil && o.told {
				w.Logger.Info("instance is connected again", "instance", l.Instance, "after", now.Sub(o.since).Round(time.Second).String())
				w.Bell.Ring(InstanceOnline, Alarm{
					Instance: l.Instance, Since: stamp(o.since),
					Message: fmt.Sprintf("The instance %q is connected to WhatsApp again.", l.Instance),
				})
			}
			delete(w.down, l.Instance)
		case o == nil && l.Expected:
			w.down[l.Instance] = &outage{since: now}
		case o != nil && !o.told && now.Sub(o.since) >= w.Patience:
			// Also one that was unlinked meanwhile: it was to be connected.
			o.told = true
			w.Logger.Warn("instance is not connected to WhatsApp", "instance", l.Instance, "since", stamp(o.since), "paired", l.Expected)
			message := fmt.Sprintf("The instance %q has not been connected to WhatsApp for %s.", l.Instance, w.Patience)
			if !l.Expected {
				message = fmt.Sprintf("The instance %q was unlinked from its phone, and has to be paired again.", l.Instance)
			}
			w.Bell.Ring(InstanceOffline, Alarm{Instance: l.Instance, Since: stamp(o.since), Message: message})
		}
	}
	for name := range w.down {
		if !living[name] {
			delete(w.down, name)
		}
	}
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
