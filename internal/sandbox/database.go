package sandbox

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// database is where the state outlives the process. A killed process loses nothing that was committed; a power cut may
// (synchronous is OFF), which is no concern of a simulation.
type database struct {
	db     *sql.DB
	work   chan struct{} // capacity 1: there is a batch to write
	quit   chan struct{} // closed: write what is left and return
	done   chan struct{} // closed by the writer
	insert *sql.Stmt
	remove *sql.Stmt
}

const (
	stateVersion = "1"
	// writeRetry is how long the writer waits after a failed transaction, such as on a full disk.
	writeRetry = time.Second
)

// openDatabase opens or makes DataDir/sandbox.db, for this process alone.
func openDatabase(dir string) (*database, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the sandbox's data folder: %w", err)
	}
	path := filepath.Join(dir, "sandbox.db")
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	db, err := sql.Open("sqlite", "file:"+escaped+"?_txlock=immediate&_pragma=busy_timeout(1000)"+
		"&_pragma=locking_mode(EXCLUSIVE)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	d := &database{db: db, work: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	if err = d.prepare(); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("opening %s (is another sandbox using it?): %w", path, err)
	}
	return d, nil
}

func (d *database) prepare() error {
	_, err := d.db.Exec(`CREATE TABLE IF NOT EXISTS state (
		kind  TEXT NOT NULL, -- what it is a row of: see state.go
		key   TEXT NOT NULL,
		value BLOB NOT NULL,
		PRIMARY KEY (kind, key)
	) WITHOUT ROWID`)
	if err != nil {
		return err
	}
	if d.insert, err = d.db.Prepare(`INSERT OR REPLACE INTO state (kind, key, value) VALUES (?, ?, ?)`); err != nil {
		return err
	}
	d.remove, err = d.db.Prepare(`DELETE FROM state WHERE kind = ? AND key = ?`)
	return err
}

// each calls fn for every row, ordered by table and key.
func (d *database) each(fn func(table, key string, value []byte) error) error {
	rows, err := d.db.Query(`SELECT kind, key, value FROM state ORDER BY kind, key`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var table, key string
		var value []byte
		if err = rows.Scan(&table, &key, &value); err != nil {
			return err
		}
		if err = fn(table, key, value); err != nil {
			return fmt.Errorf("reading %s %s: %w", table, key, err)
		}
	}
	return rows.Err()
}

// row is a change to write. A nil value deletes.
type row struct {
	rowKey
	value []byte
}

func (d *database) commit(rows []row) error {
	ctx := context.Background()
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	insert, remove := tx.StmtContext(ctx, d.insert), tx.StmtContext(ctx, d.remove)
	for _, r := range rows {
		if r.value == nil {
			_, err = remove.ExecContext(ctx, r.table, r.key)
		} else {
			_, err = insert.ExecContext(ctx, r.table, r.key, r.value)
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (d *database) wake() {
	select {
	case d.work <- struct{}{}:
	default:
	}
}

// close lets the writer finish and closes the file.
func (d *database) close() error {
	close(d.quit)
	<-d.done
	return d.db.Close()
}

// write is the writer: it commits all changes that wait, in one transaction, then lets their consequences happen.
// What comes meanwhile waits for the next.
func (s *Server) write() {
	defer close(s.store.done)
	for quitting := false; ; {
		b, rows := s.takeBatch()
		if b == nil {
			if quitting {
				return
			}
			select {
			case <-s.store.work:
			case <-s.store.quit:
				quitting = true
			}
			continue
		}
		for len(rows) > 0 {
			err := s.store.commit(rows)
			if err == nil {
				break
			}
			s.log.Error("The sandbox's state could not be written; trying again", "error", err)
			select {
			case <-time.After(writeRetry):
			case <-s.store.quit:
				return
			}
		}
		s.mu.Lock()
		s.writing = false
		s.finish(b)
		s.mu.Unlock()
	}
}

// takeBatch closes the current batch and encodes its rows as they are now. It returns nil if nothing changed.
func (s *Server) takeBatch() (*batch, []row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.current
	if b.empty() {
		return nil, nil
	}
	s.current = newBatch(b.number + 1)
	s.writing = true
	rows := make([]row, 0, len(b.rows))
	for key, value := range b.rows {
		r := row{rowKey: key}
		if value != nil {
			r.value = value()
		}
		rows = append(rows, r)
	}
	return b, rows
}
