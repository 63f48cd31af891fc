package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	chatsOfOne  = 50 // chats of a single instance
	chatsOfMany = 5  // chats of each of several
	block       = 10 // messages that one call to the network makes
	senders     = 8  // calls to the network side by side
)

// load measures n instances under load: bursts, then a steady trickle.
func (b *bench) load(ctx context.Context, n int) (err error) {
	l, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := l.pair(ctx, 0, n); err != nil {
		return err
	}
	chats := makeChats(n)
	if err := l.warm(ctx, chats); err != nil {
		return l.explain(fmt.Errorf("warming up: %w", err))
	}
	var f loadFigures
	for i := range b.runs {
		if err := l.burst(ctx, fmt.Sprintf("burst-%d", i), chats, &f); err != nil {
			return l.explain(fmt.Errorf("burst %d: %w", i+1, err))
		}
	}
	for i := 0; i < b.runs && b.steady > 0; i++ {
		if err := l.steady(ctx, fmt.Sprintf("steady-%d", i), chats, &f); err != nil {
			return l.explain(fmt.Errorf("steady load %d: %w", i+1, err))
		}
	}
	if n == 1 {
		for range b.runs {
			if err := l.bare(ctx, &f); err != nil {
				return fmt.Errorf("baseline: %w", err)
			}
		}
	}
	b.reportLoad(n, &f)
	if b.profiles != "" {
		return l.explain(l.profile(ctx, strconv.Itoa(n), func(ctx context.Context, i int) error {
			return l.burst(ctx, fmt.Sprintf("profiled-%d", i), chats, &loadFigures{})
		}))
	}
	return nil
}

// loadFigures are what load measures, a value for each run.
type loadFigures struct {
	rate, accepted            []float64 // messages/s
	gateway, network, here    []float64 // µs of processor time per message
	memory                    []float64 // MB after a burst
	p50, p99, longest, callMS []float64 // ms
	bareRate, bareCPU         []float64 // POSTs/s, µs
}

func (b *bench) reportLoad(n int, f *loadFigures) {
	r, who := &b.report, instances(n)
	least := 2500.0
	if n == 1 {
		least = 2000
	}
	r.add("burst, "+who+", two-way conversations", "messages/s", goal{least: least}, f.rate...)
	r.add("— the sandbox takes them at", "messages/s", goal{}, f.accepted...)
	b.reportProcessors(f, goal{most: 400})
	r.add("— memory of the gateway right after", "MB", goal{}, f.memory...)
	steady := fmt.Sprintf("%d messages/s, %s: latency ", b.rate, who)
	r.add(steady+"p50", "ms", goal{most: 3}, f.p50...)
	r.add("— p99", "ms", goal{most: 10}, f.p99...)
	r.add("— longest", "ms", goal{}, f.longest...)
	r.add("— before that, p50: until the call that makes the phone send has made it do so", "ms", goal{}, f.callMS...)
	r.add("bare net/http loop, the same bodies, 16 at a time", "POSTs/s", goal{}, f.bareRate...)
	r.add("— processor time of both ends", "µs/POST", goal{}, f.bareCPU...)
}

// reportProcessors reports what a burst took of the processors, with a goal for the
// gateway, in µs a message.
func (b *bench) reportProcessors(f *loadFigures, gateway goal) {
	b.report.add("— processor time of the gateway", "µs/message", gateway, f.gateway...)
	b.report.add("— processor time of the sandbox", "µs/message", goal{}, f.network...)
	b.report.add("— processor time of sender and receiver", "µs/message", goal{}, f.here...)
}

func makeChats(n int) []chat {
	per := chatsOfMany
	if n == 1 {
		per = chatsOfOne
	}
	chats := make([]chat, 0, n*per)
	for c := range per { // neighbours belong to different instances
		for i := range n {
			chats = append(chats, chat{instanceName(i), accountNumber(i), fmt.Sprintf("4179%03d%05d", c, i)})
		}
	}
	return chats
}

// warm makes every chat a two-way conversation, as most are: a message that
// opens the session, an answer, and a message after the answer, from which on
// the contact's phone does not repeat the keys that open it.
func (l *lab) warm(ctx context.Context, chats []chat) error {
	began := time.Now()
	for _, run := range []string{"hello", "again"} {
		t := l.receiver.expect(run, chats, 1)
		err := each(ctx, len(chats), func(ctx context.Context, i int) error { return l.send(ctx, chats[i], t.text(0), 1) })
		if err := errors.Join(err, l.receiver.wait(ctx, t), l.receiver.finish(t)); err != nil {
			return err
		}
		if run == "again" {
			break
		}
		if err := l.answer(ctx, chats); err != nil {
			return err
		}
	}
	l.bench.say("%d chats are two-way conversations after %.1f s", len(chats), time.Since(began).Seconds())
	return nil
}

// answer lets the instances write to each contact.
func (l *lab) answer(ctx context.Context, chats []chat) error {
	return each(ctx, len(chats), func(ctx context.Context, i int) error {
		return l.api.call(ctx, http.MethodPost, "/message/sendText/"+chats[i].instance, map[string]any{
			"number": chats[i].contact, "text": "Coo!",
		}, nil)
	})
}

// send lets the chat's contact write: one message, or several that the network
// numbers.
func (l *lab) send(ctx context.Context, c chat, text string, count int) error {
	_, err := l.sendAt(ctx, c, text, count)
	return err
}

