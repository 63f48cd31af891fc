//go:build !unix

package storetest

import (
	"os"
	"testing"
)

// Postgres skips the test: the throwaway server is started on Unix only.
func Postgres(t testing.TB) string {
	t.Helper()
	const message = "no PostgreSQL server is started on this system"
	if os.Getenv("REQUIRE_ALL") == "1" {
		t.Fatal(message)
	}
	t.Skip("skipped: " + message)
	return ""
}
