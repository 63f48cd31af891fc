package whatsapp

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// queueSize is how many nodes whatsmeow holds before it gives up their order
	// (client.go, handlerQueueSize).
	queueSize = 2048
	// queueHigh is where reading from the socket slows down, so that the network
	// holds back instead, and queueFull where the line starts over.
	queueHigh = queueSize / 2
	queueFull = queueSize * 7 / 8
	// slowRead is how long one read waits for a full queue to shrink. It ends,
	// since an answer that the node at work waits for may be behind the others.
	slowRead = 200 * time.Millisecond
	slowStep = 5 * time.Millisecond
)

var errShut = errors.New("the line is shut")

// gate stands between whatsmeow and the socket. It gives a line three powers
// that whatsmeow has not: to let no byte out after a moment of its choosing, to
// know that the socket has ended whatever the reason, and to hold the network
// back while the queue of nodes is long.
type gate struct {
	queued func() int // nodes that wait to be handled
	full   func()     // called when there are too many
	// detach is called before the reader is told that the socket has ended. It makes
	// the client drop the socket, which it has done, as far as the reader is concerned,
	// when it closes it: then told is closed. A nil told is that of a reader that
	// closes the socket itself.
	detach func(told <-chan struct{})
	// settled waits until the client has opened its socket, or given it up.
	settled func()
	// attached tells whether the client has opened its socket, and not been detached.
	attached func() bool
	ended    chan struct{}
	dropped  chan struct{} // closed when the client closes its socket

	mu   sync.Mutex
	shut bool
	// parting says that the client is being made to drop its socket.
	parting bool
	// broken says that the socket has ended by itself.
	broken bool
	// answered says that the other side has sent something, and unanswered that the
	// socket ended before that.
	answered, unanswered bool
	conn                 io.ReadWriteCloser
	once, dropOnce       sync.Once
}

func newGate() *gate {
	return &gate{
		queued: func() int { return 0 }, full: func() {},
		detach: func(<-chan struct{}) {}, settled: func() {}, attached: func() bool { return false },
		ended: make(chan struct{}), dropped: make(chan struct{}),
	}
}

// client returns an HTTP client whose WebSocket goes through the gate.
func (g *gate) client(rt http.RoundTripper) *http.Client {
	return &http.Client{Transport: gateTransport{g, rt}}
}

// close shuts the gate: nothing is written any more, and reads fail. It returns
// at once. reading is true if there is a reader, which will call detach.
func (g *gate) close() (reading bool) {
	g.mu.Lock()
	g.shut = true
	conn := g.conn
	g.mu.Unlock()
	if conn == nil {
		g.end()
		return false
	}
	_ = conn.Close() // it is being thrown away
	return true
}

// end reports that the reader of the socket has been told that it is over, and
// will hand on no further frame.
func (g *gate) end() { g.once.Do(func() { close(g.ended) }) }

type gateTransport struct {
	gate *gate
	base http.RoundTripper
}

func (t gateTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return resp, nil
	}
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	if t.gate.shut {
		_ = conn.Close()
		return nil, errShut
	}
	t.gate.conn = conn
	resp.Body = gateConn{t.gate, conn}
	return resp, nil
}

type gateConn struct {
	gate *gate
	io.ReadWriteCloser
}

// Write pretends to write when the other side has ended the socket. The reader alone
// tells whatsmeow that its socket has ended: after a failed write, later senders
// would not get here, and whatsmeow looks at its socket in them without a lock
// while the reader throws it away. Whoever waits for an answer hears of the end.
func (c gateConn) Write(p []byte) (int, error) {
	c.gate.mu.Lock()
	shut, broken, parting := c.gate.shut, c.gate.broken, c.gate.parting
	c.gate.mu.Unlock()
	switch {
	case parting:
		return 0, errShut
	case broken, shut && !c.gate.heard():
		return len(p), nil
	case shut:
		return 0, errShut
	}
	if _, err := c.ReadWriteCloser.Write(p); err != nil {
		c.gate.breakOff()
		_ = c.ReadWriteCloser.Close() // so that the reader ends
	}
	return len(p), nil
}

// breakOff makes writes silent: the socket has ended.
func (g *gate) breakOff() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = true
}

func (c gateConn) Read(p []byte) (int, error) {
	if n := c.gate.queued(); n > queueFull {
		c.gate.full()
	} else if n > queueHigh {
		for deadline := time.Now().Add(slowRead); c.gate.queued() > queueHigh && time.Now().Before(deadline); {
			time.Sleep(slowStep) //nolint:forbidigo // the queue gives no notice when it shrinks
		}
	}
	n, err := c.ReadWriteCloser.Read(p)
	switch {
	case n > 0:
		c.gate.hear()
		return n, nil // an error comes again; once detached, nothing read is handed on
	case err != nil && c.gate.giveUpOn(len(p)):
		return copy(p, noAnswer), nil
	}
	if err != nil {
		c.gate.breakOff()
		_ = c.ReadWriteCloser.Close() // so that no write is stuck
		c.gate.settled()
		c.gate.finish(c.gate.dropped)
		c.gate.breakOff() // every write so far comes before what the reader does now
	}
	return n, err
}

// part makes writes fail: the client is about to drop its socket. It would say
// goodbye, and wait for an answer.
func (g *gate) part() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parting = true
}

// noAnswer is a WebSocket message with an empty frame of WhatsApp's (RFC 6455,
// section 5.2; whatsmeow socket/framesocket.go).
//
// whatsmeow waits 20 s for the first answer of a handshake, with a lock held that
// disconnecting needs, and does not notice that its socket has ended. So it gets an
// answer: this one, with which the handshake fails at once.
const noAnswer = "\x82\x03\x00\x00\x00"

// heard tells whether the other side has sent anything.
func (g *gate) heard() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answered
}

func (g *gate) hear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answered = true
}

// giveUpOn is called when the socket has ended. It is true once, if nothing was heard
// on it, and room bytes are enough for noAnswer.
func (g *gate) giveUpOn(room int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answered || g.unanswered || room < len(noAnswer) {
		return false
	}
	g.unanswered, g.broken = true, true
	return true
}

// silent tells whether the socket ended before the other side had sent anything.
func (g *gate) silent() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unanswered
}

// Close is called by a client that drops its socket: when a handshake or a pairing has
// failed, when it is detached, and by a reader that has read that the other side
// closes. The reader may not come back to Read, which would tell of the end.
func (c gateConn) Close() error {
	err := c.ReadWriteCloser.Close()
	c.gate.mu.Lock()
	leaving := !c.gate.parting && c.gate.attached()
	c.gate.mu.Unlock()
	c.gate.dropOnce.Do(func() { close(c.gate.dropped) })
	if leaving || c.gate.silent() {
		c.gate.finish(nil)
	}
	return err
}

// How long the last nodes before the end of a socket may take to be picked up.
const (
	settleLimit = 250 * time.Millisecond
	settleStep  = 5 * time.Millisecond
)

// finish runs before whatsmeow's reader hears that the socket has ended.
//
// If the other side ended it, the reason came right before, in nodes that may
// still be queued; whatsmeow would drop them.
func (g *gate) finish(told <-chan struct{}) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if !shut {
		empty := 0
		for deadline := time.Now().Add(settleLimit); empty < 2 && time.Now().Before(deadline); {
			time.Sleep(settleStep) //nolint:forbidigo // the queue gives no notice when it is empty
			if empty++; g.queued() > 0 {
				empty = 0
			}
		}
	}
	g.detach(told)
	g.end()
}
