package main

import (
	"os"
	"testing"
	"time"
)

func TestOwnProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; { // work, not a pause
	}
	after, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after - before; used <= 0 || used > 10*time.Second {
		t.Errorf("100 ms of work took %s of processor time", used)
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
