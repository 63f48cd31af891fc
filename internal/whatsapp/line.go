package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/translate"
)

// errOver is what everything on a line that is over returns. It wraps
// context.Canceled because that is the one error for which whatsmeow neither asks
// for the message again nor confirms it (message.go, decryptMessages).
var errOver = fmt.Errorf("the connection has been given up: %w", context.Canceled)

// line is one connection to WhatsApp with a whatsmeow client of its own. A
// client is never used for a second connection: it would keep its queue of nodes
// and begin a second loop on it.
//
// A line is over, for good, when end is called. From that moment on, and before
// end returns, nothing that whatsmeow still does on it reaches WhatsApp, the
// stores or the sink. So it does not matter which of whatsmeow's many paths goes
// on to confirm a stanza after an error: the confirmation cannot leave.
type line struct {
	s      *Session
	log    *slog.Logger
	client *whatsmeow.Client
	scope  translate.Scope
	gate   *gate
	rt     http.RoundTripper

	ctx     context.Context // of everything the client does
	cancel  context.CancelFunc
	signals chan any      // what the run must hear of, in order
	over    chan struct{} // closed by end
	// settled is closed when the client has opened its socket, or failed to.
	settled chan struct{}
	turn    turn
	unit    unit // see units
	chores  chores
	// Messages whose events are being committed.
	confirmer confirmer

	// What is fetched beside.
	appState     appState
	histories    histories
	peerReceipts peerReceipts

	mu      sync.Mutex
	cause   error // why it is over; nil while it is not
	busy    int   // calls of handlers and stores under way
	idle    chan struct{}
	trouble trouble
	saved   account // the device that was paired and saved on this line
	// own holds what the account was when the line was made; whatsmeow changes its
	// device's fields without a lock.
	own      types.JID
	pushName string
}

// newLine makes a line on a device, which may be a new one.
func (s *Session) newLine(d *store.Device) *line {
	l := &line{
		s: s, log: s.log, gate: newGate(), rt: s.n.transport,
		signals: make(chan any, 64), over: make(chan struct{}), settled: make(chan struct{}),
		trouble: trouble{patience: s.n.timing.patience},
	}
	l.ctx, l.cancel = context.WithCancel(context.Background()) // ended by detach alone
	l.own, l.pushName = d.GetJID(), d.PushName
	l.turn.stuck = func() { l.end(errStuck) }
	l.guardDevice(d)
	l.scope = translate.Scope{
		Instance: s.id, Name: s.name, Own: plainJID(d.GetJID()), OwnLID: plainJID(d.GetLID()), Alt: l.altJID(d),
	}
	if file := s.n.o.File; file != nil {
		l.scope.File = func(key string) (string, string) { return file(s.id, key) }
	}

	c := whatsmeow.NewClient(d, lineLogger{newWALogger(s.log, s.n.o.LibraryLog), l})
	c.SynchronousAck = true
	c.EnableDecryptedEventBuffer = true
	c.ManualHistorySyncDownload = true
	c.EnableAutoReconnect = false
	c.DisableLoginAutoReconnect = true
	c.BackgroundEventCtx = l.ctx
	c.GetMessageForRetry = l.messageForRetry
	fullSync := s.settings.Load().SyncFullHistory
	c.GetClientPayload = func() *waWa6.ClientPayload { return s.n.payload(d, fullSync) }
	c.SetMediaHTTPClient(&http.Client{Transport: l.rt})
	socket := l.gate.client(l.rt)
	c.SetWebsocketHTTPClient(socket)
	c.SetPreLoginHTTPClient(socket)
	c.AddEventHandlerWithSuccessStatus(l.handle)
	l.client = c
	l.watchStanzas(c)
	l.gate.queued = queueOf(c)
	l.gate.full = func() { l.end(errQueueFull) }
	l.gate.detach = l.detach
	l.gate.settled = l.awaitSocket
	l.gate.attached = l.attached
	return l
}

var (
	errNoAnswer  = errors.New("the connection ended before WhatsApp answered")
	errQueueFull = errors.New("more stanzas wait than whatsmeow keeps in order")
	errClosed    = errors.New("closed")
)

// queueOf returns a function that tells how many nodes wait in c's queue. The
// queue is not exported; its length can be read all the same, safely while it is
// in use. TestQueueLength fails when whatsmeow renames it; then 0 is told.
func queueOf(c *whatsmeow.Client) func() int {
	q := reflect.ValueOf(c).Elem().FieldByName("handlerQueue")
	if !q.IsValid() || q.Kind() != reflect.Chan {
		return func() int { return 0 }
	}
	return q.Len
}

// connect opens the socket. It returns when the handshake is done or the line is
// over; the answer to the login comes as a signal. whatsmeow waits for a
// handshake without looking at its context, so it is called beside.
func (l *line) connect() error {
	watchdog := time.AfterFunc(l.s.n.timing.dial, func() {
		l.end(errors.New("WhatsApp did not answer"))
	})
	defer watchdog.Stop()
	if !l.enter() {
		return l.why()
	}
	result := make(chan error, 1)
	go func() {
		defer l.leave()
		err := l.client.ConnectContext(l.ctx)
		close(l.settled)
		result <- err
	}()
	select {
	case err := <-result:
		if cause := l.why(); cause != nil {
			return cause
		}
		if err != nil && l.gate.silent() {
			return errNoAnswer
		}
		return err
	case <-l.over:
		return l.why()
	}
}

// handshakeLimit is more than whatsmeow waits for the answer to a handshake
// (handshake.go, NoiseHandshakeResponseTimeout).
const handshakeLimit = 25 * time.Second

