package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/util/keys"
)

// Options configure a Server. The zero value works: state in memory, a new root key, no logs.
type Options struct {
	// DataDir keeps the state in DataDir/sandbox.db, so that it outlives the process, also one that is killed.
	// Empty: memory only.
	DataDir string

	// Logger receives what the server does. nil: discarded.
	Logger *slog.Logger

	// PairingCode returns the QR text that an instance shows now, for control calls that name an instance instead of
	// a code. nil: such calls are refused.
	PairingCode func(ctx context.Context, instance string) (code string, err error)

	// Gateway is the gateway's API as the owner of its instances uses it, for the steps of scenarios that are not the
	// network's. nil: they are skipped.
	Gateway http.Handler

	// MediaLimit is how many bytes of media are kept, in DataDir/media or, without one, in a temporary folder; the
	// oldest go first. 0: 4 GiB.
	MediaLimit int64

	// Quiet phones do not give a new companion the keys of the settings, nor history, by themselves.
	Quiet bool

	// RootKeySeed fixes the root key: servers with the same seed have the same root. whatsmeow keeps the root in a
	// package variable (whatsmeow.WACertPubKey), so a process that talks to several servers needs one for all.
	// nil: the key kept in DataDir or, without one, a random key.
	RootKeySeed []byte
}

// Server is a simulated WhatsApp network. Make one with New; all methods are safe for concurrent use.
type Server struct {
	options  Options
	log      *slog.Logger
	root     *keys.KeyPair
	identity serverIdentity
	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	running  sync.WaitGroup // connections
	network  http.Handler
	control  http.Handler
	store    *database // nil: memory only

	mu      sync.Mutex // guards everything below, and all users and devices
	closed  bool
	world   world
	current *batch
	writing bool   // a batch is being written
	written uint64 // number of the last batch that is safe
	conns   map[*conn]struct{}
	faults  faults
	media   mediaFiles
}

// New starts a network, with the state found in o.DataDir.
func New(o Options) (*Server, error) {
	s := &Server{options: o, log: o.Logger, conns: map[*conn]struct{}{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.world.init()
	s.current = newBatch(1)
	if o.DataDir != "" {
		if err := s.open(o.DataDir); err != nil {
			return nil, err
		}
	}
	if err := s.makeIdentity(); err != nil {
		if s.store != nil {
			_ = s.store.db.Close()
		}
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.network = s.networkRoutes()
	s.control = s.controlRoutes()
	if s.store != nil {
		go s.write()
		s.store.wake()
	}
	return s, nil
}

// makeIdentity settles the root key and makes the server's static Noise key, which no client remembers.
func (s *Server) makeIdentity() error {
	if s.options.RootKeySeed != nil {
		s.root = rootFromSeed(s.options.RootKeySeed)
	} else if s.world.rootSeed == nil {
		s.world.rootSeed = make([]byte, 32)
		_, _ = rand.Read(s.world.rootSeed)
		s.current.put(tableMeta, "root", func() []byte { return s.world.rootSeed })
	}
	if s.root == nil {
		s.root = rootFromSeed(s.world.rootSeed)
	}
	s.identity.static = keys.NewKeyPair()
	var err error
	if s.identity.cert, err = certificate(s.root, *s.identity.static.Pub); err != nil {
		return fmt.Errorf("making the server's certificate: %w", err)
	}
	return nil
}

// RootKey is the public root key of the network's certificates. Set whatsmeow.WACertPubKey to it before connecting.
func (s *Server) RootKey() [32]byte { return *s.root.Pub }

// Network is the WhatsApp side: what web.whatsapp.com and the media hosts answer.
func (s *Server) Network() http.Handler { return s.network }

// Control is the side of whoever plays the phones: the routes under /sandbox/. It checks no credentials: the caller
// does.
func (s *Server) Control() http.Handler { return s.control }

// Close cuts all connections, writes what is not yet written and lets go of the data folder.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for c := range s.conns {
		c.cancel()
	}
	s.mu.Unlock()
	s.stop()
	s.running.Wait()
	err := s.closeMedia()
	if s.store != nil {
		return errors.Join(err, s.store.close())
	}
	return err
}

// update runs fn with the state locked. What fn records in the batch becomes durable together; the returned channel
// closes when it has, or never if the server is closed first.
func (s *Server) update(fn func(t *batch)) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.current
	b.used = true
	fn(b)
	if s.store == nil || len(b.rows) == 0 && !s.writing {
		s.current = newBatch(b.number + 1)
		s.finish(b)
	} else {
		s.store.wake()
	}
	return b.done
}

// updateWait is update, and waits until the change is durable.
func (s *Server) updateWait(ctx context.Context, fn func(t *batch)) error {
	done := s.update(fn)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return errorf(Conflict, "The sandbox is shutting down")
	}
}

// finish makes a durable batch visible: its stanzas may go on the wire, its answers may be sent. Called with s.mu held.
func (s *Server) finish(b *batch) {
	s.written = b.number
	for _, fn := range b.after {
		fn()
	}
	for d := range b.touched {
		s.pump(d)
	}
	close(b.done)
}

// batch gathers the changes that are written in one transaction, and what may happen only after it.
type batch struct {
	number  uint64
	used    bool                     // somebody may wait for it, also if it holds no changes
	rows    map[rowKey]func() []byte // nil function: delete the row
	after   []func()                 // run with s.mu held, in order
	touched map[*device]struct{}     // devices with new stanzas
	done    chan struct{}
}

func newBatch(number uint64) *batch {
	return &batch{
		number:  number,
		rows:    map[rowKey]func() []byte{},
		touched: map[*device]struct{}{},
		done:    make(chan struct{}),
	}
}

// empty says that nobody waits for the batch and it holds nothing to write.
func (b *batch) empty() bool { return !b.used && len(b.rows) == 0 }

// put records that a row changed; value is called, with s.mu held, when the batch is written.
func (b *batch) put(table, key string, value func() []byte) { b.rows[rowKey{table, key}] = value }

// drop records that a row is gone.
func (b *batch) drop(table, key string) { b.rows[rowKey{table, key}] = nil }

// then runs fn, with s.mu held, once the batch is durable.
func (b *batch) then(fn func()) { b.after = append(b.after, fn) }

// now is the network's clock: whole seconds, as on the wire.
func now() time.Time { return time.Unix(time.Now().Unix(), 0) }
