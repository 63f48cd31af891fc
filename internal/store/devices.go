package store

import (
	"context"
	"database/sql"

	"go.mau.fi/whatsmeow/store/sqlstore"

	"pombo"
	"pombo/internal/store/session"
)

// Devices returns the devices of instances. What they write is committed by the
// committer, together with what else waits; what they commit with events, in one
// transaction with these. They must not be used after Close.
func (s *Store) Devices() *session.Container { return s.sessions }

// PlainDevices returns whatsmeow's own store on the same tables, in which each
// write is a transaction of its own. It is there to compare with, and must not be
// used beside Devices.
func (s *Store) PlainDevices() *sqlstore.Container { return s.devices }

// openSessions makes the devices on a pool for reads.
func (s *Store) openSessions(reads *sql.DB, cacheBytes int64) {
	s.sessions = session.New(session.Options{
		Devices: s.devices, Reads: reads, Postgres: s.dialect == dialectPostgres, Form: s.dialect.form,
		Writer: sessionWriter{s}, CacheBytes: cacheBytes,
	})
}

// sessionWriter commits what devices write.
type sessionWriter struct{ s *Store }

// Write implements session.Writer.
func (w sessionWriter) Write(ctx context.Context, writes *session.Writes, events ...pombo.Event) error {
	checked, err := w.s.newAppend(events)
	if err != nil {
		return err
	}
	if len(checked) > 0 {
		if err := w.s.room(); err != nil {
			return err
		}
	}
	return w.s.submitAll(ctx, unitOp{writes: writes, events: checked})
}

// unitOp is what a device writes, with the events that must not be without it.
type unitOp struct {
	writes *session.Writes
	events appendOp
}

func (op unitOp) name() string {
	if len(op.events) > 0 {
		return op.events.name()
	}
	return "sessions"
}

func (op unitOp) weight() (events, bytes int) {
	events, bytes = op.events.weight()
	rows, size := op.writes.Weight()
	return max(1, events+rows/4), bytes + size
}

func (op unitOp) apply(ctx context.Context, t *txn) error {
	if err := t.s.sessions.Apply(ctx, t.Tx, op.writes); err != nil {
		return err
	}
	return t.append(ctx, op.events)
}
