package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"pombo"
)

// traffic is the events of one run: the i-th is the next one of chat i modulo their
// number, and chat c is one of instance c modulo theirs.
type traffic struct {
	run       string
	chats     int
	instances int
}

func newLoad(run string, chats, instances int) traffic { return traffic{run, chats, instances} }

// backlogInstance is the one whose webhook is down.
const backlogInstance pombo.InstanceID = "0f0f0f0f-0000-4000-8000-000000000000"

func (traffic) instance(i int) pombo.InstanceID {
	return pombo.InstanceID(fmt.Sprintf("5b2f3f6e-0000-4000-8000-%012d", i))
}

func (t traffic) stamp(i int) stamp { return stamp{t.run, i % t.chats, i / t.chats} }

// event makes the i-th event: a text message of the usual size.
func (t traffic) event(i int) pombo.Event {
	s := t.stamp(i)
	owner := s.Chat % t.instances
	jid := fmt.Sprintf("55119%08d@s.whatsapp.net", s.Chat)
	data := `{"key":{"remoteJid":"` + jid + `","remoteJidAlt":"123456789012345@lid","fromMe":false,"id":"` + s.String() +
		`","participant":"","addressingMode":"pn"},"pushName":"Maria","status":"DELIVERY_ACK","message":{"conversation":"` +
		strings.Repeat("Bom dia! ", 20) + `"},"messageType":"conversation","messageTimestamp":1751300002,"owner":"` +
		instanceName(owner) + `","instanceId":"` + string(t.instance(owner)) + `","source":"android"}`
	return pombo.Event{
		Instance: t.instance(owner), Name: loadEvent, Key: s.String(), Chat: jid,
		Sender: accountNumber(owner) + "@s.whatsapp.net", Time: time.UnixMilli(1751300002000), Data: json.RawMessage(data),
	}
}

// body is what is posted of the i-th event.
func (t traffic) body(i int, url string) ([]byte, error) {
	e := t.event(i)
	return envelope(e, instanceName(i%t.instances), url), nil
}

// loadOrder says how many events to append, and how.
type loadOrder struct {
	Run       string
	Events    int
	Chats     int
	Instances int
	// Appenders is how many events of a burst are appended at a time; each appender
	// has chats of its own.
	Appenders int
	Rate      float64 // events/s; of steady
}

func (o loadOrder) load() traffic { return newLoad(o.Run, o.Chats, o.Instances) }

// burst appends as fast as the store takes it. All instances append side by side,
// each one event after the other. It returns when the first event was appended.
func (g *gatewayChild) burst(ctx context.Context, o loadOrder) (any, error) {
	t := o.load()
	events := make([]pombo.Event, o.Events)
	for i := range events {
		events[i] = t.event(i)
	}
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for k := range o.Appenders {
		group.Go(func() error {
			for first := 0; first < o.Events; first += o.Chats {
				for i := first + k; i < min(first+o.Chats, o.Events); i += o.Appenders {
					if err := g.store.Append(ctx, events[i]); err != nil {
						return err
					}
					events[i] = pombo.Event{}
				}
			}
			return nil
		})
	}
	return work{Began: began.UnixNano()}, group.Wait()
}

// steadyResult says when each event was handed over, by chat and number in its chat.
type steadyResult struct{ Sent []int64 }

// steady appends at a fixed rate, whatever comes of it: in each chat one event after
// the other, all chats side by side. The clock of an event starts when it is its turn,
// so that the wait for an earlier one of its chat counts.
func (g *gatewayChild) steady(ctx context.Context, o loadOrder) (any, error) {
	t := o.load()
	perChat := o.Events / o.Chats
	r := steadyResult{make([]int64, o.Events)}
	lines := make([]chan int, o.Chats)
	group, ctx := errgroup.WithContext(ctx)
	for k := range lines {
		lines[k] = make(chan int, perChat)
		group.Go(func() error {
			for i := range lines[k] {
				if err := g.store.Append(ctx, t.event(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	t.paced(ctx, o.Events, o.Rate, func(i int) {
		s := t.stamp(i)
		r.Sent[s.Chat*perChat+s.N] = time.Now().UnixNano()
		lines[s.Chat] <- i
	})
	for _, l := range lines {
		close(l)
	}
	return r, group.Wait()
}

// paced calls do for n events, rate of them a second, until ctx ends.
func (traffic) paced(ctx context.Context, n int, rate float64, do func(i int)) {
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 && pause(ctx, wait) != nil {
			return
		}
		do(i)
	}
}

// fill appends a backlog for the webhook that is down, as fast as it goes: several
// appenders, each with chats of its own, in batches.
func (g *gatewayChild) fill(ctx context.Context, o loadOrder) (any, error) {
	const batch, side = 250, 4
	t := newLoad(o.Run, o.Chats, 1)
	group, ctx := errgroup.WithContext(ctx)
	for k := range side {
		group.Go(func() error {
			events := make([]pombo.Event, 0, batch)
			for i := range o.Events {
				if t.stamp(i).Chat%side == k {
					e := t.event(i)
					e.Instance, e.Name = backlogInstance, backlogEvent
					events = append(events, e)
				}
				if len(events) == batch || i == o.Events-1 {
					if err := g.store.Append(ctx, events...); err != nil {
						return err
					}
					events = events[:0]
				}
			}
			return nil
		})
	}
	return nil, group.Wait()
}
