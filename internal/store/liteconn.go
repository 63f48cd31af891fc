package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"sync"

	"modernc.org/sqlite"
)

// Unsynced marks the writes made with the returned context as ones whose commit
// need not wait for the disk. They are as safe as others from a kill of the
// process. A power cut may undo them, but only together with everything that was
// committed after them: the next commit without the mark takes them to the disk
// too, since SQLite's write-ahead log is synced as a whole, from its beginning.
//
// So what WhatsApp's library writes while it reads a part of the history, or a page
// of the app state, costs no fsync of its own: the append of what is told of it comes
// after, and waits. On PostgreSQL the mark has no effect.
func Unsynced(ctx context.Context) context.Context {
	return context.WithValue(ctx, unsyncedKey{}, true)
}

// sync waits until the write-ahead log is on the disk, whoever wrote it. What is
// no longer in the log has been copied into the database, and that is only done
// when both are synced.
func (b *lite) sync() error {
	file, err := os.OpenFile(b.wal.wal, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was written since the database was opened
	}
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

type unsyncedKey struct{}

func unsynced(ctx context.Context) bool {
	marked, _ := ctx.Value(unsyncedKey{}).(bool)
	return marked
}

// cachedStatements is how many compiled statements a connection keeps. There are
// fewer, save for statements that name a list of values.
const cachedStatements = 256

// liteConnector opens connections that keep compiled statements and know Unsynced.
type liteConnector struct{ dsn string }

// liteDriver is the driver with the functions that our SQL needs.
var liteDriver = sync.OnceValues(func() (*sqlite.Driver, error) {
	d := &sqlite.Driver{}
	return d, d.RegisterDeterministicScalarFunction("pombo_digest", -1, digestSQL)
})

func (liteConnector) Driver() driver.Driver { return &sqlite.Driver{} }

func (c liteConnector) Connect(context.Context) (driver.Conn, error) {
	d, err := liteDriver()
	if err != nil {
		return nil, err
	}
	conn, err := d.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(innerConn)
	if !ok {
		return nil, errors.Join(errors.New("the SQLite driver lacks methods that are needed"), conn.Close())
	}
	return &liteConn{innerConn: inner, statements: map[string]*liteStmt{}}, nil
}

// innerConn is what modernc.org/sqlite's connections can do.
type innerConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// liteConn is a connection to SQLite. database/sql uses it from one goroutine at
// a time.
//
// The driver compiles a statement each time it is run by its text, which costs
// more than to run it. whatsmeow's store runs its statements like that.
type liteConn struct {
	innerConn
	statements map[string]*liteStmt
	within     bool // a transaction
	// relaxed says that commits do not wait for the disk now.
	relaxed bool
}

// liteStmt is a compiled statement; busy while rows of it are being read.
type liteStmt struct {
	innerStmt
	busy bool
}

type innerStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// sync makes the next transaction, or statement outside of one, wait for the disk
// or not.
func (c *liteConn) sync(ctx context.Context) error {
	relaxed := unsynced(ctx)
	if c.within || relaxed == c.relaxed {
		return nil
	}
	mode := "PRAGMA synchronous = FULL"
	if relaxed {
		mode = "PRAGMA synchronous = NORMAL"
	}
	if _, err := c.innerConn.ExecContext(context.Background(), mode, nil); err != nil {
		return err
	}
	c.relaxed = relaxed
	return nil
}

// compiled returns the compiled form of query, or nil if it cannot be used: it is
// in use, or there are too many, or query is a script.
func (c *liteConn) compiled(ctx context.Context, query string, args int) (*liteStmt, error) {
	if args == 0 {
		return nil, nil
	}
	s := c.statements[query]
	switch {
	case s != nil && !s.busy:
		return s, nil
	case s != nil || len(c.statements) >= cachedStatements:
		return nil, nil
	}
	inner, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	typed, ok := inner.(innerStmt)
	if !ok {
		return nil, inner.Close()
	}
	s = &liteStmt{innerStmt: typed}
	c.statements[query] = s
	return s, nil
}

// steady keeps the driver from starting a goroutine for each statement, to
// interrupt it when ctx ends. No statement on a local file takes long.
func steady(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// ExecContext runs a statement.
func (c *liteConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.sync(ctx); err != nil {
		return nil, err
	}
	s, err := c.compiled(ctx, query, len(args))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.innerConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(steady(ctx), args)
}

// QueryContext runs a statement that gives rows.
func (c *liteConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.compiled(ctx, query, len(args))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.innerConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(steady(ctx), args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return liteRows{rows, s}, nil
}

// liteRows gives its statement back when it is closed.
type liteRows struct {
	driver.Rows
	s *liteStmt
}

func (r liteRows) Close() error {
	err := r.Rows.Close()
	r.s.busy = false
	return err
}

// BeginTx begins a transaction.
func (c *liteConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.sync(ctx); err != nil {
		return nil, err
	}
	tx, err := c.innerConn.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	c.within = true
	return liteTx{tx, c}, nil
}

type liteTx struct {
	driver.Tx
	c *liteConn
}

func (t liteTx) Commit() error {
	t.c.within = false
	return t.Tx.Commit()
}

func (t liteTx) Rollback() error {
	t.c.within = false
	return t.Tx.Rollback()
}

// Close closes the statements and the connection.
func (c *liteConn) Close() error {
	errs := make([]error, 0, len(c.statements)+1)
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.innerConn.Close())...)
}

// openLiteDB opens a pool of such connections.
func openLiteDB(dsn string) *sql.DB {
	return sql.OpenDB(liteConnector{dsn})
}