// awaitSocket is called by the reader of a socket that has ended. While whatsmeow
// is in a handshake, it uses its socket, and sets up what its reader then uses,
// without a lock between the two.
func (l *line) awaitSocket() {
	select {
	case <-l.settled:
	case <-l.gate.dropped: // the handshake has failed
	case <-time.After(handshakeLimit):
	}
}

// attached tells whether the client has opened its socket, and may still use it.
func (l *line) attached() bool {
	select {
	case <-l.settled:
		return l.ctx.Err() == nil
	default:
		return false
	}
}

// end makes the line over. It returns at once, may be called from anywhere and
// again; the first cause stays.
func (l *line) end(cause error) {
	l.mu.Lock()
	if l.cause != nil {
		l.mu.Unlock()
		return
	}
	l.cause = cause
	l.mu.Unlock()
	close(l.over)
	if l.gate.close() {
		// The reader calls detach, which cancels; this is for a reader that does not.
		time.AfterFunc(detachLimit, l.cancel)
		return
	}
	l.cancel()
}

// detachLimit bounds how long the context of a line outlives its end. Unless
// something is stuck, that is no longer than a send takes on a closed socket.
const detachLimit = 5 * time.Second

// detach makes the client drop its socket between two of its sends. It returns when
// the reader may leave.
//
// Left alone, whatsmeow drops its socket when its reader has left, while its senders,
// and those that wait for a connection, look at the same field without its lock: a
// data race of the library's own. The senders do hold a lock over each send, though,
// and look at their context in it; and those that wait hold the one that Disconnect
// takes. So the client is disconnected by a send, whose context does just that when it
// is looked at. Some of whatsmeow's senders have a context that nothing ends: they
// find that there is no socket.
//
// The reader waits until the client has closed its end of the socket. What follows
// waits for the reader: so this does not wait for the rest.
func (l *line) detach(told <-chan struct{}) {
	client := l.client.DangerousInternals() //nolint:staticcheck // there is no other way to it
	if !l.attached() || told == nil && client.IsExpectedDisconnect() {
		l.cancel() // the client has no socket: its handshake failed, or it is dropping it
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer l.cancel()
		// It sends nothing, so what it returns says nothing.
		_ = client.SendNode(plug{context.Background(), sync.OnceFunc(l.part)}, probe)
	}()
	select {
	case <-told:
	case <-done:
	case <-time.After(detachLimit):
		l.cancel()
	}
}

// part is the end of the client's socket: nobody sends meanwhile. It reports it as
// whatsmeow does when its reader leaves.
func (l *line) part() {
	defer l.cancel()
	client := l.client.DangerousInternals() //nolint:staticcheck // there is no other way to it
	expected := client.IsExpectedDisconnect()
	l.gate.part()
	l.client.Disconnect()
	if !expected {
		go client.DispatchEvent(&events.Disconnected{})
	}
}

// plug is a context that does something when whatsmeow asks whether it is over.
type plug struct {
	context.Context
	do func()
}

func (p plug) Err() error {
	p.do()
	return context.Canceled
}

// probe is a node that is never sent.
var probe = waBinary.Node{Tag: "presence"}

// why returns the cause of the end, or nil while the line is not over.
func (l *line) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// drainLimit bounds how long close waits for the library. What it waits for ends
// by itself within milliseconds, unless a database ignores its context.
const drainLimit = 10 * time.Second

// close ends the line and waits until nothing of it uses the stores any more.
func (l *line) close() {
	l.end(errClosed)
	limit, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	// The reader must have left before the client disconnects: whatsmeow stops the
	// consumer of frames, and a reader that still hands one on waits for ever.
	select {
	case <-l.gate.ended:
		l.awaitDetached(limit)
	case <-limit.Done():
	}
	l.disconnect(limit)
	l.mu.Lock()
	idle := make(chan struct{})
	if l.busy == 0 {
		close(idle)
	} else {
		l.idle = idle
	}
	l.mu.Unlock()
	select {
	case <-idle:
	case <-limit.Done():
		l.log.Error("a connection that was given up is still at work", "after", drainLimit)
	}
}

// disconnect makes the client forget its socket. It waits for a client that is
// still in a handshake, but not for ever.
func (l *line) disconnect(limit context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.client.Disconnect()
	}()
	select {
	case <-done:
	case <-limit.Done():
	}
}

// awaitDetached returns when the client has dropped its socket, which it does by
// itself once the reader has left. Disconnecting before that would write to a
// socket that is closing itself, without a lock between the two.
func (l *line) awaitDetached(limit context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // with this nothing is sent, but the answer tells whether there is a socket
	for {
		err := l.client.DangerousInternals().SendNode(ctx, probe) //nolint:staticcheck // there is no other way to it
		if errors.Is(err, whatsmeow.ErrNotConnected) {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-limit.Done():
			return
		}
	}
}

// enter registers a call that uses the stores or the sink; it is refused when
// the line is over. A call that was let in calls leave.
func (l *line) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return false
	}
	l.busy++
	return true
}

func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	if l.busy == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// bound returns ctx ended also by the end of the line: some of whatsmeow's calls
// come with a context that nothing ends.
func (l *line) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == l.ctx.Done() {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// signal tells the run of something.
func (l *line) signal(evt any) {
	select {
	case l.signals <- evt:
	case <-l.over:
	}
}

// altJID looks up the other form of a user's JID in what whatsmeow has learnt.
func (l *line) altJID(d *store.Device) func(types.JID) types.JID {
	return func(jid types.JID) types.JID {
		alt, err := d.GetAltJID(l.ctx, jid)
		if err != nil {
			return types.EmptyJID // the line is over: what is made with it is not appended
		}
		return alt.ToNonAD()
	}
}

func plainJID(jid types.JID) types.JID {
	if jid.IsEmpty() {
		return jid
	}
	return jid.ToNonAD()
}
