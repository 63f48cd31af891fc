package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// steadies measures a steady load, at half of the rate of the bursts, in four
// situations in turn: the one instance of the burst; then 1,000 instances with one
// webhook; with 1,000 webhooks; and with one webhook while the deliveries of another,
// which is down, wait. Between them comes the burst's instance at half of the rate that
// a burst must have: a burst that is faster makes the others harder. Without a backlog
// only those of the burst's instance are measured.
func (d *delivering) steadies(ctx context.Context) error {
	full := filepath.Join(d.dir, "full")
	if d.backlog > 0 {
		if err := d.fill(ctx, full); err != nil {
			return fmt.Errorf("making a backlog: %w", err)
		}
	}
	rate := median(d.bursts[0].rate) / 2
	least := leastRatio * median(d.bare.rate) / 2
	situations := []situation{
		{"half", "", openOrder{Instances: bursts[0].instances}, rate, &d.half},
		{"least", "", openOrder{Instances: bursts[0].instances}, least, &d.least},
	}
	if d.backlog > 0 {
		situations = append(situations,
			situation{"one", "", openOrder{Instances: steadyInstances}, rate, &d.few},
			situation{"many", "", openOrder{Instances: steadyInstances, Each: true}, rate, &d.many},
			situation{"backlog", full, openOrder{Instances: steadyInstances, Down: true}, rate, &d.deep})
	}
	for i := range d.bench.runs {
		times, err := fsyncTimes(d.bench.dir, time.Second)
		if err != nil {
			return err
		}
		d.disk = append(d.disk, milliseconds(percentile(times, 99)))
		bare, err := d.postBare(ctx, &d.paced, perChat(rate, d.bench.steady/2)*loadChats, rate)
		if err != nil {
			return fmt.Errorf("the bare client at a rate: %w", err)
		}
		d.barePaced = append(d.barePaced, milliseconds(percentile(bare, 99)))
		d.say("deliveries: at %.0f/s the bare client alone has a p99 of %.1f ms, %.0f µs each, fsync %.1f ms", rate, d.barePaced[i], d.paced.cpu[i], d.disk[i])
		for _, s := range situations {
			last := s.folder != "" && i == d.bench.runs-1
			if err := d.situation(ctx, fmt.Sprintf("deliveries-%s-%d", s.name, i), s.folder, s.open, s.rate, s.into, last); err != nil {
				return fmt.Errorf("steady load, %s, run %d: %w", s.name, i+1, err)
			}
		}
		if d.backlog == 0 {
			continue
		}
		d.manyRatio = append(d.manyRatio, d.many.cpu[i]/d.few.cpu[i])
		d.deepRatio = append(d.deepRatio, d.deep.cpu[i]/d.few.cpu[i])
	}
	return nil
}

// situation is a steady load.
type situation struct {
	name   string
	folder string // the database's; "" for a new one
	open   openOrder
	rate   float64 // events/s
	into   *steadyFigures
}

// leastRatio is the goal for the rate of a burst, in rates of the bare client.
const leastRatio = 0.4

// backlogRun stands in the backlog's events, which are spread over as many chats as
// there are instances.
const backlogRun = "BACKLOG-"

