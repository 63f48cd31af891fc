package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// How the part "deliveries" loads the gateway.
const (
	loadChats       = 1000
	steadyInstances = 1000
	warmTime        = time.Second
	// drained is how much of the backlog is delivered in the end.
	drained = 100_000
)

// bursts are the two ways in which bursts are appended: by one instance that goes on
// with each of its chats as soon as the chat's last event is committed, and by many,
// each of which waits for its last event, whatever the chat.
var bursts = [...]struct{ instances, appenders int }{{1, loadChats}, {100, 100}}

// deliveries measures store and dispatcher alone, against a bare client.
func (b *bench) deliveries(ctx context.Context) (err error) {
	d := &delivering{bench: b}
	if d.dir, err = os.MkdirTemp(b.dir, "deliveries-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if d.endpoint, err = b.startChild("endpoint"); err != nil {
		return err
	}
	if err := d.endpoint.call(ctx, "listen", struct{}{}, &d.port); err != nil {
		return err
	}
	for i := range b.runs {
		if err := d.compare(ctx, i); err != nil {
			return fmt.Errorf("burst %d: %w", i+1, err)
		}
	}
	if b.steady > 0 {
		if err := d.steadies(ctx); err != nil {
			return err
		}
	}
	d.report()
	return nil
}

// delivering is the state of this part.
type delivering struct {
	*bench
	dir      string
	endpoint *child
	port     int
	made     int // databases so far
	runs     int // so far

	bare, paced          burstFigures // of the bare client
	bursts               [len(bursts)]burstFigures
	disk                 []float64 // ms, the 99th percentile of fsync
	barePaced            []float64 // ms, the 99th percentile of the bare client at a rate
	drainRate, drainCPU  []float64
	drainPeaks           peaks
	half, least          steadyFigures
	few, many, deep      steadyFigures
	manyRatio, deepRatio []float64
}

// burstFigures are those of bursts, a value for each run.
type burstFigures struct {
	rate          []float64 // events/s
	ratio         []float64 // to the bare client
	cpu, receiver []float64 // µs/event
	written       []float64 // KB/event
	commits       []float64
}

// steadyFigures are those of one situation, a value for each run.
type steadyFigures struct {
	p50, p99, longest, cpu []float64
	peaks                  []peaks
}

