package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"pombo"
	"pombo/internal/alarm"
	"pombo/internal/dispatch"
)

// openBell makes what alarms are raised with.
func (a *App) openBell() {
	cfg := a.o.Config.Alarm
	o := alarm.Options{URL: cfg.URL.Reveal(), Logger: a.log.With("part", "alarm")}
	if key := cfg.Secret.Reveal(); key != "" {
		o.Sign = func(id string, at time.Time, body []byte) (string, error) {
			return dispatch.Sign([]pombo.SigningSecret{{Key: key}}, id, at, dispatch.Bytes(body))
		}
	}
	a.bell = alarm.New(o)
}

// watch looks for what nobody reports, until ctx ends.
func (a *App) watch(ctx context.Context) {
	cfg := a.o.Config.Alarm
	w := alarm.Watch{
		Bell: a.bell, Logger: a.log.With("part", "alarm"), Limit: cfg.Backlog,
		Patience: time.Duration(cfg.OfflineMinutes * float64(time.Minute)),
		Backlogs: a.backlogs, Lines: a.lines,
	}
	w.Run(ctx)
}

// backlogs counts what is pending for the webhooks that do not keep up.
func (a *App) backlogs(ctx context.Context, limit int) ([]alarm.Backlog, error) {
	var all []alarm.Backlog
	for _, s := range a.deliver.Stats() {
		if !s.Behind && s.Lanes == 0 && s.Parked == 0 {
			continue
		}
		n, err := a.store.CountPending(ctx, s.WebhookID, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, alarm.Backlog{Webhook: s.WebhookID, Instance: a.nameOf(s.Webhook.Instance), URL: s.Webhook.URL, Pending: n})
	}
	return all, nil
}

// lines tells which instances should be connected, and which are.
func (a *App) lines() []alarm.Line {
	views := a.manager.List()
	all := make([]alarm.Line, len(views))
	living := make(map[pombo.InstanceID]bool, len(views))
	for i, v := range views {
		living[v.ID] = true
		all[i] = alarm.Line{Instance: v.Name, Expected: v.Paired(), Unlinked: v.Unlinked, Open: v.State == pombo.StateOpen, Changes: a.changes.of(v.ID)}
	}
	a.changes.keep(living)
	return all
}

// changes counts the CONNECTION_UPDATEs of each instance.
type changes struct {
	mu    sync.Mutex
	count map[pombo.InstanceID]int
}

func (c *changes) of(id pombo.InstanceID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[id]
}

// keep forgets the instances that are gone.
func (c *changes) keep(living map[pombo.InstanceID]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.count, func(id pombo.InstanceID, _ int) bool { return !living[id] })
}

func (c *changes) add(id pombo.InstanceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[pombo.InstanceID]int{}
	}
	c.count[id]++
}

// sink is the store, as sessions know it.
type sink struct{ a *App }

// Append implements whatsapp.Sink.
func (s sink) Append(ctx context.Context, events ...pombo.Event) error {
	if err := s.a.store.Append(ctx, events...); err != nil {
		return err
	}
	for i := range events {
		if events[i].Name == pombo.ConnectionUpdate {
			s.a.changes.add(events[i].Instance)
		}
	}
	return nil
}

// nameOf returns the name of a living instance, or its ID; "" for the global
// webhook's.
func (a *App) nameOf(id pombo.InstanceID) string {
	for _, v := range a.manager.List() {
		if v.ID == id {
			return v.Name
		}
	}
	return string(id)
}

// about begins an alarm about a webhook.
func (a *App) about(w pombo.Webhook) alarm.Alarm {
	return alarm.Alarm{Webhook: w.ID, Instance: a.nameOf(w.Instance), URL: alarm.ShownURL(w.URL)}
}

// reported turns what dispatch reports into alarms. It holds no lock of dispatch's
// up: naming the instance is left to another goroutine.
func (a *App) reported(r dispatch.Report) {
	select {
	case a.reports <- r:
	default: // the log has it
	}
}

// ringReports raises alarms for what dispatch reports, until ctx ends.
func (a *App) ringReports(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-a.reports:
			a.ring(r)
		}
	}
}

func (a *App) ring(r dispatch.Report) {
	al := a.about(r.Webhook)
	al.Code, al.Status, al.Reason = r.Code, r.Status, r.Reason
	switch r.Kind {
	case dispatch.CircuitOpened:
		al.Count = r.Failures
		al.Message = fmt.Sprintf("A webhook failed %d times in a row: its events wait, and one at a time is tried.", r.Failures)
		a.bell.Ring(alarm.CircuitOpened, al)
	case dispatch.CircuitClosed:
		al.Since = r.Since.UTC().Format(time.RFC3339)
		al.Message = "A webhook answers again: the events that waited are delivered."
		a.bell.Ring(alarm.CircuitClosed, al)
	case dispatch.Died:
		al.Event, al.MessageID = string(r.Event), r.Message
		al.Message = fmt.Sprintf("Events were given up (%s); this tells of the first of them.", r.Dead)
		a.bell.Died(al)
	}
}

// gone switches off a webhook whose endpoint answered 410 Gone.
func (a *App) gone(ctx context.Context, w pombo.Webhook) {
	al := a.about(w)
	al.Status = 410
	log := a.log.With(slog.String("part", "dispatch"), slog.String("webhook", w.ID), slog.String("instance", al.Instance))
	done, err := a.manager.DisableGone(ctx, w)
	switch {
	case err != nil:
		log.Error("a webhook answered 410 Gone, but could not be switched off; it is tried again", "error", err)
	case done:
		log.Warn("a webhook answered 410 Gone and was switched off; set it again to use it")
		al.Message = "A webhook answered 410 Gone and was switched off, with all that waited for it. Set it again to use it."
		a.bell.Ring(alarm.WebhookDisabled, al)
	case w.Instance == "":
		log.Warn("the global webhook answered 410 Gone; it is tried again, since the environment asks for it")
		al.Message = "The global webhook answered 410 Gone. Its events wait: correct WEBHOOK_GLOBAL_URL, or switch it off."
		a.bell.Ring(alarm.WebhookGone, al)
	}
}