func (d *delivering) fill(ctx context.Context, folder string) (err error) {
	began := time.Now()
	g, err := d.opened(ctx, folder, openOrder{Instances: steadyInstances, Down: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	err = g.call(ctx, "fill", loadOrder{Run: backlogRun, Events: d.backlog, Chats: loadChats}, nil)
	d.say("deliveries: %d wait, after %.0f s", d.backlog, time.Since(began).Seconds())
	return err
}

// situation measures one run of a steady load. With last, the backlog is delivered
// after it.
func (d *delivering) situation(ctx context.Context, name, folder string, o openOrder, rate float64, f *steadyFigures, last bool) (err error) {
	g, err := d.opened(ctx, folder, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	if err := d.load(ctx, g, name+"-warm", o.Instances, rate, warmTime, nil); err != nil { // warms up
		return err
	}
	if err := d.load(ctx, g, name, o.Instances, rate, d.bench.steady/2, f); err != nil {
		return err
	}
	n := len(f.cpu) - 1
	p := f.peaks[n]
	d.say("%s: %.0f/s, p50 %.1f ms, p99 %.1f ms, %.0f µs each, %.0f MB, %d sockets, %d goroutines", name, rate, f.p50[n], f.p99[n], f.cpu[n], p.RSS, p.Sockets, p.Goroutines)
	if last {
		return d.drain(ctx, g)
	}
	return nil
}

// perChat is how many events of a chat come at a rate in a time.
func perChat(rate float64, length time.Duration) int {
	return max(int(rate*length.Seconds())/loadChats, 1)
}

// load appends at a rate for a time.
func (d *delivering) load(ctx context.Context, g *child, name string, instances int, rate float64, length time.Duration, f *steadyFigures) error {
	each := perChat(rate, length)
	events, run := each*loadChats, d.newRun()
	if err := d.expect(ctx, expectation{Run: run, Chats: loadChats, PerChat: each, Ordered: true, Times: true}); err != nil {
		return err
	}
	used, err := d.using(ctx, g, name)
	if err != nil {
		return err
	}
	var sent steadyResult
	if err := g.call(ctx, "steady", loadOrder{Run: run, Events: events, Chats: loadChats, Instances: instances, Rate: rate}, &sent); err != nil {
		return err
	}
	a, err := d.arrivals(ctx)
	if err := errors.Join(err, pause(ctx, drain)); err != nil {
		return err
	}
	u, err := used()
	if err != nil || f == nil {
		return err
	}
	latencies := between(sent.Sent, a.At)
	f.p50 = append(f.p50, milliseconds(percentile(latencies, 50)))
	f.p99 = append(f.p99, milliseconds(percentile(latencies, 99)))
	f.longest = append(f.longest, milliseconds(percentile(latencies, 100)))
	f.cpu = append(f.cpu, perEvent(u.cpu, events))
	f.peaks = append(f.peaks, u.peaks)
	return nil
}

// drain lets the webhook answer that was down, and measures how its backlog goes.
func (d *delivering) drain(ctx context.Context, g *child) error {
	some := min(drained, d.backlog) / loadChats * loadChats
	if err := d.expect(ctx, expectation{Run: backlogRun, Chats: loadChats, PerChat: d.backlog/loadChats + 1, Ordered: true, Enough: some}); err != nil {
		return err
	}
	began := time.Now().UnixNano()
	used, err := d.using(ctx, g, "deliveries-drain")
	if err != nil {
		return err
	}
	if err := g.call(ctx, "answer", hookURL(steadyInstances, d.port), nil); err != nil {
		return err
	}
	a, err := d.arrivals(ctx)
	if err != nil {
		return err
	}
	u, err := used()
	if err != nil {
		return err
	}
	d.drainRate = append(d.drainRate, perSecond(some, began, a.Last))
	d.drainCPU, d.drainPeaks = append(d.drainCPU, perEvent(u.cpu, some)), u.peaks
	d.say("deliveries: of the backlog %.0f/s, %.0f µs each, %.0f MB", d.drainRate[0], d.drainCPU[0], d.drainPeaks.RSS)
	return nil
}

func (d *delivering) report() {
	r := &d.bench.report
	backlog := fmt.Sprintf("%d waiting for another webhook", d.backlog)
	r.add(fmt.Sprintf("deliveries: a bare client posts %d events, %d at a time", d.events, posters), "events/s", goal{}, d.bare.rate...)
	r.add("— its processor time", "µs/event", goal{}, d.bare.cpu...)
	r.add("— the receiver's", "µs/event", goal{}, d.bare.receiver...)
	for k, f := range d.bursts {
		least := goal{}
		if k == 0 {
			least.least = leastRatio
		}
		r.add(fmt.Sprintf("store and dispatcher, %s, %d appends at a time: first append to last arrival", instances(bursts[k].instances), bursts[k].appenders), "events/s", goal{}, f.rate...)
		r.add("— ratio to the bare client", "", least, f.ratio...)
		r.add("— processor time", "µs/event", goal{}, f.cpu...)
		r.add("— the receiver's", "µs/event", goal{}, f.receiver...)
		r.add("— transactions", "", goal{}, f.commits...)
		r.add("— written, to files and sockets", "KB/event", goal{}, f.written...)
	}
	r.add("fsync of 4 KiB on this disk, alone, p99", "ms", goal{}, d.disk...)
	if len(d.disk) == 0 {
		return
	}
	half := fmt.Sprintf("%.0f events/s", median(d.bursts[0].rate)/2)
	r.add(half+", the bare client, which stores nothing: its turn to arrival, p99", "ms", goal{}, d.barePaced...)
	r.add("— its processor time", "µs/event", goal{}, d.paced.cpu...)
	for _, s := range []struct {
		rate      string
		name      string
		f         *steadyFigures
		p99, size goal
	}{
		{half, "1 instance", &d.half, goal{most: 15}, goal{}},
		{fmt.Sprintf("%.0f events/s, half of %.1f of the bare client's rate", leastRatio*median(d.bare.rate)/2, leastRatio), "1 instance", &d.least, goal{most: 15}, goal{}},
		{half, fmt.Sprintf("%d instances, 1 webhook", steadyInstances), &d.few, goal{}, goal{}},
		{half, fmt.Sprintf("%d instances, %d webhooks", steadyInstances, steadyInstances), &d.many, goal{}, goal{}},
		{half, fmt.Sprintf("%d instances, 1 webhook, ", steadyInstances) + backlog, &d.deep, goal{}, goal{most: 150}},
	} {
		r.add(s.rate+", "+s.name+": append to arrival, p50", "ms", goal{}, s.f.p50...)
		r.add("— p99", "ms", s.p99, s.f.p99...)
		r.add("— longest", "ms", goal{}, s.f.longest...)
		r.add("— processor time", "µs/event", goal{}, s.f.cpu...)
		var rss, open, routines []float64
		for _, p := range s.f.peaks {
			rss, open, routines = append(rss, p.RSS), append(open, float64(p.Sockets)), append(routines, float64(p.Goroutines))
		}
		r.add("— memory (RSS), most", "MB", s.size, rss...)
		r.add("— sockets, most", "", goal{}, open...)
		r.add("— goroutines, most, those that append included", "", goal{}, routines...)
	}
	if d.backlog == 0 {
		return
	}
	r.add(fmt.Sprintf("processor time with %d webhooks : with 1", steadyInstances), "", goal{most: 1.2}, d.manyRatio...)
	r.add("processor time with "+backlog+" : with none", "", goal{most: 1.2}, d.deepRatio...)
	r.add("that backlog, once its webhook answers", "events/s", goal{}, d.drainRate...)
	r.add("— processor time", "µs/event", goal{}, d.drainCPU...)
	r.add("— memory (RSS), most", "MB", goal{most: 150}, d.drainPeaks.RSS)
	r.add("— sockets, most", "", goal{}, float64(d.drainPeaks.Sockets))
}
