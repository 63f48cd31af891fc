package store_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"pombo/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newFile(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "pombo.db") }

func TestSQLite(t *testing.T) {
	storetest.Exercise(t, func(t *testing.T) string { return newFile(t) })
}

func TestPostgres(t *testing.T) {
	storetest.Exercise(t, func(t *testing.T) string { return storetest.Postgres(t) })
}
