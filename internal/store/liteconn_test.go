package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

func liteForTest(t *testing.T) *sql.DB {
	t.Helper()
	db, err := openLite(filepath.Join(t.TempDir(), "x.db"), 1, "wal_autocheckpoint(0)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	run(t.Context(), t, db, `CREATE TABLE x (n INTEGER)`)
	return db
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func run(ctx context.Context, t *testing.T, db execer, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(ctx, query, args...); err != nil {
		t.Fatal(err)
	}
}

// A commit waits for the disk unless it was asked not to, and the mark of one does
// not stick to the next.
func TestUnsynced(t *testing.T) {
	db := liteForTest(t)
	const normal, full = 1, 2
	wantMode := func(q interface {
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}, want int) {
		t.Helper()
		var mode int
		if err := q.QueryRowContext(t.Context(), `PRAGMA synchronous`).Scan(&mode); err != nil {
			t.Fatal(err)
		}
		if mode != want {
			t.Errorf("synchronous is %d, not %d", mode, want)
		}
	}
	marked := Unsynced(t.Context())
	wantMode(db, full)
	run(marked, t, db, `INSERT INTO x VALUES ($1)`, 1)
	wantMode(db, normal)
	run(t.Context(), t, db, `INSERT INTO x VALUES ($1)`, 2)
	wantMode(db, full)
	run(marked, t, db, `INSERT INTO x VALUES (3)`)
	for _, c := range []struct {
		ctx  context.Context
		want int
	}{{t.Context(), full}, {marked, normal}, {t.Context(), full}} {
		tx, err := db.BeginTx(c.ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		// Statements within follow their transaction.
		run(t.Context(), t, tx, `INSERT INTO x VALUES ($1)`, 4)
		run(marked, t, tx, `INSERT INTO x VALUES ($1)`, 5)
		wantMode(tx, c.want)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := db.BeginTx(marked, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	run(t.Context(), t, db, `INSERT INTO x VALUES (6)`)
	wantMode(db, full)
}

// Compiled statements are used again, also while rows of them are being read and
// after they failed, and do not hold anything when their rows are left half-read.
func TestCompiledStatements(t *testing.T) {
	db := liteForTest(t)
	ctx := t.Context()
	for n := range 2 * cachedStatements { // more than are kept
		run(ctx, t, db, fmt.Sprintf(`INSERT INTO x SELECT $1 + %d`, n), 1)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	const query = `SELECT n FROM x WHERE n >= $1 ORDER BY n`
	outer, err := tx.QueryContext(ctx, query, 1)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for outer.Next() {
		var want, got int
		if err := outer.Scan(&want); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRowContext(ctx, query, want).Scan(&got); err != nil || got != want {
			t.Fatalf("%d, %v while reading %d", got, err, want)
		}
		if count++; count == 3 {
			break
		}
	}
	if err := errors.Join(outer.Err(), outer.Close()); err != nil { //nolint:sqlclosecheck // half-read, on purpose
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	run(ctx, t, db, `CREATE UNIQUE INDEX u ON x (n)`) // statements are compiled anew by themselves
	for range 2 {
		if _, err := db.ExecContext(ctx, `INSERT INTO x VALUES ($1)`, 1); err == nil {
			t.Fatal("a duplicate was taken")
		}
	}
	run(ctx, t, db, `INSERT INTO x VALUES ($1)`, -1)
	if busy, _, err := checkpointLog(ctx, db, "TRUNCATE"); busy || err != nil {
		t.Errorf("a statement holds the log: %v, %v", busy, err)
	}
}
