package media

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pombo"
)

// Store keeps what is known of files.
type Store interface {
	Media(ctx context.Context, id string) (m pombo.Media, ok bool, err error)
	MediaOfMessage(ctx context.Context, instance pombo.InstanceID, message string) (m pombo.Media, ok bool, err error)
	// UpdateMedia keeps where the file is now, and whether deliveries missed it.
	UpdateMedia(ctx context.Context, m pombo.Media) error
	// ForgetMedia drops what came before and is needed by no delivery.
	ForgetMedia(ctx context.Context, before time.Time) error
	// KnownMedia tells which files are known; true: a delivery needs it.
	KnownMedia(ctx context.Context, ids []string) (map[string]bool, error)
}

// Fetcher gets files from WhatsApp. FetchMedia writes m's file, decrypted, to into,
// which is empty, and returns m, with the place where the file was found if that is
// a new one. An error of kind NotFound or Invalid is final; its message, and that of
// any other pombo.Error, is for people.
type Fetcher interface {
	FetchMedia(ctx context.Context, m pombo.Media, into *os.File) (pombo.Media, error)
}

// Options are the parts and habits of a Manager. Store, Fetch and Dir are required.
type Options struct {
	Store Store
	Fetch Fetcher
	Dir   string // of the files; it is made, and holds nothing else
	// Deadline is how long a delivery waits for its file. 0: 60 s.
	Deadline time.Duration
	// Keep is how long files can be had after their message. 0: 72 h.
	Keep time.Duration
	// Limit is how many bytes the files may have together. 0: 2 GiB.
	Limit int64
	// LargestSent is how many bytes a file may have that is sent with an event.
	// 0: 100 MiB.
	LargestSent int64
	// Ready is called when deliveries of a lane wait for a file no longer. It must
	// not block.
	Ready  func(lane pombo.Lane)
	Logger *slog.Logger // nil: nothing is logged
}

// The limits of what goes on at once.
const (
	maxFetches = 8    // under way
	maxAhead   = 1000 // jobs; beyond that nothing is fetched ahead of its turn
)

// Manager owns the files. Its methods may be called from any goroutine.
type Manager struct {
	o     Options
	log   *slog.Logger
	slots chan struct{} // capacity maxFetches
	full  chan struct{} // capacity 1: there is too much

	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	jobs   map[string]*job
	used   int64 // bytes on disk, and those that fetches may still write
}

// New makes a Manager and its folder. What an earlier process left unfinished there
// is removed.
func New(o Options) (*Manager, error) {
	o.Deadline = cmp.Or(o.Deadline, time.Minute)
	o.Keep = cmp.Or(o.Keep, 72*time.Hour)
	o.Limit = cmp.Or(o.Limit, 2<<30)
	o.LargestSent = cmp.Or(o.LargestSent, 100<<20)
	m := &Manager{
		o: o, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		slots: make(chan struct{}, maxFetches), full: make(chan struct{}, 1), jobs: map[string]*job{},
	}
	m.life, m.end = context.WithCancel(context.Background())
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for files: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(o.Dir, "*"+unfinished))
	if err != nil {
		return nil, fmt.Errorf("looking for unfinished files: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing an unfinished file: %w", err)
		}
	}
	files, err := m.list()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		m.used += f.size
	}
	return m, nil
}

// Run removes what is no longer needed until ctx ends; then it ends what is being
// fetched, and returns.
func (m *Manager) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := m.sweep(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("files that are no longer needed could not all be removed; this is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-m.full:
		}
	}
	m.Close()
}

// Close ends what is being fetched. Run does it too.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end()
	m.wg.Wait()
}

// Ahead begins to fetch the files that new deliveries are to carry. It does not
// block.
func (m *Manager) Ahead(ds []pombo.Delivery) {
	for _, d := range ds {
		if !d.Event.Attachment.Wanted {
			continue
		}
		m.mu.Lock()
		if len(m.jobs) < maxAhead {
			m.want(d.Event.Attachment.ID, d.Lane(), true)
		}
		m.mu.Unlock()
	}
}

// Waiting is the error for a file that is being fetched: it is here, or will be
// missed, soon after Until at the latest. Options.Ready tells when.
type Waiting struct{ Until time.Time }

func (*Waiting) Error() string { return "the file is being fetched" }

// errClosed is what there is when the gateway stops.
var errClosed = pombo.Errorf(pombo.Unavailable, "The gateway is stopping, try again")

// askAgain is how long a delivery waits before it asks again, if Ready is not
// called. It is a precaution.
const askAgain = 10 * time.Second

// Sent tells what of its file a delivery carries: the file's path and length, or
// why it goes without it, in a sentence. The answer is the same for every attempt,
// but for a file that had to be removed and is no longer to be had. The error is
// Waiting while the file is being fetched.
func (m *Manager) Sent(ctx context.Context, d pombo.Delivery) (path string, size int64, missed string, err error) {
	id := d.Event.Attachment.ID
	c, err := m.look(ctx, id)
	switch {
	case err != nil:
		return "", 0, "", err
	case c.missed != "":
		if c.row.ID != "" && c.row.Missed == "" {
			c.row.Missed = c.missed
			err = m.o.Store.UpdateMedia(ctx, c.row)
		}
		return "", 0, c.missed, err
	case c.here:
		return m.path(id), c.size, "", nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.want(id, d.Lane(), true) == nil {
		return "", 0, "", errClosed
	}
	return "", 0, "", &Waiting{Until: time.Now().Add(askAgain)}
}

// carried is what of its file a delivery carries.
type carried struct {
	row    pombo.Media // empty if nothing is known of it
	size   int64
	here   bool
	missed string // why deliveries go without it
}

func (m *Manager) look(ctx context.Context, id string) (c carried, err error) {
	row, ok, err := m.o.Store.Media(ctx, id)
	if err != nil {
		return c, err
	}
	if !ok {
		return carried{missed: "The file is no longer kept."}, nil
	}
	c = carried{row: row, size: row.Size, missed: row.Missed}
	info, err := os.Stat(m.path(id))
	switch {
	case err == nil:
		c.size, c.here = info.Size(), true
	case !errors.Is(err, os.ErrNotExist):
		m.log.Error("a file cannot be read", "error", err)
	}
	if c.missed == "" && c.size > m.o.LargestSent {
		c.missed = fmt.Sprintf("The file has %d bytes, and at most %d are sent with an event (POMBO_MEDIA_BASE64_MAX_MB).", c.size, m.o.LargestSent)
	}
	return c, nil
}

// Look tells what Sent would, without having the file fetched: its length in bytes
// (what its sender says, until it is here) and whether it is here, or why deliveries
// go without it.
func (m *Manager) Look(ctx context.Context, id string) (size int64, here bool, missed string, err error) {
	c, err := m.look(ctx, id)
	return c.size, c.here, c.missed, err
}
