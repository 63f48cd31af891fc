package pombotest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a small file system of its own.
type Disk struct {
	Path string
	t    testing.TB
}

// NewDisk mounts a file system of so many bytes, for which a process must be
// root. Where it may not, the test is skipped, or fails if the environment has
// REQUIRE_ALL=1.
func NewDisk(t testing.TB, bytes int) *Disk {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		if os.Getenv("REQUIRE_ALL") == "1" {
			t.Fatalf("a small file system cannot be mounted: %v", err)
		}
		t.Skipf("skipped: a small file system cannot be mounted (%v); it takes root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	return &Disk{Path: dir, t: t}
}

// ballast is the file that fills a disk.
const ballast = "ballast"

// Fill uses up all space that is left.
func (d *Disk) Fill() {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.Path, ballast), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 4096)
	_, _ = rand.Read(chunk)
	for err == nil {
		_, err = f.Write(chunk)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatalf("filling the disk: %v", err)
	}
}

// Free gives back what Fill used up.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.Path, ballast)); err != nil {
		d.t.Fatal(err)
	}
}
