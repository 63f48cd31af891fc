package media

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pombo"
)

// sweepEvery is the time between two looks at what is no longer needed.
const sweepEvery = 10 * time.Minute

// fresh is how long a file that a delivery needs is safe from being removed for
// want of room: it is used as soon as it is there.
const fresh = 5 * time.Minute

// path is where the file with this ID is. An ID from outside is one only if a row
// has it.
func (m *Manager) path(id string) string { return filepath.Join(m.o.Dir, id) }

// stored is a file on disk.
type stored struct {
	id   string
	size int64
	at   time.Time
}

// list returns the complete files.
func (m *Manager) list() ([]stored, error) {
	entries, err := os.ReadDir(m.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("reading the folder for files: %w", err)
	}
	var all []stored
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case errors.Is(err, os.ErrNotExist): // removed meanwhile
		case err != nil:
			return nil, fmt.Errorf("reading the folder for files: %w", err)
		case info.Mode().IsRegular() && !strings.HasSuffix(e.Name(), unfinished):
			all = append(all, stored{e.Name(), info.Size(), info.ModTime()})
		}
	}
	return all, nil
}

// sweep removes what is known of files that are old, the files of which nothing is
// known, and, if there is too much, files that can be fetched again: the oldest
// first, those last that deliveries need.
func (m *Manager) sweep(ctx context.Context) error {
	if err := m.o.Store.ForgetMedia(ctx, time.Now().Add(-m.o.Keep)); err != nil {
		return err
	}
	files, err := m.list()
	if err != nil {
		return err
	}
	var total int64
	needed := map[string]bool{}
	kept := files[:0]
	for part := range slices.Chunk(files, 500) {
		ids := make([]string, len(part))
		for i, f := range part {
			ids[i] = f.id
		}
		known, err := m.o.Store.KnownMedia(ctx, ids)
		if err != nil {
			return err
		}
		for _, f := range part {
			n, ok := known[f.id]
			if !ok {
				m.remove(f)
				continue
			}
			needed[f.id] = n
			kept, total = append(kept, f), total+f.size
		}
	}
	m.shrink(kept, needed, total)
	return nil
}

// shrink removes files until there is some room below the limit.
func (m *Manager) shrink(files []stored, needed map[string]bool, total int64) {
	m.mu.Lock()
	total = max(total, m.used)
	m.mu.Unlock()
	if total <= m.o.Limit {
		return
	}
	slices.SortFunc(files, func(a, b stored) int {
		if needed[a.id] != needed[b.id] {
			if needed[b.id] {
				return -1
			}
			return 1
		}
		return a.at.Compare(b.at)
	})
	wanted := 0
	for _, f := range files {
		if total <= m.o.Limit/10*9 {
			break
		}
		if needed[f.id] {
			if time.Since(f.at) < fresh {
				continue
			}
			wanted++
		}
		m.remove(f)
		total -= f.size
	}
	if wanted > 0 {
		m.log.Warn("there is no room for files that events wait to be sent with: they are fetched again when their turn comes (POMBO_MEDIA_MAX_MB)", "files", wanted)
	}
}

func (m *Manager) remove(f stored) {
	err := os.Remove(m.path(f.id))
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		m.log.Warn("a file could not be removed", "error", err)
	default:
		m.mu.Lock()
		m.used -= f.size
		m.mu.Unlock()
	}
}

// reserve sets room aside for a file that is said to have so many bytes, for which
// others may have to go.
func (m *Manager) reserve(ctx context.Context, size int64) error {
	if size > m.o.Limit {
		return pombo.Errorf(pombo.Invalid, "it has %d bytes, and all files together may have %d (POMBO_MEDIA_MAX_MB)", size, m.o.Limit)
	}
	if m.take(size) {
		return nil
	}
	m.mu.Lock()
	m.used += size // so that sweep sees it
	m.mu.Unlock()
	err := m.sweep(ctx)
	m.settle(size, 0)
	if err != nil {
		return err
	}
	if m.take(size) {
		return nil
	}
	return pombo.Errorf(pombo.Unavailable, "there is no room for it, see POMBO_MEDIA_MAX_MB")
}

func (m *Manager) take(size int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used+size > m.o.Limit {
		return false
	}
	m.used += size
	return true
}

// settle gives back what was set aside, but for what the file has in the end.
func (m *Manager) settle(reserved, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used += size - reserved
	if m.used > m.o.Limit {
		select {
		case m.full <- struct{}{}:
		default:
		}
	}
}
