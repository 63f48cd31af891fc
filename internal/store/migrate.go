package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/store/sqlstore/upgrades"

	"pombo"
	"pombo/internal/store/session"
)

//go:embed schema/*.sql
var schema embed.FS

// Tables that hold the versions of our schema and of whatsmeow's.
const (
	versionTable         = "pombo_version"
	whatsmeowVersionName = "whatsmeow_version"
)

func upgradeTable() dbutil.UpgradeTable {
	var t dbutil.UpgradeTable
	t.RegisterFSPath(schema, "schema")
	return t
}

// migrate creates and upgrades our tables and whatsmeow's. db must be able to
// open more than one connection: some of dbutil's upgrades hold one while they
// take another.
func (s *Store) migrate(ctx context.Context, db *sql.DB) error {
	ours, err := wrap(db, s.dialect, versionTable, upgradeTable())
	if err != nil {
		return err
	}
	theirs, err := wrap(db, s.dialect, whatsmeowVersionName, upgrades.Table)
	if err != nil {
		return err
	}
	for _, table := range []string{versionTable, whatsmeowVersionName} {
		// dbutil would create the table itself, but on PostgreSQL it looks for it
		// in all schemas of the database: with another gateway in another schema
		// it would believe that ours is there.
		if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+table+` (version INTEGER, compat INTEGER)`); err != nil {
			return fmt.Errorf("creating the table %s: %w", table, err)
		}
	}
	if err := s.announceUpgrade(ctx, db, len(ours.UpgradeTable)); err != nil {
		return err
	}
	if err := ours.Upgrade(ctx); err != nil {
		return upgradeError("Pombo's tables", err)
	}
	if err := sqlstore.NewWithWrappedDB(theirs, nil).Upgrade(ctx); err != nil {
		return upgradeError("whatsmeow's tables", err)
	}
	for _, index := range session.Indexes(s.dialect == dialectPostgres) {
		if _, err := db.ExecContext(ctx, index); err != nil {
			return fmt.Errorf("creating an index of what devices keep: %w", err)
		}
	}
	for _, fact := range []struct {
		key, first string
		into       *string
	}{{"uid", newID("")[:16], &s.uid}, {"media_secret", newID(""), &s.mediaSecret}} {
		if _, err := db.ExecContext(ctx, s.dialect.form(
			`INSERT INTO pombo_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`), fact.key, fact.first); err != nil {
			return fmt.Errorf("storing the database's %s: %w", fact.key, err)
		}
		if err := db.QueryRowContext(ctx, s.dialect.form(`SELECT value FROM pombo_meta WHERE key = $1`), fact.key).Scan(fact.into); err != nil {
			return fmt.Errorf("reading the database's %s: %w", fact.key, err)
		}
	}
	return nil
}

// announceUpgrade logs that a start will take long: some upgrades write all rows anew.
func (s *Store) announceUpgrade(ctx context.Context, db *sql.DB, to int) error {
	var from int
	err := db.QueryRowContext(ctx, `SELECT version FROM `+versionTable).Scan(&from)
	switch {
	case errors.Is(err, sql.ErrNoRows): // it is new
		return nil
	case err != nil:
		return fmt.Errorf("reading the version of the tables: %w", err)
	case from > 0 && from < to:
		s.log.Info("the database is upgraded before anything else: about a minute for a million events, and as much room on the disk as it has now", "from", from, "to", to)
	}
	return nil
}

func upgradeError(what string, err error) error {
	if errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion) {
		return pombo.Errorf(pombo.Internal, "the database was written by a newer version of Pombo (%s: %w): start that version or a later one, or restore a backup from before the upgrade", what, err)
	}
	return fmt.Errorf("upgrading %s: %w", what, err)
}

// wrap makes a dbutil database of db.
func wrap(db *sql.DB, d dialect, version string, table dbutil.UpgradeTable) (*dbutil.Database, error) {
	w, err := dbutil.NewWithDB(db, d.name())
	if err != nil {
		return nil, fmt.Errorf("wrapping the database: %w", err)
	}
	w.VersionTable, w.UpgradeTable = version, table
	return w, nil
}

// container gives whatsmeow its tables: writes go to writes, reads outside of
// transactions to reads, which can be the same.
func (s *Store) container(writes, reads *sql.DB) (*sqlstore.Container, error) {
	w, err := wrap(writes, s.dialect, whatsmeowVersionName, upgrades.Table)
	if err != nil {
		return nil, err
	}
	if reads != writes {
		w.LoggingDB.UnderlyingExecable = splitDB{writes: writes, reads: reads}
	}
	return sqlstore.NewWithWrappedDB(w, waLogger{s.log.With("part", "devices")}), nil
}

// splitDB sends statements to one connection and queries to others. SQLite has
// one writing connection; whatsmeow's reads outside of a transaction must not
// queue for it. Besides, some of whatsmeow's queries keep their rows open when a
// row cannot be read (a device with a key of the wrong length, say), and that
// would block the only writing connection for ever.
//
// One writing connection cannot deadlock whatsmeow: inside DoTxn the context
// carries the transaction, and every query made there uses it; the locks of its
// caches (LID map, contacts, prekeys) are taken before the connection, never
// while holding it.
type splitDB struct{ writes, reads *sql.DB }

func (d splitDB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.writes.ExecContext(ctx, query, args...)
}

func (d splitDB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.db(query).QueryContext(ctx, query, args...)
}

func (d splitDB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return d.db(query).QueryRowContext(ctx, query, args...)
}

// db tells queries that write (INSERT … RETURNING) from those that read. Today's
// whatsmeow has none of the former; the reading connections would refuse them.
func (d splitDB) db(query string) *sql.DB {
	head := strings.ToUpper(strings.TrimSpace(query))
	if strings.HasPrefix(head, "SELECT") || strings.HasPrefix(head, "PRAGMA") {
		return d.reads
	}
	return d.writes
}
