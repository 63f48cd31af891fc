package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow/store/sqlstore"

	"pombo"
	"pombo/internal/store/session"
)

// Options says which database a Store is on, and who listens.
type Options struct {
	// URI is "sqlite:" and a file's path, or a postgresql:// (postgres://) URL.
	// Of the latter, Prisma's parameter "schema" names the schema (by default
	// "pombo"), "connection_limit" bounds the number of connections, and Prisma's
	// other parameters are ignored.
	URI string
	// Global is the webhook that gets the events of every instance; nil for none.
	// The one of an earlier start is replaced or switched off.
	Global *pombo.Webhook
	// Logger gets what the operator should know; nil for silence. No secret is
	// ever logged.
	Logger *slog.Logger
	// OnAppend is called after each commit that made deliveries, with all of
	// them, complete, in the order of their IDs. IDs also ascend from call to
	// call. The calls come from one goroutine, which makes all writes: OnAppend
	// must not block and must not write. It must not change the events' Data.
	OnAppend func([]pombo.Delivery)
	// Observe is told what was committed, for metrics; nil: nobody.
	Observe Observer
	// Keep says how long deliveries that have ended are kept.
	Keep Retention
	// MaxDisk is how large the database may become, in bytes; 0: no limit. See
	// disk.go for what happens when it is reached.
	MaxDisk int64
	// SessionCache bounds, in bytes, what is kept in memory of the devices' keys; 0
	// means 64 MiB.
	SessionCache int64
	// LockWait is how long Open waits for another process to let go of the
	// database; 0 means 5 s, long enough for a restart in which the old process is
	// still stopping.
	LockWait time.Duration
	// Fault is for tests: it is asked before each transaction, once for every
	// kind of operation in it ("append", "settle", "put webhook", "create
	// instance", "update instance", "delete instance", "put sent message",
	// "put history", "tell history", "end history", "clear history",
	// "sessions", "import", "housekeeping", "write rows"), and with "read" before a read. An
	// error stands for a database that fails. Before a commit it is asked with
	// "written", and after it with "committed": an error there stands for an answer
	// that was lost.
	Fault func(op string) error
}

// Store is the database. Its methods can be called from any goroutine.
type Store struct {
	log      *slog.Logger
	onAppend func([]pombo.Delivery)
	fault    func(op string) error
	observe  Observer
	keep     Retention
	maxDisk  int64
	disk     disk
	tally    tally

	dialect dialect
	backend backend
	read    *sql.DB // for reads of our own
	// sessionReads is for reads of what the devices keep.
	sessionReads *sql.DB
	devices      *sqlstore.Container // whatsmeow's own, on the same tables
	// sessions is what stands in its place for what messages need.
	sessions *session.Container

	uid string // of this database, for MessageID
	// mediaSecret is what MediaSecret returns.
	mediaSecret string
	hasGlobal   bool
	digest      func(texts ...string) int64 // digest; tests take one that clashes
	hooks       atomic.Pointer[registry]

	findOccurrence, insertOccurrence                           bulk
	insertEvent, insertRow, settleFirst, settle, insertAttempt bulk
	insertSent, pending, pendingInLane, parked                 statement
	// unwritten is how many deliveries have no row yet.
	unwritten atomic.Int64

	queue    *queue
	stopped  chan struct{} // closed when Close begins
	drained  chan struct{} // closed when the committer has ended
	drainErr error         // set before drained is closed
	house    sync.WaitGroup
	buryNow  chan struct{} // capacity 1: there is something to bury
	cleanNow chan struct{} // capacity 1: the disk's limit is near
	endHouse context.CancelFunc
	closing  sync.Once
	closeErr error

	errMu sync.Mutex
	err   error // why the last transaction failed; nil while all is well
}

// Open opens the database, creates or upgrades its tables (and whatsmeow's), and
// starts the committer. Only one process can have a database open. An error
// says what to do, and never holds the URI's password.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{
		digest: digest, log: o.Logger, onAppend: o.OnAppend, fault: o.Fault, observe: o.Observe, keep: o.Keep.orDefault(), maxDisk: o.MaxDisk, hasGlobal: o.Global != nil,
		queue: newQueue(), stopped: make(chan struct{}), drained: make(chan struct{}),
		buryNow: make(chan struct{}, 1), cleanNow: make(chan struct{}, 1),
	}
	if o.LockWait == 0 {
		o.LockWait = 5 * time.Second
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var writes *sql.DB
	var err error
	scheme, _, _ := strings.Cut(o.URI, ":")
	switch scheme {
	case "sqlite":
		writes, err = s.openSQLite(ctx, strings.TrimPrefix(o.URI, "sqlite:"), o.LockWait)
	case "postgresql", "postgres":
		writes, err = s.openPostgres(ctx, o.URI, o.LockWait)
	case "mysql", "mongodb", "mongodb+srv":
		return nil, pombo.Errorf(pombo.Invalid, "the database %s:// is not supported: use postgresql://, or leave DATABASE_CONNECTION_URI out to have an embedded SQLite database", scheme)
	default:
		return nil, pombo.Errorf(pombo.Invalid, "the database's URI must begin with sqlite: or postgresql://")
	}
	if err != nil {
		return nil, err
	}
	s.openSessions(s.sessionReads, o.SessionCache)
	if err := s.start(ctx, writes, o.Global); err != nil {
		return nil, errors.Join(err, s.backend.close())
	}
	return s, nil
}