// sendAt is send; it returns when the contact's phone sent the first.
func (l *lab) sendAt(ctx context.Context, c chat, text string, count int) (time.Time, error) {
	var sent struct{ At time.Time }
	err := l.phones.call(ctx, http.MethodPost, "/sandbox/messages", map[string]any{
		"from": c.contact, "to": c.account, "text": text, "count": count,
	}, &sent)
	return sent.At, err
}

// usage is processor time used so far.
type usage struct{ gateway, network, here time.Duration }

func (l *lab) usage() (u usage, err error) {
	if u.gateway, err = cpuTime(l.gateway.cmd.Process.Pid); err != nil {
		return u, err
	}
	if u.network, err = cpuTime(l.network.cmd.Process.Pid); err != nil {
		return u, err
	}
	u.here, err = cpuTime(os.Getpid())
	return u, err
}

// drain is how long the gateway is given to note down its last deliveries,
// which it does after the receiver has them.
const drain = 250 * time.Millisecond

// burst sends as fast as the network takes it and waits for the last arrival.
func (l *lab) burst(ctx context.Context, run string, chats []chat, f *loadFigures) error {
	perChat := (l.bench.messages + len(chats)*block - 1) / (len(chats) * block) * block
	t := l.receiver.expect(run, chats, perChat)
	return l.measure(ctx, t, perChat*len(chats), f, func(ctx context.Context) error { return l.pour(ctx, t, chats, perChat) })
}

// measure lets send hand n messages, for which t waits, to the network, and measures
// what they cost. The rate is that of the whole: from the first call to the network to
// the last arrival.
func (l *lab) measure(ctx context.Context, t *tally, n int, f *loadFigures, send func(context.Context) error) error {
	if err := l.bench.probe(ctx); err != nil {
		return err
	}
	before, err := l.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := send(ctx); err != nil {
		return err
	}
	accepted := time.Since(began)
	if err := errors.Join(l.receiver.wait(ctx, t), pause(ctx, drain), l.receiver.finish(t)); err != nil {
		return err
	}
	took := t.last.Sub(began)
	after, err := l.usage()
	if err != nil {
		return err
	}
	memory, err := residentMB(l.gateway.cmd.Process.Pid)
	if err != nil {
		return err
	}
	total := float64(n)
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / total }
	f.rate = append(f.rate, total/took.Seconds())
	f.accepted = append(f.accepted, total/accepted.Seconds())
	f.gateway = append(f.gateway, per(after.gateway-before.gateway))
	f.network = append(f.network, per(after.network-before.network))
	f.here = append(f.here, per(after.here-before.here))
	f.memory = append(f.memory, memory)
	l.bench.say("%s: %d messages in %.1f s, %.0f µs each", t.run, n, took.Seconds(), per(after.gateway-before.gateway))
	return nil
}

// pour sends perChat messages in each chat, in blocks, chat by chat: several
// chats at a time, each always by the same sender so that its order is known.
func (l *lab) pour(ctx context.Context, t *tally, chats []chat, perChat int) error {
	g, ctx := errgroup.WithContext(ctx)
	for s := range senders {
		g.Go(func() error {
			for first := 0; first < perChat; first += block {
				for i := s; i < len(chats); i += senders {
					if err := l.send(ctx, chats[i], t.blockText(first), block); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// steady sends at a fixed rate, whatever comes of it, and measures how long
// each message takes. The clock starts when the contact's phone sends, before it
// encrypts, so the network's own work counts; it stops when the receiver has read
// the body. A second clock starts before the call that makes the phone send.
func (l *lab) steady(ctx context.Context, run string, chats []chat, f *loadFigures) error {
	if err := l.bench.probe(ctx); err != nil {
		return err
	}
	n := int(l.bench.steady.Seconds() * float64(l.bench.rate))
	chats = chats[:min(len(chats), n)]
	perChat := n / len(chats)
	t := l.receiver.expect(run, chats, perChat)
	calls := make([]time.Duration, perChat*len(chats))
	tick := time.NewTicker(time.Second / time.Duration(l.bench.rate))
	defer tick.Stop()
	g, ctx := errgroup.WithContext(ctx)
	for i := range perChat * len(chats) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), g.Wait())
		}
		g.Go(func() error {
			c, k := chats[i%len(chats)], i/len(chats)
			called := time.Now()
			at, err := l.sendAt(ctx, c, t.text(k), 1)
			if err == nil && at.IsZero() {
				err = errors.New("the sandbox does not tell when a phone sent: its version is older than this benchmark")
			}
			l.receiver.sent(t, c, k, at)
			calls[i] = at.Sub(called)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// The group's context has ended with its work.
	if err := errors.Join(l.receiver.wait(context.WithoutCancel(ctx), t), l.receiver.finish(t)); err != nil {
		return err
	}
	took := l.receiver.latencies(t)
	p50 := percentile(took, 50)
	f.p50 = append(f.p50, milliseconds(p50))
	f.p99 = append(f.p99, milliseconds(percentile(took, 99)))
	f.longest = append(f.longest, milliseconds(percentile(took, 100)))
	f.callMS = append(f.callMS, milliseconds(percentile(calls, 50)))
	l.bench.say("steady: %d messages, p50 %s", len(took), p50.Round(10*time.Microsecond))
	return nil
}