func (d *delivering) close() error {
	var errs []error
	if d.endpoint != nil {
		errs = append(errs, d.endpoint.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// newRun names a run.
func (d *delivering) newRun() string {
	d.runs++
	return fmt.Sprintf("RUN%0*d", stampRun-3, d.runs)
}

// opened starts a gateway on the database in a folder; a new one if it is "".
func (d *delivering) opened(ctx context.Context, folder string, o openOrder) (*child, error) {
	if folder == "" {
		d.made++
		folder = filepath.Join(d.dir, fmt.Sprint(d.made))
	}
	o.Port, o.URI = d.port, "sqlite:"+filepath.Join(folder, "pombo.db")
	g, err := d.startChild("gateway")
	if err != nil {
		return nil, err
	}
	if err := g.call(ctx, "open", o, nil); err != nil {
		return nil, errors.Join(err, g.stop())
	}
	return g, nil
}

// compare lets the bare client and then the gateway deliver the same events.
func (d *delivering) compare(ctx context.Context, i int) error {
	if _, err := d.postBare(ctx, &d.bare, d.events/loadChats*loadChats, 0); err != nil {
		return fmt.Errorf("the bare client: %w", err)
	}
	for k := range bursts {
		f := &d.bursts[k]
		if err := d.burst(ctx, fmt.Sprintf("deliveries-burst-%d-%d", bursts[k].instances, i), bursts[k].instances, bursts[k].appenders, f); err != nil {
			return fmt.Errorf("%s: %w", instances(bursts[k].instances), err)
		}
		f.ratio = append(f.ratio, f.rate[i]/d.bare.rate[i])
		d.say("deliveries: %.0f/s, bare %.0f/s, ratio %.2f; %.0f µs each, in %.0f transactions", f.rate[i], d.bare.rate[i], f.ratio[i], f.cpu[i], f.commits[i])
	}
	return nil
}

// postBare lets the bare client post events, as fast as it goes, or at a rate: then it
// returns how long each took from its turn to its arrival.
func (d *delivering) postBare(ctx context.Context, f *burstFigures, events int, rate float64) (latencies []time.Duration, err error) {
	c, err := d.startChild("client")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	run := d.newRun()
	if err := d.expect(ctx, expectation{Run: run, Chats: loadChats, PerChat: events / loadChats, Times: rate > 0}); err != nil {
		return nil, err
	}
	used, err := d.using(ctx, nil, "")
	if err != nil {
		return nil, err
	}
	var w work
	o := postOrder{URL: hookURL(0, d.port), Run: run, Events: events, Chats: loadChats, Concurrency: posters, Rate: rate}
	if err := c.call(ctx, "post", o, &w); err != nil {
		return nil, err
	}
	a, err := d.arrivals(ctx)
	if err != nil {
		return nil, err
	}
	u, err := used()
	f.rate = append(f.rate, perSecond(events, w.Began, a.Last))
	f.cpu, f.receiver = append(f.cpu, perEvent(w.CPU, events)), append(f.receiver, perEvent(u.receiver, events))
	return between(w.Sent, a.At), err
}

// between returns how long it was from each of from to each of to.
func between(from, to []int64) []time.Duration {
	all := make([]time.Duration, len(from))
	for i := range all {
		all[i] = time.Duration(to[i] - from[i])
	}
	return all
}

func perSecond(n int, from, to int64) float64 { return float64(n) / time.Duration(to-from).Seconds() }

// perEvent returns µs.
func perEvent(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }

func (d *delivering) expect(ctx context.Context, x expectation) error {
	return d.endpoint.call(ctx, "expect", x, nil)
}

func (d *delivering) arrivals(ctx context.Context) (a arrivals, err error) {
	return a, d.endpoint.call(ctx, "wait", struct{}{}, &a)
}

// burst appends as fast as it goes, on a new database, and counts from the first
// append to the last arrival.
func (d *delivering) burst(ctx context.Context, name string, instances, appenders int, f *burstFigures) (err error) {
	g, err := d.opened(ctx, "", openOrder{Instances: instances})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	if err := d.warm(ctx, g, instances); err != nil {
		return err
	}
	run, events := d.newRun(), d.events/loadChats*loadChats
	if err := d.expect(ctx, expectation{Run: run, Chats: loadChats, PerChat: events / loadChats, Ordered: true}); err != nil {
		return err
	}
	used, err := d.using(ctx, g, name)
	if err != nil {
		return err
	}
	var w work
	if err := g.call(ctx, "burst", loadOrder{Run: run, Events: events, Chats: loadChats, Instances: instances, Appenders: appenders}, &w); err != nil {
		return err
	}
	a, err := d.arrivals(ctx)
	if err := errors.Join(err, pause(ctx, drain)); err != nil {
		return err
	}
	u, err := used()
	f.rate = append(f.rate, perSecond(events, w.Began, a.Last))
	f.cpu, f.receiver = append(f.cpu, perEvent(u.cpu, events)), append(f.receiver, perEvent(u.receiver, events))
	f.written, f.commits = append(f.written, float64(u.written)/1e3/float64(events)), append(f.commits, float64(u.Commits))
	return err
}

// consumption is what processes used for a while.
type consumption struct {
	cpu, receiver time.Duration
	written       int64 // bytes, by the gateway
	peaks
}

// using begins to measure what a gateway (or nil) and the receiver use, and profiles
// the gateway if that is wanted, until the returned function is called.
func (d *delivering) using(ctx context.Context, g *child, name string) (used func() (consumption, error), err error) {
	if g != nil && d.profiles != "" {
		path, err := filepath.Abs(filepath.Join(d.profiles, name+".pprof"))
		if err != nil {
			return nil, err
		}
		if err := g.call(ctx, "profile", path, nil); err != nil {
			return nil, err
		}
	}
	before, err := d.used(ctx, g)
	return func() (consumption, error) {
		u, err := d.used(ctx, g)
		u.cpu, u.receiver, u.written = u.cpu-before.cpu, u.receiver-before.receiver, u.written-before.written
		if g != nil && d.profiles != "" {
			err = errors.Join(err, g.call(ctx, "profile", "", nil))
		}
		return u, err
	}, err
}

// used returns what was used so far, and the peaks since it was asked last.
func (d *delivering) used(ctx context.Context, g *child) (u consumption, err error) {
	if u.receiver, err = cpuTime(d.endpoint.p.cmd.Process.Pid); err != nil || g == nil {
		return u, err
	}
	if u.cpu, err = cpuTime(g.p.cmd.Process.Pid); err != nil {
		return u, err
	}
	if u.written, err = writtenBytes(g.p.cmd.Process.Pid); err != nil {
		return u, err
	}
	return u, g.call(ctx, "peaks", struct{}{}, &u.peaks)
}

// warm delivers one event of each chat, so that connections are open.
func (d *delivering) warm(ctx context.Context, g *child, instances int) error {
	run := d.newRun()
	if err := d.expect(ctx, expectation{Run: run, Chats: loadChats, PerChat: 1, Ordered: true}); err != nil {
		return err
	}
	if err := g.call(ctx, "burst", loadOrder{Run: run, Events: loadChats, Chats: loadChats, Instances: instances, Appenders: loadChats}, nil); err != nil {
		return err
	}
	_, err := d.arrivals(ctx)
	return err
}
