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
	burstInstances  = 1
	appenders       = 1000
	steadyInstances = 1000
	warmTime        = time.Second
	// drained is how much of the backlog is delivered in the end.
	drained = 100_000
)

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

	bare, rate, ratio, bareCPU, cpu []float64
	written                         []float64 // KB/event
	commits                         []float64
	disk                            []float64 // ms, the 99th percentile of fsync
	drainRate, drainCPU             []float64
	drainPeaks                      peaks
	few, many, deep                 steadyFigures
	manyRatio, deepRatio            []float64
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
	bare, bareCPU, err := d.postBare(ctx)
	if err != nil {
		return fmt.Errorf("the bare client: %w", err)
	}
	rate, cpu, err := d.burst(ctx, i)
	if err != nil {
		return err
	}
	d.say("deliveries: bare %.0f/s, gateway %.0f/s, ratio %.2f", bare, rate, rate/bare)
	d.bare, d.rate, d.ratio = append(d.bare, bare), append(d.rate, rate), append(d.ratio, rate/bare)
	d.bareCPU, d.cpu = append(d.bareCPU, bareCPU), append(d.cpu, cpu)
	return nil
}

func (d *delivering) postBare(ctx context.Context) (rate, cpu float64, err error) {
	c, err := d.startChild("client")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	run := d.newRun()
	if err := d.expect(ctx, expectation{Run: run, Chats: loadChats, PerChat: d.events / loadChats}); err != nil {
		return 0, 0, err
	}
	events := d.events / loadChats * loadChats
	var w work
	if err := c.call(ctx, "post", postOrder{URL: hookURL(0, d.port), Run: run, Events: events, Chats: loadChats, Concurrency: posters}, &w); err != nil {
		return 0, 0, err
	}
	a, err := d.arrivals(ctx)
	return perSecond(events, w.Began, a.Last), perEvent(w.CPU, events), err
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
func (d *delivering) burst(ctx context.Context, i int) (rate, cpu float64, err error) {
	g, err := d.opened(ctx, "", openOrder{Instances: burstInstances})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	if err := d.warm(ctx, g, burstInstances); err != nil {
		return 0, 0, err
	}
	run := d.newRun()
	if err := d.expect(ctx, expectation{Run: run, Chats: loadChats, PerChat: d.events / loadChats, Ordered: true}); err != nil {
		return 0, 0, err
	}
	if err := g.call(ctx, "peaks", struct{}{}, nil); err != nil {
		return 0, 0, err
	}
	used, err := d.using(ctx, g, fmt.Sprintf("deliveries-burst-%d", i))
	if err != nil {
		return 0, 0, err
	}
	events := d.events / loadChats * loadChats
	var w work
	if err := g.call(ctx, "burst", loadOrder{Run: run, Events: events, Chats: loadChats, Instances: burstInstances, Appenders: appenders}, &w); err != nil {
		return 0, 0, err
	}
	appended := time.Now().UnixNano()
	a, err := d.arrivals(ctx)
	if err := errors.Join(err, pause(ctx, drain)); err != nil {
		return 0, 0, err
	}
	var p peaks
	if err := g.call(ctx, "peaks", struct{}{}, &p); err != nil {
		return 0, 0, err
	}
	d.commits = append(d.commits, float64(p.Commits))
	d.say("deliveries: appended at %.0f/s in %d transactions", perSecond(events, w.Began, appended), p.Commits)
	time, written, err := used()
	d.written = append(d.written, float64(written)/1e3/float64(events))
	return perSecond(events, w.Began, a.Last), perEvent(time, events), err
}

// using begins to measure what a gateway uses, and profiles it if that is wanted,
// until the returned function is called.
func (d *delivering) using(ctx context.Context, g *child, name string) (used func() (cpu time.Duration, written int64, err error), err error) {
	ended, err := d.profiling(ctx, g, name)
	if err != nil {
		return nil, err
	}
	pid := g.p.cmd.Process.Pid
	cpu, err1 := cpuTime(pid)
	written, err2 := writtenBytes(pid)
	return func() (time.Duration, int64, error) {
		c, err1 := cpuTime(pid)
		w, err2 := writtenBytes(pid)
		return c - cpu, w - written, errors.Join(err1, err2, ended())
	}, errors.Join(err1, err2)
}

// warm delivers one event of each chat, so that connections are open.
func (d *delivering) warm(ctx context.Context, g *child, instances int) error {
	run := d.newRun()
	if err := d.expect(ctx, expectation{Run: run, Chats: loadChats, PerChat: 1, Ordered: true}); err != nil {
		return err
	}
	if err := g.call(ctx, "burst", loadOrder{Run: run, Events: loadChats, Chats: loadChats, Instances: instances, Appenders: appenders}, nil); err != nil {
		return err
	}
	_, err := d.arrivals(ctx)
	return err
}

// profiling profiles a gateway, if that is wanted, until the returned function is
// called.
func (d *delivering) profiling(ctx context.Context, g *child, name string) (end func() error, err error) {
	if d.profiles == "" {
		return func() error { return nil }, nil
	}
	path, err := filepath.Abs(filepath.Join(d.profiles, name+".pprof"))
	if err != nil {
		return nil, err
	}
	return func() error { return g.call(ctx, "profile", "", nil) }, g.call(ctx, "profile", path, nil)
}
