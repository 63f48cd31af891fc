package pombotest

import (
	"os"
	"testing"
)

// memory is where Linux has a file system in memory.
const memory = "/dev/shm"

// MemoryDir returns a folder that goes with the test, in memory if the system has
// a place for that: most tests are not about the disk.
func MemoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory, "pombo-test-") //nolint:usetesting // that would be on the disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
