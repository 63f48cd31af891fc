package whatsapp

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"go.mau.fi/whatsmeow/types"

	"pombo"
)

// Session is an instance's connection to WhatsApp. Its methods may be called
// from any goroutine.
//
// While it is to be connected, one goroutine (a run) owns its state; everybody
// else reads what that goroutine shows.
type Session struct {
	n        *Network
	id       pombo.InstanceID
	name     string
	log      *slog.Logger
	settings atomic.Pointer[pombo.Settings]
	lookups  *lookups
	outgoing outgoing
	calls    calls // that were rejected
	uploads  uploads

	control sync.Mutex // held by Connect, Logout and Close while they start or stop the run

	mu      sync.Mutex
	snap    snapshot
	changed chan struct{} // closed and replaced when snap changes
	run     *run          // nil while nothing is to be connected
	account account
}

// snapshot is what others see.
type snapshot struct {
	state pombo.ConnectionState
	qr    pombo.QR
	line  *line // live only while open
	err   error // why the last attempt came to StateClose
}

// now is the snapshot's state. It does not wait for the run to notice that the
// connection has ended.
func (s snapshot) now() pombo.ConnectionState {
	if s.state == pombo.StateOpen && (s.line == nil || s.line.why() != nil) {
		return pombo.StateConnecting
	}
	return s.state
}

// account is the WhatsApp account behind the instance; zero before pairing.
type account struct {
	jid     types.JID // with device
	lid     types.JID // without
	name    string
	picture string // URL
	// registration is a number that the device got when it was made; with the JID it
	// tells one pairing from another.
	registration uint32
}

// Connect begins to log in or, without a paired phone, to pair; then a number
// asks for a pairing code beside the QR code. It does not wait for that, and does
// nothing to a session that is already connecting or open, save that a number
// given now brings its pairing code.
func (s *Session) Connect(ctx context.Context, number string) error {
	s.control.Lock()
	defer s.control.Unlock()
	s.mu.Lock()
	if r := s.run; r != nil && s.snap.state != pombo.StateClose {
		r.askPairingCode(number)
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	// A run that shows StateClose is ending, or waits for a ban to end.
	if err := s.stop(ctx); err != nil {
		return err
	}
	s.begin(number)
	return nil
}

// begin starts a run; the caller holds s.control, and there is none.
func (s *Session) begin(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = newRun(s, number)
	s.show(snapshot{state: pombo.StateConnecting})
	go s.run.loop()
}

// Wait returns when there is a code to scan, or the connection is open, or the
// attempt has failed; then err says why. It ends with ctx's error when that ends.
func (s *Session) Wait(ctx context.Context) (pombo.ConnectionState, pombo.QR, error) {
	for {
		s.mu.Lock()
		snap, changed := s.snap, s.changed
		s.mu.Unlock()
		switch state := snap.now(); {
		case state == pombo.StateOpen:
			return state, pombo.QR{}, nil
		case state == pombo.StateClose:
			return state, pombo.QR{}, snap.err
		case snap.qr.Code != "":
			return snap.now(), snap.qr, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return snap.now(), snap.qr, ctx.Err()
		}
	}
}

// Snapshot returns the state of this moment, and the code that is shown.
func (s *Session) Snapshot() (pombo.ConnectionState, pombo.QR) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snap.now(), s.snap.qr
}

// SetSettings changes the instance's habits, from the next event on. An open
// connection shows at once whether it is online.
func (s *Session) SetSettings(settings pombo.Settings) {
	before := s.settings.Swap(&settings)
	if before.AlwaysOnline == settings.AlwaysOnline {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		return
	}
	select {
	case s.run.habits <- struct{}{}:
	default: // it is about to look
	}
}

// Close disconnects and keeps the device. It returns when nothing of the session
// uses the stores any more, or with ctx's error. Connect opens it again.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.run != nil {
		s.run.cancel() // ends a Logout that waits for a connection
	}
	s.mu.Unlock()
	s.control.Lock()
	defer s.control.Unlock()
	return s.stop(ctx)
}

// stop ends the run, if there is one; the caller holds s.control.
func (s *Session) stop(ctx context.Context) error {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	r.cancel()
	select {
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == r {
		s.run = nil
	}
	return nil
}

// show changes the snapshot; the caller holds s.mu.
func (s *Session) show(snap snapshot) {
	s.snap = snap
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Session) setSnapshot(snap snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show(snap)
}

// live returns the open line, or an Invalid error that says what to do.
func (s *Session) live() (*line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snap.now() == pombo.StateOpen {
		return s.snap.line, nil
	}
	return nil, pombo.Errorf(pombo.Invalid, "The %q instance is not connected: connect it with GET /instance/connect/%s and scan the code if one is shown", s.name, s.name)
}

// known returns what is known of the account.
func (s *Session) known() account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account
}

func (s *Session) setAccount(change func(*account)) account {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.account)
	return s.account
}
