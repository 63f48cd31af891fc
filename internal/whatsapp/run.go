package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
	"pombo/internal/evolution"
)

// run is the goroutine that keeps a session connected: it owns the session's
// state, makes one line after the other, and shows others how far it is.
type run struct {
	s      *Session
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	number chan string   // asks for a pairing code
	habits chan struct{} // the settings say something else about being online
	// What follows belongs to the loop alone.
	told     pombo.ConnectionState // the last state that CONNECTION_UPDATE told
	pairing  pairing
	failures int // lines that failed in a row
}

// verdict is what follows from the end of a line.
type verdict struct {
	stop   bool          // do not connect again
	reason int           // for CONNECTION_UPDATE, as the Evolution API numbers it
	pause  time.Duration // before connecting again; 0: the backoff's
	atOnce bool          // connect again without a pause: nothing failed
	closed bool          // show StateClose during the pause
	logout bool          // WhatsApp has unlinked the device
	// discarded: the pairing on this line failed
	discarded bool
	err       error // what Wait tells if it stops
}

func newRun(s *Session, number string) *run {
	r := &run{s: s, done: make(chan struct{}), number: make(chan string, 1), habits: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.pairing.number = number
	r.told = pombo.StateClose
	return r
}

// loop runs until the session is closed, or connecting again is of no use.
func (r *run) loop() {
	defer close(r.done)
	defer r.cancel()
	for r.ctx.Err() == nil {
		v := r.once()
		if r.ctx.Err() != nil {
			break
		}
		if v.stop {
			r.finish(v)
			return
		}
		r.between(v)
	}
	r.s.setSnapshot(snapshot{state: pombo.StateClose, err: errSessionClosed})
}

var errSessionClosed = pombo.Errorf(pombo.Unavailable, "The connection was closed")

// finish shows and tells that the session stays closed.
func (r *run) finish(v verdict) {
	if v.logout {
		r.s.forget(r.ctx, v.reason)
	} else {
		r.tell(pombo.StateClose, v.reason)
	}
	r.s.setSnapshot(snapshot{state: pombo.StateClose, err: v.err})
}

// between waits before the next line.
func (r *run) between(v verdict) {
	switch {
	case v.closed:
		r.s.setSnapshot(snapshot{state: pombo.StateClose, err: v.err})
		r.tell(pombo.StateClose, v.reason)
	default:
		r.s.mu.Lock()
		if r.s.snap.state != pombo.StateConnecting {
			r.s.show(snapshot{state: pombo.StateConnecting})
		}
		r.s.mu.Unlock()
		r.tell(pombo.StateConnecting, v.reason)
	}
	if v.atOnce {
		return
	}
	pause := v.pause
	if pause == 0 {
		pause = r.backoff()
	}
	select {
	case <-time.After(pause):
	case <-r.ctx.Done():
	}
	if v.closed && r.ctx.Err() == nil {
		r.s.setSnapshot(snapshot{state: pombo.StateConnecting})
	}
}

// backoff doubles from line to line, with jitter so that a thousand sessions
// that lost their network together do not come back together.
func (r *run) backoff() time.Duration {
	t := r.s.n.timing
	d := t.backoffMin
	for range min(r.failures, 20) {
		d = min(2*d, t.backoffMax)
	}
	r.failures++
	return d/2 + rand.N(d/2+1)
}

// once makes one line and stays with it to its end.
func (r *run) once() verdict {
	device, v, ok := r.device()
	if !ok {
		return v
	}
	l := r.s.newLine(device)
	defer l.close()
	defer context.AfterFunc(r.ctx, func() { l.end(errClosed) })()
	r.tell(pombo.StateConnecting, 0)
	if r.ctx.Err() != nil {
		return verdict{}
	}
	if err := l.connect(); err != nil && r.ctx.Err() == nil {
		r.s.log.Warn("connecting to WhatsApp failed", "err", err, "failures", r.failures)
		return verdict{reason: 408}
	}
	v = r.follow(l)
	if !v.discarded {
		r.adopt(l) // the connection may have ended before the pairing was heard of
	}
	return v
}

// device loads the paired device anew for each line, so that the stores' caches
// are those of this line; without one it makes a device to pair.
func (r *run) device() (*store.Device, verdict, bool) {
	jid := r.s.known().jid
	if jid.IsEmpty() {
		return r.s.n.o.Devices.NewDevice(), verdict{}, true
	}
	d, err := r.s.n.o.Devices.GetDevice(r.ctx, jid)
	switch {
	case err != nil:
		r.s.log.Warn("loading the device failed", "err", err)
		return nil, verdict{}, false
	case d == nil:
		// A crash between the saving of the pairing and that of the device.
		r.s.log.Warn("the device of this instance is missing: it has to be paired again", "jid", jid.String())
		return nil, verdict{stop: true, logout: true, reason: 401, err: errNotPaired}, false
	}
	r.s.setAccount(func(a *account) { a.registration = d.RegistrationID })
	return d, verdict{}, true
}

var errNotPaired = pombo.Errorf(pombo.Conflict, "The phone of this instance is not linked any more: connect again to pair it")

// follow handles what is heard of a line until its end.
func (r *run) follow(l *line) verdict {
	r.pairing.begin()
	defer r.pairing.end()
	login := time.NewTimer(r.s.n.timing.login)
	defer login.Stop()
	var opened time.Time
	var reason <-chan time.Time // runs out when no reason for the socket's end came
	var paired, again bool      // the phone has linked us; WhatsApp wants us to log in
	ended := l.gate.ended
	for {
		select {
		case <-r.ctx.Done():
			return verdict{}
		case <-l.over:
			if r.ctx.Err() != nil {
				return verdict{}
			}
			r.s.log.Warn("the connection was given up", "cause", l.why())
			return r.lost(opened, 428)
		case <-ended:
			ended, reason = nil, time.After(r.s.n.timing.grace)
		case <-reason:
			if again {
				return verdict{atOnce: true}
			}
			return r.lost(opened, 428)
		case <-login.C:
			r.s.log.Warn("WhatsApp did not answer the login")
			return verdict{reason: 408}
		case number := <-r.number:
			r.pairing.number = number
			r.showCode(l)
		case <-r.habits:
			if !opened.IsZero() { // opening announces too
				r.announce(l)
			}
		case <-r.pairing.next():
			if v, over := r.nextCode(l); over {
				return v
			}
		case sig := <-l.signals:
			switch sig := sig.(type) {
			case *events.QR:
				login.Stop()
				r.pairing.codes = sig.Codes
				if v, over := r.nextCode(l); over {
					return v
				}
			case *events.Connected:
				login.Stop()
				opened = time.Now()
				r.opened(l)
			case *events.PairSuccess:
				login.Reset(r.s.n.timing.login) // the request to connect again comes next
				r.adopt(l)
				if paired = true; again {
					return verdict{atOnce: true}
				}
			case *events.ManualLoginReconnect: // 515
				// It may be heard before the pairing that it follows. Ending the line in
				// between would make whatsmeow take the pairing back.
				if again = true; paired {
					return verdict{atOnce: true}
				}
				reason = time.After(r.s.n.timing.grace)
			default:
				if v, over := r.hear(l, sig, opened); over {
					return v
				}
			}
		}
	}
}

// lost is the verdict on a connection that ended without a reason of its own.
func (r *run) lost(opened time.Time, reason int) verdict {
	if !opened.IsZero() && time.Since(opened) >= r.s.n.timing.settled {
		r.failures = 0
	}
	return verdict{reason: reason}
}

// hear handles a signal other than the happy ones, and tells whether the line is
// over. The numbers are those of the Evolution API (Baileys' DisconnectReason).
func (r *run) hear(l *line, sig any, opened time.Time) (verdict, bool) {
	log := r.s.log
	switch sig := sig.(type) {
	case *events.PairError:
		log.Warn("pairing failed", "err", sig.Error)
		r.s.discard(r.ctx, sig.ID)
		return verdict{atOnce: true, discarded: true}, true
	case *events.QRScannedWithoutMultidevice:
		log.Warn("the code was scanned by a phone without linked devices")
	case *events.PushNameSetting:
		r.renamed(l, sig.Action.GetName())
	case *events.Disconnected:
		return r.lost(opened, 428), true
	case *events.KeepAliveTimeout:
		if sig.ErrorCount >= 2 {
			log.Warn("WhatsApp does not answer any more")
			return r.lost(opened, 408), true
		}
	case *events.LoggedOut:
		log.Warn("WhatsApp has logged the instance out", "reason", sig.Reason.String())
		return verdict{stop: true, logout: true, reason: int(sig.Reason), err: errNotPaired}, true
	case *events.StreamReplaced:
		log.Warn("another process uses the same device: not connecting again")
		return verdict{stop: true, reason: 440, err: pombo.Errorf(pombo.Conflict,
			"Another process is connected with the device of %q: stop it, then connect again", r.s.name)}, true
	case *events.TemporaryBan:
		log.Error("WhatsApp has banned the account for a time", "ban", sig.String())
		return verdict{reason: 402, closed: true, pause: max(sig.Expire, time.Minute),
			err: pombo.Errorf(pombo.Conflict, "WhatsApp has banned the account for a time: %s", sig.String())}, true
	case *events.ClientOutdated:
		log.Error("WhatsApp refuses this version of WhatsApp Web", "version", r.s.n.Version())
		r.s.n.versions.refresh(r.ctx)
		return verdict{reason: 405}, true
	case *events.ConnectFailure:
		log.Warn("WhatsApp refused the login", "reason", sig.Reason.String(), "message", sig.Message)
		return verdict{reason: int(sig.Reason)}, true
	case *events.StreamError:
		log.Warn("WhatsApp ended the connection", "code", sig.Code)
		return r.lost(opened, 500), true
	}
	return verdict{}, false
}

// adopt takes over the device that the phone has linked on l, if it has. The
// registry already knows.
func (r *run) adopt(l *line) {
	l.mu.Lock()
	saved := l.saved
	l.mu.Unlock()
	if saved.jid.IsEmpty() || r.s.known().jid == saved.jid {
		return
	}
	r.s.log.Info("paired", "jid", saved.jid.String())
	r.s.setAccount(func(a *account) { *a = saved })
	r.pairing.reset()
	r.s.setSnapshot(snapshot{state: pombo.StateConnecting})
	r.failures = 0
}

// tell appends a CONNECTION_UPDATE if the state is not the one that was told
// last: a WhatsApp that cannot be reached gives one event, not one per attempt.
func (r *run) tell(state pombo.ConnectionState, reason int) {
	if r.told == state {
		return
	}
	a := r.s.known()
	c := evolution.Connection{Instance: r.s.name, State: state, StatusReason: reason}
	if !a.jid.IsEmpty() {
		c.JID, c.ProfileName, c.ProfilePictureURL = a.jid.String(), a.name, a.picture
	}
	if r.s.append(r.ctx, r.s.event(pombo.ConnectionUpdate, evolution.ConnectionUpdate(c))) == nil {
		r.told = state
	}
}

// append appends events that no stanza brought. It tries until it succeeds or
// ctx ends: nobody would bring them again.
func (s *Session) append(ctx context.Context, made ...pombo.Event) error {
	pause := s.n.timing.retryMin
	for try := 1; ; try++ {
		err := s.n.o.Sink.Append(ctx, made...)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("appending %s: %w", made[0].Name, errors.Join(ctx.Err(), err))
		}
		if try == 1 || try%20 == 0 {
			s.log.Warn("the store failed, trying again", "op", "append events", "event", made[0].Name, "tries", try, "err", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, s.n.timing.retryMax)
	}
}
