//go:build !linux

package store_test

import "testing"

func smallDisk(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("skipped: a small file system is mounted on Linux only")
	return ""
}
