package media

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"pombo"
)

var errUnknown = pombo.Errorf(pombo.NotFound, "There is no such file, or its link has expired")

// Open opens the file with this ID, fetching it first if it is not here. Errors:
// NotFound if there is none, or no longer; Unavailable if it cannot be had now.
func (m *Manager) Open(ctx context.Context, id string) (*pombo.MediaFile, error) {
	return m.openYounger(ctx, id, m.o.Keep)
}

// OpenSent opens the file that deliveries carry, also when its link has expired.
// Otherwise it is Open.
func (m *Manager) OpenSent(ctx context.Context, id string) (*pombo.MediaFile, error) {
	return m.openYounger(ctx, id, math.MaxInt64)
}

func (m *Manager) openYounger(ctx context.Context, id string, age time.Duration) (*pombo.MediaFile, error) {
	row, ok, err := m.o.Store.Media(ctx, id)
	if err != nil {
		return nil, err
	}
	if !ok || time.Since(row.At) > age {
		return nil, errUnknown
	}
	return m.open(ctx, row)
}

// OfMessage opens the file of a message of an instance. ok is false if no file of
// such a message is known.
func (m *Manager) OfMessage(ctx context.Context, instance pombo.InstanceID, message string) (f *pombo.MediaFile, ok bool, err error) {
	row, ok, err := m.o.Store.MediaOfMessage(ctx, instance, message)
	if err != nil || !ok {
		return nil, false, err
	}
	f, err = m.open(ctx, row)
	return f, true, err
}

func (m *Manager) open(ctx context.Context, row pombo.Media) (*pombo.MediaFile, error) {
	for {
		f, err := open(m.path(row.ID), row)
		if !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
		m.mu.Lock()
		j := m.want(row.ID, pombo.Lane{}, false)
		m.mu.Unlock()
		if j == nil {
			return nil, errClosed
		}
		select {
		case <-j.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if j.err != nil {
			return nil, told(j.err)
		}
	}
}

// told makes of a job's error one that a caller is answered with.
func told(err error) error {
	kind := pombo.KindOf(err)
	switch kind {
	case pombo.Internal:
		return err
	case pombo.Invalid: // what the message says of its file is wrong, not the request
		kind = pombo.NotFound
	}
	return pombo.Errorf(kind, "The file could not be fetched: %w", err)
}

func open(path string, row pombo.Media) (*pombo.MediaFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening a file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // the first error is the one that matters
		return nil, fmt.Errorf("opening a file: %w", err)
	}
	return &pombo.MediaFile{ReadSeekCloser: f, Media: row, Length: info.Size()}, nil
}

// Stranger opens the file of a message that the caller gave whole. It is fetched for
// this call alone, and gone when it is closed. Errors as those of Open.
func (m *Manager) Stranger(ctx context.Context, row pombo.Media) (*pombo.MediaFile, error) {
	ctx, cancel := context.WithTimeout(ctx, m.o.Deadline)
	defer cancel()
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return nil, told(errSlow)
	}
	temp, err := os.CreateTemp(m.o.Dir, "*"+unfinished)
	if err != nil {
		return nil, fmt.Errorf("making a file: %w", err)
	}
	f := passing{temp}
	if err := m.reserve(ctx, row.Size); err != nil {
		return nil, errors.Join(told(err), f.Close())
	}
	defer m.settle(row.Size, 0) // it is not kept
	if _, err := m.o.Fetch.FetchMedia(ctx, row, temp); err != nil {
		if ctx.Err() != nil && !final(err) {
			err = errSlow
		}
		return nil, errors.Join(told(err), f.Close())
	}
	info, err := temp.Stat()
	if err == nil {
		_, err = temp.Seek(0, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &pombo.MediaFile{ReadSeekCloser: f, Media: row, Length: info.Size()}, nil
}

// passing is a file that goes when it is closed.
type passing struct{ *os.File }

// Close closes and removes the file.
func (f passing) Close() error { return errors.Join(f.File.Close(), os.Remove(f.Name())) }
