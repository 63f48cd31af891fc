package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"pombo"
)

// What tests of this folder see beyond the package's surface.

const (
	SettleDelay = settleDelay
	SentAge     = sentAge
	PollAge     = pollAge
	WALLimit    = walLimit

	UnwrittenAge  = unwrittenAge
	UnwrittenMost = unwrittenMost
	MarkStep      = markStep

	OccurrencesKept = occurrencesKept
)

var (
	PendingQuery, LaneQuery, ParkedQuery = pendingQuery, laneQuery, parkedQuery
	ParsePostgresURL                     = parsePostgresURL
	Digest                               = digest
)

func (p postgresURL) Schema() string                   { return p.schema }
func (p postgresURL) Conns() int                       { return p.conns }
func (p postgresURL) Ignored() []string                { return p.ignored }
func (p postgresURL) RuntimeParams() map[string]string { return p.config.RuntimeParams }
func (p postgresURL) Host() string                     { return p.config.Host }
func (p postgresURL) Password() string                 { return p.config.Password }

// Reads is the pool for reads; on PostgreSQL it can also write.
func (s *Store) Reads() *sql.DB { return s.read }

// Writes is SQLite's one writing connection, or PostgreSQL's pool.
func (s *Store) Writes() *sql.DB {
	if b, ok := s.backend.(*lite); ok {
		return b.writes
	}
	return s.read
}

// EventsOfChat is the query for events of a chat that is rare.
func (s *Store) EventsOfChat() string { return s.dialect.eventsOfChat() }

// Form turns $1 into the dialect's placeholder.
func (s *Store) Form(query string) string { return s.dialect.form(query) }

// SetDigest puts another function in the place of digest.
func (s *Store) SetDigest(f func(texts ...string) int64) { s.digest = f }

// DigestSQL is digest of texts as an expression.
func (s *Store) DigestSQL(texts ...string) string {
	if s.dialect == dialectSQLite {
		return "pombo_digest(" + strings.Join(texts, ", ") + ")"
	}
	for i := range texts {
		texts[i] = "convert_to(" + texts[i] + ", 'UTF8')"
	}
	return `('x' || encode(substring(sha256(` + strings.Join(texts, ` || '\x00'::bytea || `) + `) FROM 1 FOR 8), 'hex'))::bit(64)::bigint`
}

// OldDatabase makes a database with Pombo's tables as they were in a version.
func OldDatabase(ctx context.Context, uri string, version int) (*sql.DB, error) {
	d := dialectSQLite
	path, isFile := strings.CutPrefix(uri, "sqlite:")
	var db *sql.DB
	var err error
	if isFile {
		db, err = openLite(path, 0)
	} else {
		d = dialectPostgres
		var u postgresURL
		if u, err = parsePostgresURL(uri); err == nil {
			db = openPool(u.config, 2)
			_, err = db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+quote(u.schema))
		}
	}
	if err != nil {
		return nil, err
	}
	w, err := wrap(db, d, versionTable, upgradeTable()[:version])
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+versionTable+` (version INTEGER, compat INTEGER)`); err != nil {
		return nil, err
	}
	return db, w.Upgrade(ctx)
}

// SettleQuery is the statement that settles rows attempts.
func (s *Store) SettleQuery(rows int) string {
	for i, n := range bulkSizes {
		if n == rows {
			return s.settle.sizes[i].text
		}
	}
	return ""
}

// Do makes the committer run SQL as an operation of its own.
func (s *Store) Do(ctx context.Context, query string, args ...any) error {
	return s.submit(ctx, "do", sqlOp{query, args})
}

type sqlOp struct {
	query string
	args  []any
}

func (sqlOp) name() string                { return "do" }
func (sqlOp) weight() (events, bytes int) { return 1, 0 }
func (op sqlOp) apply(ctx context.Context, t *txn) error {
	if _, err := t.exec(ctx, op.query, op.args...); err != nil {
		return err
	}
	// It may have put rows in.
	var event, last int64
	err := t.row(ctx, `SELECT COALESCE((SELECT MAX(id) FROM pombo_event), 0), COALESCE((SELECT MAX(id) FROM pombo_delivery), 0)`).Scan(&event, &last)
	t.rows.event, t.rows.u.next = max(t.rows.event, event), max(t.rows.u.next, last+1)
	return err
}

// Waiting is how many operations wait for the committer.
func (s *Store) Waiting() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.urgent)
}

// QueueSettle queues an attempt without the checks of Settle.
func (s *Store) QueueSettle(a pombo.Attempt) {
	s.queue.room <- struct{}{}
	s.queue.addSettle(a)
}

func (s *Store) CleanSent(ctx context.Context, now time.Time, perInstance int) error {
	return cleanWith(ctx, s, keptSent, now, perInstance)
}

func (s *Store) CleanPolls(ctx context.Context, now time.Time, perInstance int) error {
	return cleanWith(ctx, s, keptPolls, now, perInstance)
}

func cleanWith(ctx context.Context, s *Store, k retention, now time.Time, perInstance int) error {
	k.perInstance = perInstance
	return s.cleanKept(ctx, k, now)
}

// Checkpoint runs the checkpointer's step with a limit for the log's length, and
// returns how many bytes of the log were in use.
func (s *Store) Checkpoint(ctx context.Context, limit int64) (int64, error) {
	frames, err := s.backend.(*lite).wal.checkpoint(ctx, limit)
	return frames * walFrame, err
}

// LoseWriter closes PostgreSQL's writing connection under the committer.
func (s *Store) LoseWriter(ctx context.Context) error {
	var pid int
	if err := s.backend.(*pg).conn.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return err
	}
	_, err := s.read.ExecContext(ctx, `SELECT pg_terminate_backend($1)`, pid)
	return err
}

// Few changes up to how many rows are looked up one by one, and returns a function
// that changes it back.
func Few(n int) (back func()) {
	before := few
	few = n
	return func() { few = before }
}
