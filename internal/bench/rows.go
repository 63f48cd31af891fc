package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver
)

// reportSessions stops the gateway and reports what the sessions of Signal in its
// database are.
func (l *lab) reportSessions(ctx context.Context) error {
	if err := l.stop(); err != nil {
		return err
	}
	rows, size, err := l.sessions(ctx)
	if err != nil {
		return fmt.Errorf("counting the sessions: %w", err)
	}
	l.bench.report.add("— sessions in the database", "rows", goal{}, rows)
	l.bench.report.add("— all of them together", "MB", goal{}, size/1e6)
	return nil
}

// sessions returns how many sessions are in the database, and their size in bytes.
func (l *lab) sessions(ctx context.Context) (rows, size float64, err error) {
	const query = `SELECT COUNT(*), COALESCE(SUM(LENGTH(session)), 0) FROM `
	if l.database != "" {
		db, err := pgx.Connect(ctx, l.bench.postgres)
		if err != nil {
			return 0, 0, err
		}
		err = db.QueryRow(ctx, query+l.schema+".whatsmeow_sessions").Scan(&rows, &size)
		return rows, size, errors.Join(err, db.Close(ctx))
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(l.dir, "pombo.db"))
	if err != nil {
		return 0, 0, err
	}
	err = db.QueryRowContext(ctx, query+"whatsmeow_sessions").Scan(&rows, &size)
	return rows, size, errors.Join(err, db.Close())
}
