package media

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"pombo"
)

// job fetches one file for all who want it. Guarded by Manager.mu, but for what is
// said otherwise.
type job struct {
	id     string
	done   chan struct{} // closed at the end
	err    error         // why it failed; set before done is closed
	until  time.Time     // when it is given up
	lanes  map[pombo.Lane]bool
	missed bool // deliveries wait for it: if it fails, they go without
}

// want sees to it that a file is fetched, and returns the job; nil if the manager is
// closed. delivery tells that a delivery of lane waits for it. The caller holds m.mu.
func (m *Manager) want(id string, lane pombo.Lane, delivery bool) *job {
	if m.closed {
		return nil
	}
	j := m.jobs[id]
	if j == nil {
		j = &job{id: id, done: make(chan struct{}), lanes: map[pombo.Lane]bool{}, until: time.Now().Add(m.o.Deadline)}
		m.jobs[id] = j
		m.wg.Go(func() { m.work(j) })
	}
	if delivery {
		if !j.missed { // from now on it counts for those as well
			j.missed, j.until = true, time.Now().Add(m.o.Deadline)
		}
		j.lanes[lane] = true
	}
	return j
}

// work is the life of a job.
func (m *Manager) work(j *job) {
	row, err := m.fetch(j)
	for err != nil {
		if m.life.Err() != nil {
			err = errClosed
			break
		}
		m.mu.Lock()
		missed := j.missed
		m.mu.Unlock()
		if !missed || row.ID == "" || m.miss(row, err) {
			break
		}
	}
	m.mu.Lock()
	delete(m.jobs, j.id)
	j.err = err
	close(j.done)
	m.mu.Unlock()
	if m.o.Ready != nil && m.life.Err() == nil {
		for lane := range j.lanes { // nobody adds to it any more
			m.o.Ready(lane)
		}
	}
}

// miss writes down that deliveries go without their file. It returns false if that
// has to be tried again, after a pause.
func (m *Manager) miss(row pombo.Media, cause error) bool {
	if row.Missed != "" { // an earlier job's: this one was asked for just before that was stored
		return true
	}
	m.log.Warn("a file could not be fetched: its event is sent without it", "message", row.Message, "instance", row.Instance, "error", cause)
	row.Missed = "The file could not be fetched: " + sentence(cause)
	ctx, cancel := context.WithTimeout(m.life, time.Minute)
	defer cancel()
	err := m.o.Store.UpdateMedia(ctx, row)
	if err == nil {
		return true
	}
	m.log.Error("that a file is missing could not be stored; this is tried again", "error", err)
	m.pause(time.Second)
	return false
}

// sentence is what people are told of an error. What is not meant for them may hold
// addresses with keys in them.
func sentence(err error) string {
	var known *pombo.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return "the gateway's log has the cause"
}

// The pauses between two tries.
const (
	firstPause  = 500 * time.Millisecond
	longestWait = 10 * time.Second
)

// fetch tries until the file is here, it is certain that it will not be, or the
// job's time is over. row is empty if nothing is known of the file.
func (m *Manager) fetch(j *job) (row pombo.Media, err error) {
	pause := firstPause
	var earlier error
	for {
		var ok bool
		row, ok, err = m.o.Store.Media(m.life, j.id)
		switch {
		case err == nil && !ok:
			return row, pombo.Errorf(pombo.NotFound, "it is no longer kept")
		case err == nil:
			err = m.try(j, row)
		}
		if errors.Is(err, errSlow) && earlier != nil {
			err = earlier // says more
		}
		earlier = err
		if err == nil || final(err) || m.life.Err() != nil {
			return row, err
		}
		left := time.Until(m.deadline(j))
		if left <= 0 {
			return row, err
		}
		m.log.Info("a file could not be fetched; this is tried again", "message", row.Message, "instance", row.Instance, "error", err)
		m.pause(min(pause, left))
		pause = min(2*pause, longestWait)
	}
}

func final(err error) bool {
	kind := pombo.KindOf(err)
	return kind == pombo.NotFound || kind == pombo.Invalid
}

func (m *Manager) deadline(j *job) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return j.until
}

func (m *Manager) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-m.life.Done():
	}
}

// errSlow is what there is to say if time is over before there is an error.
var errSlow = pombo.Errorf(pombo.Unavailable, "it did not come in time")

// try makes one try, when its turn comes.
func (m *Manager) try(j *job, row pombo.Media) error {
	ctx, cancel := context.WithDeadline(m.life, m.deadline(j))
	defer cancel()
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return errSlow
	}
	if _, err := os.Stat(m.path(j.id)); err == nil {
		return nil // it came meanwhile
	}
	if ctx.Err() != nil { // at the same moment
		return errSlow
	}
	err := m.download(ctx, row, m.path(j.id))
	if err != nil && ctx.Err() != nil && m.life.Err() == nil && !final(err) {
		return errSlow
	}
	return err
}

// unfinished ends the name of a file that is being written.
const unfinished = ".part"

// download writes a file under another name first.
func (m *Manager) download(ctx context.Context, row pombo.Media, path string) (err error) {
	if err := m.reserve(ctx, row.Size); err != nil {
		return err
	}
	kept := int64(0)
	defer func() { m.settle(row.Size, kept) }()
	f, err := os.OpenFile(path+unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("making a file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what is left is removed at the next start
		}
	}()
	found, err := m.o.Fetch.FetchMedia(ctx, row, f)
	if err == nil {
		err = f.Sync()
	}
	size := int64(0)
	if info, statErr := f.Stat(); err == nil {
		if err = statErr; err == nil {
			size = info.Size()
		}
	}
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("writing a file: %w", closeErr)
	}
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("naming a file: %w", err)
	}
	kept = size
	if found.DirectPath != row.DirectPath {
		if err := m.o.Store.UpdateMedia(ctx, found); err != nil {
			m.log.Warn("where a file was found could not be stored", "error", err) // it is asked for again, should it be needed
		}
	}
	return nil
}
