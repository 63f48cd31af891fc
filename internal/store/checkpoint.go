package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"time"
)

const (
	// walInterval is the time between two looks at the write-ahead log, and the least
	// time between two beginnings of it.
	walInterval = time.Second
	// walHaste is the time after a look at which the log had grown by walGrowth pages or
	// more. Each copy ends with a wait for the disk, which commits that come meanwhile
	// share: the more is copied at once, the longer. Copied once a second, the log of a
	// full load held everybody up for some 50 ms.
	walHaste  = walInterval / 20
	walGrowth = 512
	// walLimit is the length in bytes from which the log is begun anew. In between
	// it is copied into the database as it grows, without making anyone wait, but a
	// log that always has a writer never begins anew by itself. On a full disk the
	// database needs room to take the log in, so the limit is also about what must
	// become free before a gateway whose disk was full can go on.
	walLimit = 16 << 20
	// walKept is the length in bytes that the log's file keeps when it begins anew. To
	// cut a hundred megabytes off takes tens of milliseconds of the next commit's time,
	// and the room is wanted again at once. If it is longer than walLimit, it is
	// emptied when nothing was written for walCalm.
	walKept = 256 << 20
	walCalm = 10 * time.Second
	// walFrame is the length in bytes of a page of 4 KiB in the log, with its header
	// (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
	walFrame = 4096 + 24
	// walPasses is how often the log is copied before it is begun anew, and walRest the
	// number of pages that may be left to copy for that: the writer waits for them.
	walPasses = 4
	walRest   = 32
	// walPatience is how long, in milliseconds, the writing connection waits for
	// readers when the log is cut; if one takes longer, the next look tries again.
	walPatience = 50
)

// checkpointer copies SQLite's write-ahead log into the database, off the path
// of commits.
type checkpointer struct {
	db     *sql.DB // a connection of its own
	writes *sql.DB
	wal    string
	log    *slog.Logger
	stop   context.CancelFunc
	done   chan struct{}
}

func startCheckpointer(path string, writes *sql.DB, log *slog.Logger) (*checkpointer, error) {
	db, err := openLite(path, 1, "wal_autocheckpoint(0)")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &checkpointer{db: db, writes: writes, wal: path + "-wal", log: log, stop: stop, done: make(chan struct{})}
	go c.run(ctx)
	return c, nil
}

func (c *checkpointer) run(ctx context.Context) {
	defer close(c.done)
	timer := time.NewTimer(walInterval)
	defer timer.Stop()
	var seen, begun time.Time
	var frames int64 // at the last look
	var next time.Duration
	for ; ; timer.Reset(next) {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next = walInterval
		info, err := os.Stat(c.wal)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				c.log.Warn("the write-ahead log cannot be looked at", "error", err)
			}
			continue
		}
		if info.ModTime().Equal(seen) { // nothing was written
			if info.Size() > walLimit && time.Since(seen) > walCalm {
				c.report(ctx, c.beginAnew(ctx, "TRUNCATE"))
			}
			continue
		}
		seen = info.ModTime()
		before, limit := frames, int64(walLimit)
		if time.Since(begun) < walInterval {
			limit = math.MaxInt64
		}
		frames, err = c.checkpoint(ctx, limit)
		if frames-before >= walGrowth || frames < before {
			next = walHaste
		}
		if frames*walFrame >= limit {
			begun, frames = time.Now(), 0
		}
		if err != nil {
			seen = time.Time{} // try again
		}
		c.report(ctx, err)
	}
}

func (c *checkpointer) report(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		c.log.Warn("the write-ahead log could not be copied into the database", "error", err)
	}
}

// checkpoint copies what it can, and returns how many pages the log had. If it is
// limit bytes long it is then begun anew, over the writing connection: only there is no one who would have to wait
// by polling.
// Little is left to copy by then: what was written while it was copied is copied in
// another pass, and so on.
func (c *checkpointer) checkpoint(ctx context.Context, limit int64) (frames int64, err error) {
	for range walPasses {
		before := frames
		if _, frames, err = checkpointLog(ctx, c.db, "PASSIVE"); err != nil || frames*walFrame < limit {
			return frames, err
		}
		if frames-before <= walRest {
			break
		}
	}
	return frames, c.beginAnew(ctx, "RESTART")
}

// beginAnew lets the log begin anew, or be cut, after the rest of it was copied. If a
// reader needs it, it stays.
func (c *checkpointer) beginAnew(ctx context.Context, mode string) error {
	conn, err := c.writes.Conn(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the writer: %w", err)
	}
	defer conn.Close()
	// The patience must be set back whatever happens, also when ctx has ended.
	defer conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout)) //nolint:errcheck // the next use of the connection would tell
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", walPatience)); err != nil {
		return err
	}
	busy, frames, err := checkpointLog(ctx, conn, mode)
	if busy {
		c.log.Debug("a reader kept the write-ahead log from beginning anew", "bytes", frames*walFrame)
	}
	return err
}

// checkpointLog runs a checkpoint; busy says that it could not be completed, and
// frames is the number of pages in the log.
func checkpointLog(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, mode string) (busy bool, frames int64, err error) {
	var copied int64
	err = q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &copied)
	return busy, frames, err
}

func (c *checkpointer) close() error {
	c.stop()
	<-c.done
	return c.db.Close()
}
