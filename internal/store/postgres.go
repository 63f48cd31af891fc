package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"pombo"
)

const (
	// poolConns bounds the connections for reads and for whatsmeow's tables,
	// unless the URL has a connection_limit.
	poolConns = 20
	// connectTimeout bounds the first connection.
	connectTimeout = 10 * time.Second
	// checkTimeout bounds the question whether a connection still works.
	checkTimeout = 5 * time.Second
	// lockClass is the first half of the advisory lock's key ("pomb"); the other
	// is made of the schema's name.
	lockClass = 0x706f6d62
)

// pg is the backend on PostgreSQL.
//
// The committer has a connection of its own, and that connection holds the
// advisory lock which says that this process is the schema's writer. If it is
// lost, so is the lock, and nothing is committed until a new connection has the
// lock again: there is no moment in which two processes commit.
type pg struct {
	pool   *sql.DB // reads, whatsmeow's tables
	lockDB *sql.DB // where conn comes from
	conn   *sql.Conn
	schema string
	log    *slog.Logger
}

func (s *Store) openPostgres(ctx context.Context, uri string, wait time.Duration) (*sql.DB, error) {
	s.dialect = dialectPostgres
	u, err := parsePostgresURL(uri)
	if err != nil {
		return nil, err
	}
	if len(u.ignored) > 0 {
		s.log.Info("parameters of DATABASE_CONNECTION_URI that mean nothing to Pombo are ignored", "parameters", u.ignored)
	}
	b := &pg{schema: u.schema, log: s.log}
	conns := poolConns
	if u.conns > 0 {
		conns = max(u.conns-1, 2) // one is the committer's
	}
	b.pool, b.lockDB = openPool(u.config, conns), openPool(lockConfig(u.config), 1)
	if err := s.connectPostgres(ctx, b, u, wait); err != nil {
		return nil, errors.Join(u.redact(err), b.close())
	}
	s.backend, s.read, s.sessionReads = b, b.pool, b.pool
	return b.pool, nil
}

// lockConfig makes the server notice within a minute that the machine of a writer
// is gone. By default it takes two hours, in which the lock could not be had.
func lockConfig(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	config.RuntimeParams["tcp_keepalives_idle"] = "30"
	config.RuntimeParams["tcp_keepalives_interval"] = "10"
	config.RuntimeParams["tcp_keepalives_count"] = "3"
	return config
}

// openPool opens a pool that makes commits durable also where the server or the
// role has synchronous_commit off: "appended" means safe. Where it has another
// value (remote_apply, local), that is the operator's choice.
func openPool(config *pgx.ConnConfig, conns int) *sql.DB {
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
		return err
	}))
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

func (s *Store) connectPostgres(ctx context.Context, b *pg, u postgresURL, wait time.Duration) error {
	first, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := b.pool.PingContext(first); err != nil {
		return connectError(u, err)
	}
	if err := b.createSchema(ctx); err != nil {
		return err
	}
	ok, err := waitFor(ctx, wait, func() (bool, error) { return b.lock(ctx) })
	if err != nil {
		return err
	} else if !ok {
		return b.lockTaken()
	}
	if err := s.migrate(ctx, b.pool); err != nil {
		return err
	}
	s.devices, err = s.container(b.pool, b.pool)
	return err
}

func connectError(u postgresURL, err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case "28P01", "28000":
			return pombo.Errorf(pombo.Unavailable, "PostgreSQL at %s refuses user %q (%w): check user and password in DATABASE_CONNECTION_URI", u.server(), u.config.User, u.redact(err))
		case "3D000":
			return pombo.Errorf(pombo.Unavailable, "PostgreSQL at %s has no database %q: create it, or correct DATABASE_CONNECTION_URI", u.server(), u.config.Database)
		}
	}
	return pombo.Errorf(pombo.Unavailable, "PostgreSQL at %s cannot be reached (%w): check that it runs and that host and port in DATABASE_CONNECTION_URI are right", u.server(), u.redact(err))
}

// createSchema makes the schema if it is missing. It is looked up first: a role
// that may not create schemas can use one that exists.
func (b *pg) createSchema(ctx context.Context) error {
	var exists bool
	err := b.pool.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`, b.schema).Scan(&exists)
	if err != nil {
		return fmt.Errorf("looking for the schema %s: %w", b.schema, err)
	}
	if exists {
		return nil
	}
	_, err = b.pool.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+quote(b.schema))
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42501" { // insufficient_privilege
		return pombo.Errorf(pombo.Forbidden, "the PostgreSQL role may not create the schema %q: create it as an administrator (CREATE SCHEMA %s AUTHORIZATION the_role), or name an existing one with ?schema= in DATABASE_CONNECTION_URI", b.schema, quote(b.schema))
	}
	if err != nil {
		return fmt.Errorf("creating the schema %s: %w", b.schema, err)
	}
	return nil
}

func (b *pg) lockTaken() error {
	return pombo.Errorf(pombo.Conflict, "another Pombo uses the schema %q of this PostgreSQL database: stop it first, or give this one a schema of its own (?schema= in DATABASE_CONNECTION_URI)", b.schema)
}

// lock opens the committer's connection and takes the advisory lock on it; false
// if another process has it.
func (b *pg) lock(ctx context.Context) (bool, error) {
	if b.conn == nil {
		conn, err := b.lockDB.Conn(ctx)
		if err != nil {
			return false, fmt.Errorf("connecting the writer: %w", err)
		}
		b.conn = conn
	}
	var ok bool
	err := b.conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, hashtext($2))`, lockClass, b.schema).Scan(&ok)
	if err != nil {
		return false, errors.Join(fmt.Errorf("locking the schema: %w", err), b.drop())
	}
	if !ok {
		return false, b.drop() // an idle connection is nothing to hold on to
	}
	return true, nil
}

// drop gives the writer's connection up, and its lock with it.
func (b *pg) drop() error {
	conn := b.conn
	if conn == nil {
		return nil
	}
	b.conn = nil
	// Raw with ErrBadConn takes the connection out of the pool, which Close alone
	// would not: a session that lives on would keep the lock.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("closing the writer's connection: %w", err)
	}
	return nil
}

func (b *pg) begin(ctx context.Context) (*sql.Tx, error) {
	if b.conn == nil {
		ok, err := b.lock(ctx)
		if err != nil {
			return nil, err
		} else if !ok {
			return nil, b.lockTaken()
		}
		b.log.Info("connected to PostgreSQL again")
	}
	tx, err := b.conn.BeginTx(ctx, nil)
	if err != nil {
		b.failed(ctx)
		return nil, err
	}
	return tx, nil
}

// failed asks whether the connection still works and gives it up if not.
func (b *pg) failed(ctx context.Context) {
	if b.conn == nil {
		return
	}
	// ctx may be what ended the transaction.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	if err := b.conn.PingContext(ctx); err == nil {
		return
	}
	b.log.Warn("the connection to PostgreSQL was lost")
	if err := b.drop(); err != nil {
		b.log.Debug("giving up a lost connection", "error", err)
	}
}

// sync has nothing to do: every commit waits for the disk there.
func (*pg) sync() error { return nil }

func (b *pg) close() error {
	return errors.Join(b.drop(), b.lockDB.Close(), b.pool.Close())
}
