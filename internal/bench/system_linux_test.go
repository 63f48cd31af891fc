package main

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestOwnProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// Work, not a pause, until it shows: on a busy machine it may get little of the
	// processor's time, but never more than there is.
	start, used := time.Now(), time.Duration(0)
	for used < 100*time.Millisecond && time.Since(start) < time.Minute {
		after, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		used = after - before
	}
	took := time.Since(start)
	if most := took*time.Duration(runtime.NumCPU()) + time.Second; used < 100*time.Millisecond || used > most {
		t.Errorf("%s of work took %s of processor time", took, used)
	}
	if mb, err := residentMB(os.Getpid()); err != nil || mb < 1 || mb > 10_000 {
		t.Errorf("%v MB, %v", mb, err)
	}
}

func TestMachine(t *testing.T) {
	if model, err := cpuModel(); err != nil || model == "" {
		t.Errorf("%q, %v", model, err)
	}
	if _, err := inMemory(t.TempDir()); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	if times, err := fsyncTimes(dir, time.Millisecond); err != nil || len(times) == 0 {
		t.Errorf("%v, %v", times, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
