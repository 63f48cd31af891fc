package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"pombo"
)

const (
	// readConns is how many reads of ours, and of whatsmeow, can go on at once
	// beside the writer. A connection costs up to its page cache (readCache).
	readConns = 6
	// Page caches in KiB. What is not in them is mostly in the system's own cache.
	readCache, writeCache = 1000, 16000
	// busyTimeout, in milliseconds, is for other programs that look into the file
	// (a backup, a shell). Between Pombo's own connections there is nothing to
	// wait for: all writes use one.
	busyTimeout = 5000
)

// lite is the backend on SQLite.
type lite struct {
	writes, reads *sql.DB
	deviceReads   *sql.DB // whatsmeow's own: rows that it forgets to close must not stop us
	wal           *checkpointer
	lock          io.Closer
}

// openSQLite opens the file at path and returns the database for writing, which
// has exactly one connection: transactions wait in line for it instead of
// polling a locked file.
func (s *Store) openSQLite(ctx context.Context, path string, wait time.Duration) (*sql.DB, error) {
	s.dialect = dialectSQLite
	path, err := sqlitePath(path)
	if err != nil {
		return nil, err
	}
	lock, err := lockSQLite(ctx, path, wait)
	if err != nil {
		return nil, err
	}
	b := &lite{lock: lock}
	if err := s.connectSQLite(ctx, b, path); err != nil {
		return nil, errors.Join(sqliteOpenError(path, err), b.close())
	}
	s.backend, s.read, s.sessionReads = b, b.reads, b.deviceReads
	return b.writes, nil
}

func (s *Store) connectSQLite(ctx context.Context, b *lite, path string) error {
	if err := checkSQLiteFile(path); err != nil {
		return err
	}
	if err := s.migrateSQLite(ctx, path); err != nil {
		return err
	}
	var err error
	// Checkpoints are the checkpointer's: a commit never makes one. What a statement
	// over several rows would need to be undone alone stays in memory: as a file, it
	// costs as many writes as the log.
	if b.writes, err = openLite(path, 1, "wal_autocheckpoint(0)", "temp_store(MEMORY)", fmt.Sprintf("cache_size(-%d)", writeCache)); err != nil {
		return err
	}
	for _, reads := range []**sql.DB{&b.reads, &b.deviceReads} {
		if *reads, err = openLite(path, readConns, "query_only(1)", fmt.Sprintf("cache_size(-%d)", readCache)); err != nil {
			return err
		}
		(*reads).SetConnMaxIdleTime(time.Minute)
	}
	if b.wal, err = startCheckpointer(path, b.writes, s.log); err != nil {
		return err
	}
	s.devices, err = s.container(b.writes, b.deviceReads)
	return err
}

// migrateSQLite upgrades the tables over a connection pool of its own.
func (s *Store) migrateSQLite(ctx context.Context, path string) error {
	db, err := openLite(path, 0)
	if err != nil {
		return err
	}
	return errors.Join(s.migrate(ctx, db), db.Close())
}

// openLite opens a pool of at most conns connections; 0 is no bound.
//
// synchronous=FULL makes a commit wait for the disk: "appended" means that a
// power cut does not undo it. _txlock=immediate makes a transaction take the
// write lock when it begins instead of failing half-way with SQLITE_BUSY.
func openLite(path string, conns int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range append([]string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout),
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		fmt.Sprintf("journal_size_limit(%d)", walKept),
	}, pragmas...) {
		q.Add("_pragma", p)
	}
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	db := openLiteDB(uri.String())
	db.SetMaxOpenConns(conns)
	// Connections are kept: each has compiled statements and a page cache.
	db.SetMaxIdleConns(max(conns, 2))
	return db, nil
}

// sqlitePath makes path absolute and its folder exist.
func sqlitePath(path string) (string, error) {
	path = strings.TrimPrefix(path, "//") // sqlite:///data/pombo.db is /data/pombo.db
	if path == "" || strings.HasSuffix(path, "/") || strings.Contains(path, ":memory:") {
		return "", pombo.Errorf(pombo.Invalid, "sqlite: must be followed by the path of a file, for example sqlite:./data/pombo.db")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the database's folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", folderError(path, err)
	}
	return path, nil
}

func folderError(path string, err error) error {
	return pombo.Errorf(pombo.Internal, "the folder %s cannot be used for the database (%w): make it writable for the user that runs Pombo, or set POMBO_DATA_DIR to another", filepath.Dir(path), err)
}

// lockSQLite makes sure that no other process has the database open: two
// committers on one file would break the order of deliveries.
func lockSQLite(ctx context.Context, path string, wait time.Duration) (io.Closer, error) {
	name := path + ".lock"
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, folderError(path, err)
	}
	ok, err := waitFor(ctx, wait, func() (bool, error) { return tryLock(file) })
	if ok {
		return file, nil
	}
	closeErr := file.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", name, err), closeErr)
	}
	return nil, errors.Join(pombo.Errorf(pombo.Conflict, "another Pombo uses the database %s: stop it first, or give this one a data folder of its own (POMBO_DATA_DIR)", path), closeErr)
}

// checkSQLiteFile creates the file, readable for its owner only since it holds
// keys, or makes sure that it is a database.
func checkSQLiteFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	n, err := io.ReadFull(file, head)
	switch {
	case errors.Is(err, io.EOF): // empty: new
		return nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("reading %s: %w", path, err)
	case string(head[:n]) != magic:
		return notSQLite(path)
	}
	return nil
}

func notSQLite(path string) error {
	return pombo.Errorf(pombo.Invalid, "%s is not an SQLite database: move it away, or point DATABASE_CONNECTION_URI to another file", path)
}

// sqliteOpenError turns what the driver says into what to do.
func sqliteOpenError(path string, err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB:
			return notSQLite(path)
		case sqlite3.SQLITE_CORRUPT:
			return pombo.Errorf(pombo.Internal, "the database %s is damaged (%w): restore a backup, or save what is left with the command sqlite3 %s .recover", path, err, path)
		case sqlite3.SQLITE_FULL:
			return pombo.Errorf(pombo.Internal, "the disk of %s is full (%w): make room and start again", path, err)
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			return folderError(path, err)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return pombo.Errorf(pombo.Conflict, "another program holds the database %s locked (%w): close it and start again", path, err)
		}
	}
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		return folderError(path, err)
	}
	return err
}

func (b *lite) begin(ctx context.Context) (*sql.Tx, error) { return b.writes.BeginTx(ctx, nil) }

// failed has nothing to do: a connection to a file does not break.
func (*lite) failed(context.Context) {}

func (b *lite) close() error {
	var errs []error
	if b.wal != nil {
		errs = append(errs, b.wal.close())
	}
	for _, db := range []*sql.DB{b.reads, b.deviceReads, b.writes} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	// Last: from now on another process may open the file.
	errs = append(errs, b.lock.Close())
	return errors.Join(errs...)
}
