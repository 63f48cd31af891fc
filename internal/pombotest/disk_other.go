//go:build !linux

package pombotest

import (
	"os"
	"testing"
)

// Disk is a small file system of its own; there is none on this system.
type Disk struct{ Path string }

// NewDisk skips the test, or fails it if the environment has REQUIRE_ALL=1.
func NewDisk(t testing.TB, _ int) *Disk {
	t.Helper()
	if os.Getenv("REQUIRE_ALL") == "1" {
		t.Fatal("a small file system can be mounted on Linux only")
	}
	t.Skip("skipped: a small file system can be mounted on Linux only")
	return nil
}

// Fill does nothing here.
func (d *Disk) Fill() {}

// Free does nothing here.
func (d *Disk) Free() {}
