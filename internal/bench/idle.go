package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// memory measures what idle instances cost: the gateway is started with them,
// and read when all are open and it has had time to settle.
func (b *bench) memory(ctx context.Context) (err error) {
	l, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	paired := 0
	for _, m := range []struct {
		instances int
		goal      goal
	}{{0, goal{}}, {1, goal{most: 60}}, {b.idle, goal{most: 300}}} {
		if err := l.pair(ctx, paired, m.instances); err != nil {
			return err
		}
		paired = max(paired, m.instances)
		var resident, ready []float64
		for range b.runs {
			took, mb, err := l.restart(ctx, paired)
			if err != nil {
				return l.explain(err)
			}
			resident, ready = append(resident, mb), append(ready, took.Seconds())
		}
		b.report.add(fmt.Sprintf("memory (RSS), %s, idle", instances(paired)), "MB", m.goal, resident...)
		if paired > 1 {
			b.report.add("— from start until all are open", "s", goal{}, ready...)
		}
		b.say("%s: %s MB", instances(paired), spread(resident))
	}
	return nil
}

// restart starts the gateway anew and returns how long it took until n
// instances were open, and the memory it uses after the pause.
func (l *lab) restart(ctx context.Context, n int) (took time.Duration, mb float64, err error) {
	if err := l.stop(); err != nil {
		return 0, 0, err
	}
	seen := l.receiver.seenOpen()
	names := make([]string, n)
	for i := range names {
		names[i] = instanceName(i)
	}
	began := time.Now()
	if err := l.start(ctx); err != nil {
		return 0, 0, err
	}
	if err := l.receiver.waitOpen(ctx, names, seen); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	if err := pause(ctx, l.bench.settle); err != nil {
		return 0, 0, err
	}
	mb, err = residentMB(l.gateway.cmd.Process.Pid)
	return took, mb, err
}

// coldStart measures the time from starting the process to the first answer of
// 200, with a new database and with one that holds an instance. The files are
// in the system's cache.
func (b *bench) coldStart(ctx context.Context) (err error) {
	var first []float64
	for range b.starts {
		took, err := b.firstStart(ctx)
		if err != nil {
			return err
		}
		first = append(first, milliseconds(took))
	}
	b.report.add("start to the first 200, new database", "ms", goal{most: 200}, first...)

	l, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := l.pair(ctx, 0, 1); err != nil {
		return err
	}
	var again []float64
	for range b.starts {
		if err := l.stop(); err != nil {
			return err
		}
		seen := l.receiver.seenOpen()
		if err := l.start(ctx); err != nil {
			return err
		}
		again = append(again, milliseconds(l.started))
		if err := l.receiver.waitOpen(ctx, []string{instanceName(0)}, seen); err != nil {
			return l.explain(err)
		}
	}
	b.report.add("start to the first 200, database with an instance", "ms", goal{most: 200}, again...)
	return nil
}

// firstStart times one start with a new database.
func (b *bench) firstStart(ctx context.Context) (took time.Duration, err error) {
	l, err := b.open(ctx)
	if err != nil {
		return 0, err
	}
	return l.started, l.close()
}
