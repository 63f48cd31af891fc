package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"pombo"
)

// The limit of the database's size (Options.MaxDisk).
//
// What counts is the room that rows take, not the size of files, which never
// shrink: what retention frees counts as free at once, and is used again before a
// file grows. From trimAt on, deliveries that were made lose their history, the
// oldest first, however young. If that is not enough, because what is pending or
// dead fills the database, nothing new is taken in: WhatsApp is not told that it
// was received and sends it again, and the API answers 503. All else goes on, so
// that deliveries end, retention frees their room, and the gateway recovers by
// itself.
const (
	trimAt, trimTo = 0.90, 0.80
	// diskInterval is how often the size is looked at.
	diskInterval = time.Second
	// rowCost is about what the rows and index entries of one event with one
	// delivery and one attempt take beside the event's data, in bytes. Only
	// PostgreSQL needs it.
	rowCost = 1200
)

// disk is what is known of the database's size.
type disk struct {
	used, file atomic.Int64
	full       atomic.Bool
}

// Usage is how large the database is, in bytes.
type Usage struct {
	Used int64 // by rows
	File int64 // on the disk, with what is free for reuse; without the write-ahead log
	Max  int64 // the limit for Used; 0: none
	Full bool  // nothing new is taken in
}

// Usage returns how large the database was a moment ago.
func (s *Store) Usage() Usage {
	return Usage{Used: s.disk.used.Load(), File: s.disk.file.Load(), Max: s.maxDisk, Full: s.disk.full.Load()}
}

// room refuses what would make the database grow while it is full.
func (s *Store) room() error {
	if !s.disk.full.Load() {
		return nil
	}
	return pombo.Errorf(pombo.Unavailable,
		"%w: it has reached the limit of %s (POMBO_MAX_DISK), so nothing new is taken in. It recovers by itself when deliveries end or are too old; raise the limit, or switch off webhooks that are not needed any more",
		ErrUnavailable, bytesText(s.maxDisk))
}

// measure looks at the size of the database.
func (s *Store) measure(ctx context.Context) error {
	used, file, err := s.size(ctx)
	if err != nil {
		return fmt.Errorf("measuring the database: %w", err)
	}
	s.disk.used.Store(used)
	s.disk.file.Store(file)
	if s.maxDisk == 0 {
		return nil
	}
	full := used >= s.maxDisk
	if s.disk.full.Swap(full) != full {
		if full {
			s.log.Error("the database has reached its limit: events are not taken in, and WhatsApp keeps them; raise POMBO_MAX_DISK, or switch off webhooks that are not needed any more",
				"used", bytesText(used), "limit", bytesText(s.maxDisk))
		} else {
			s.log.Info("the database has room again", "used", bytesText(used), "limit", bytesText(s.maxDisk))
		}
	}
	if float64(used) >= trimAt*float64(s.maxDisk) {
		select {
		case s.cleanNow <- struct{}{}:
		default:
		}
	}
	return nil
}

func (s *Store) size(ctx context.Context) (used, file int64, err error) {
	if s.dialect == dialectSQLite {
		var pages, free, size int64
		err = s.read.QueryRowContext(ctx, `SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&pages, &free, &size)
		return (pages - free) * size, pages * size, err
	}
	err = s.read.QueryRowContext(ctx, `
		SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0) FROM pg_class c
		WHERE c.relkind = 'r' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())`).Scan(&file)
	if err != nil || s.maxDisk == 0 || float64(file) < trimAt*float64(s.maxDisk) {
		return file, file, err
	}
	// PostgreSQL does not tell how much of a table is free: near the limit, count.
	err = s.read.QueryRowContext(ctx, `
		SELECT COALESCE(SUM(octet_length(data)), 0) + COUNT(*) * $1::bigint FROM pombo_event`, int64(rowCost)).Scan(&used)
	return min(used, file), file, err
}

// bytesText writes a size for people.
func bytesText(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.4g %s", f, units[i])
}

// Measure looks at the size of the database at once, as is done every second.
func (s *Store) Measure(ctx context.Context) error { return s.measure(ctx) }