// start loads what is kept in memory and sets the goroutines going.
func (s *Store) start(ctx context.Context, writes *sql.DB, global *pombo.Webhook) error {
	if err := s.prepareAll(ctx, writes); err != nil {
		return err
	}
	if err := s.measure(ctx); err != nil {
		return err
	}
	hooks, err := s.loadRegistry(ctx, s.read)
	if err != nil {
		return fmt.Errorf("reading webhooks: %w", err)
	}
	s.hooks.Store(hooks)
	c := &committer{s: s, rows: newUnwritten(), occurrences: newOccurrences()}
	if err := c.recover(ctx); err != nil {
		return fmt.Errorf("finding out what was written last: %w", err)
	}
	c.lastID = c.rows.next - 1
	go c.run()
	op := globalOp{hook: global}
	if err := s.submit(ctx, op.name(), op); err != nil {
		s.queue.close()
		close(s.stopped)
		<-s.drained
		return fmt.Errorf("storing the global webhook: %w", err)
	}
	if len(hooks.deadThrough) > 0 {
		s.signalBury()
	}
	house, end := context.WithCancel(context.Background())
	s.endHouse = end
	s.house.Go(func() { s.keepHouse(house) })
	return nil
}

func (s *Store) prepareAll(ctx context.Context, writes *sql.DB) error {
	plain := func(n int) []string { return make([]string, n) }
	for _, b := range []struct {
		into       *bulk
		head, tail string
		casts      []string
	}{
		{&s.findOccurrence, findOccurrenceHead, findOccurrenceTail, plain(1)},
		{&s.insertOccurrence, insertOccurrenceHead, insertOccurrenceTail, plain(2)},
		{&s.insertEvent, insertEventHead, "", plain(eventColumns)},
		{&s.insertRow, insertRowHead, "", plain(rowColumns)},
		{&s.settleFirst, settleFirstHead, settleFirstTail, plain(1)},
		{&s.settle, settleHead, settleTail, settleCasts},
		{&s.insertAttempt, insertAttemptHead, insertAttemptTail, plain(attemptColumns)},
	} {
		var err error
		if *b.into, err = prepareBulk(ctx, s.dialect, writes, b.head, b.casts, b.tail); err != nil {
			return err
		}
	}
	for _, q := range []struct {
		into  *statement
		db    *sql.DB
		query string
	}{
		{&s.insertSent, writes, insertSentQuery},
		{&s.pending, s.read, pendingQuery},
		{&s.pendingInLane, s.read, laneQuery},
		{&s.parked, s.read, parkedQuery},
	} {
		var err error
		if *q.into, err = prepare(ctx, s.dialect, q.db, q.query); err != nil {
			return err
		}
	}
	return nil
}

// Close commits what waits, ends the Store's goroutines and closes the database.
// Calls that come after it are answered with ErrUnavailable. The error says if
// results of deliveries could not be committed; these deliveries will be
// repeated.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.endHouse()
		s.house.Wait()
		s.writeTally(context.Background())
		close(s.stopped)
		s.queue.close()
		<-s.drained
		s.closeErr = errors.Join(s.drainErr, s.backend.close())
	})
	return s.closeErr
}

func (s *Store) askFault(op string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(op)
}

func (s *Store) setError(err error) {
	s.errMu.Lock()
	s.err = err
	s.errMu.Unlock()
}

func (s *Store) lastError() error {
	s.errMu.Lock()
	defer s.errMu.Unlock()
	if s.err == nil {
		return errClosed
	}
	return s.err
}

// waitFor calls try until it succeeds, fails, or wait has passed (then ok is
// false).
func waitFor(ctx context.Context, wait time.Duration, try func() (ok bool, err error)) (ok bool, err error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := try(); ok || err != nil {
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline.C:
			return false, nil
		case <-tick.C:
		}
	}
}
