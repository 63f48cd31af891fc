package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// describeMachine puts at the head of the report what the figures depend on.
func (b *bench) describeMachine(ctx context.Context) error {
	model, err := cpuModel()
	if err != nil {
		return err
	}
	volatile, err := inMemory(b.dir)
	if err != nil {
		return err
	}
	if volatile {
		b.say("WARNING: %s is in memory: nothing there is durable, and the figures are too good. Choose a folder with -dir.", b.dir)
	}
	rate, err := b.fsyncRate(ctx, 2*time.Second)
	if err != nil {
		return fmt.Errorf("measuring fsync: %w", err)
	}
	disk, database := "on disk", "SQLite, durable defaults (WAL, synchronous=FULL)"
	if volatile {
		disk = "IN MEMORY"
	}
	if b.postgres != "" {
		database = "PostgreSQL, on this machine's own settings"
	}
	b.report.machine = fmt.Sprintf("%s, %d cores; %s; %s %s: %.0f fsync/s (4 KiB pwrite + fdatasync); sandbox, gateway and receiver share the machine.",
		model, runtime.NumCPU(), runtime.Version(), database, disk, rate)
	if b.quick {
		b.report.machine += " A quick run: its figures mean nothing."
	}
	return nil
}

func (b *bench) fsyncRate(ctx context.Context, d time.Duration) (float64, error) {
	if b.quick {
		d = 50 * time.Millisecond
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	times, err := fsyncTimes(b.dir, d)
	return float64(len(times)) / d.Seconds(), err
}

// probe notes what the disk does just before a run: it varies, and what waits for it
// varies with it.
func (b *bench) probe(ctx context.Context) error {
	rate, err := b.fsyncRate(ctx, 300*time.Millisecond)
	if err != nil {
		return fmt.Errorf("measuring fsync: %w", err)
	}
	b.report.fsyncs = append(b.report.fsyncs, rate)
	return nil
}
