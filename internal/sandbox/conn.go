package sandbox

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/types"
)

const (
	handshakeTimeout = 20 * time.Second // the client's own limit: whatsmeow handshake.go
	writeTimeout     = 30 * time.Second
	// closingGrace is how long the server leaves a connection open after a last word such as <failure>. A client
	// that sees the end of the connection together with the stanza may drop the stanza (whatsmeow client.go,
	// handlerQueueLoop chooses between the two at random).
	closingGrace = 2 * time.Second
	// maxWebSocketMessage is up to where waiting frames share one WebSocket message. Frames are never split over two:
	// the client reassembles wrongly (whatsmeow socket/framesocket.go, processData).
	maxWebSocketMessage = 64 << 10
)

// conn is one client's connection. Its reader is the HTTP handler's goroutine; a second goroutine writes.
type conn struct {
	s       *Server
	ws      *websocket.Conn
	ctx     context.Context
	cancel  context.CancelFunc
	buffer  []byte // bytes received and not yet used
	started bool   // the prologue was read
	noise   *noiseResult
	reads   uint32 // frames decrypted

	outMu sync.Mutex
	out   []outgoing
	ready chan struct{}

	// guarded by s.mu
	device  *device  // after login
	pairing *pairing // before
	active  bool     // queued stanzas may be sent
	ended   bool     // the server said its last word: what the client still says is ignored
	offered uint64   // stanzas up to this sequence number are announced as offline
	offline int      // how many of them there were; -1 once the end was announced
	// echoes counts, by ID, the acks still to come for stanzas that a retry receipt
	// has confirmed already; see handleReceipt.
	echoes map[string]int
	// subscribed holds whose presence the client wants, by number, in the form in which it asked.
	subscribed map[string]types.JID
}

type outgoing struct {
	data      []byte
	notBefore time.Time
}

// serveChat accepts a client at /ws/chat and serves it until it leaves.
func (s *Server) serveChat(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		http.Error(w, "The sandbox is shutting down", http.StatusServiceUnavailable)
		return
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		s.log.Debug("Refused a WebSocket", "error", err)
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(socket.FrameMaxSize + 64)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	c := &conn{s: s, ws: ws, ctx: ctx, cancel: cancel, ready: make(chan struct{}, 1)}
	if err = c.serve(); err != nil && ctx.Err() == nil {
		s.log.Debug("A connection ended", "error", err)
	}
}

func (c *conn) serve() error {
	if err := c.handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.s.mu.Lock()
	c.s.conns[c] = struct{}{}
	if c.s.closed {
		c.cancel()
	}
	c.s.mu.Unlock()
	var writer sync.WaitGroup
	writer.Go(c.writeLoop)
	defer writer.Wait()
	defer c.detach()
	defer c.cancel()
	c.login(c.noise.payload)
	return c.readLoop()
}

func (c *conn) handshake() error {
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTimeout)
	defer cancel()
	read := func() ([]byte, error) { return c.readFrame(ctx) }
	write := func(frame []byte) error {
		return c.ws.Write(ctx, websocket.MessageBinary, appendFrame(nil, frame))
	}
	var err error
	c.noise, err = c.s.identity.respond(socket.WAConnHeader, read, write)
	return err
}

// readFrame returns the next frame: 3 bytes of length, big endian, and that many bytes.
func (c *conn) readFrame(ctx context.Context) ([]byte, error) {
	for {
		if !c.started && len(c.buffer) >= len(socket.WAConnHeader) {
			if !bytes.HasPrefix(c.buffer, socket.WAConnHeader) {
				return nil, fmt.Errorf("the connection starts with %x, not with %x", c.buffer[:4], socket.WAConnHeader)
			}
			c.buffer = c.buffer[len(socket.WAConnHeader):]
			c.started = true
		}
		if c.started && len(c.buffer) >= socket.FrameLengthSize {
			length := int(c.buffer[0])<<16 | int(c.buffer[1])<<8 | int(c.buffer[2])
			if rest := c.buffer[socket.FrameLengthSize:]; len(rest) >= length {
				c.buffer = rest[length:]
				return rest[:length:length], nil
			}
		}
		kind, data, err := c.ws.Read(ctx)
		if err != nil {
			return nil, err
		}
		if kind != websocket.MessageBinary {
			return nil, errors.New("got a text message")
		}
		if len(c.buffer) == 0 {
			c.buffer = data
		} else {
			c.buffer = append(c.buffer, data...)
		}
	}
}

func appendFrame(to, frame []byte) []byte {
	to = append(to, byte(len(frame)>>16), byte(len(frame)>>8), byte(len(frame)))
	return append(to, frame...)
}

func (c *conn) readLoop() error {
	for {
		frame, err := c.readFrame(c.ctx)
		if err != nil {
			return err
		}
		plain, err := c.noise.read.Open(nil, nonce(c.reads), frame, nil)
		if err != nil {
			return fmt.Errorf("decrypting frame %d: %w", c.reads, err)
		}
		c.reads++
		if err = c.receive(plain); err != nil {
			return err
		}
	}
}

// receive decodes and handles one stanza. A stanza that makes the code below panic ends its connection, not the server.
func (c *conn) receive(plain []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.s.log.Error("A stanza broke its handler", "panic", r, "stack", string(debug.Stack()))
			c.s.violation(c, ViolationMalformed, fmt.Sprintf("a stanza could not be handled: %v", r))
			err = fmt.Errorf("handling a stanza: %v", r)
		}
	}()
	if len(plain) == 0 {
		return errors.New("got an empty frame")
	}
	unpacked, err := waBinary.Unpack(plain)
	if err != nil {
		return fmt.Errorf("unpacking a stanza: %w", err)
	}
	n, err := waBinary.Unmarshal(unpacked)
	if err != nil {
		return fmt.Errorf("decoding a stanza: %w", err)
	}
	c.handle(n)
	return nil
}

// handle sends a stanza to whoever answers it.
func (c *conn) handle(n *node) {
	if c.isOver() {
		return
	}
	if c.device == nil && n.Tag != "iq" && n.Tag != "ack" {
		c.s.violation(c, ViolationMalformed, fmt.Sprintf("<%s> before login", n.Tag))
		return
	}
	switch n.Tag {
	case "iq":
		c.handleIQ(n)
	case "message":
		c.handleMessage(n)
	case "receipt":
		c.handleReceipt(n)
	case "ack":
		c.handleAck(n)
	case "presence":
		c.handlePresence(n)
	case "chatstate":
		c.handleChatState(n)
	case "call":
		c.handleCall(n)
	case "notification":
		c.send(node{Tag: "ack", Attrs: attrs{"class": n.Tag, "id": str(n, "id"), "from": n.Attrs["to"]}})
	case "ib", "xmlstreamend":
	default:
		c.s.violation(c, ViolationUnknownStanza, fmt.Sprintf("<%s>", n.Tag))
	}
}

func (c *conn) isOver() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.ended
}

// send queues a stanza for the client. It never blocks and may be called with s.mu held.
func (c *conn) send(n node) {
	data, err := waBinary.Marshal(n)
	if err != nil {
		c.s.log.Error("A stanza could not be encoded", "tag", n.Tag, "error", err)
		return
	}
	c.sendBytes(data, time.Time{})
}

// sendBytes queues an encoded stanza, to be sent not before the given time. Order is kept.
func (c *conn) sendBytes(data []byte, notBefore time.Time) {
	c.outMu.Lock()
	c.out = append(c.out, outgoing{data, notBefore})
	c.outMu.Unlock()
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// closeSoon ends the connection after the client had time to read what was sent last. Called with s.mu held.
func (c *conn) closeSoon() {
	c.active, c.ended = false, true
	c.s.running.Go(func() {
		select {
		case <-time.After(closingGrace):
			c.cancel()
		case <-c.ctx.Done():
		}
	})
}

func (c *conn) writeLoop() {
	defer c.cancel()
	var count uint32
	var message []byte
	for {
		select {
		case <-c.ready:
		case <-c.ctx.Done():
			return
		}
		c.outMu.Lock()
		waiting := c.out
		c.out = nil
		c.outMu.Unlock()
		for i, item := range waiting {
			if wait := time.Until(item.notBefore); !item.notBefore.IsZero() && wait > 0 {
				if c.flush(&message) != nil || !c.pause(wait) {
					return
				}
			}
			message = appendSealed(message, c.noise.write, count, item.data)
			count++
			if len(message) >= maxWebSocketMessage || i == len(waiting)-1 {
				if c.flush(&message) != nil {
					return
				}
			}
		}
	}
}

// appendSealed appends one encrypted frame.
func appendSealed(to []byte, key cipher.AEAD, count uint32, plain []byte) []byte {
	length := len(plain) + key.Overhead()
	to = append(to, byte(length>>16), byte(length>>8), byte(length))
	return key.Seal(to, nonce(count), plain, nil)
}

func (c *conn) flush(message *[]byte) error {
	if len(*message) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, writeTimeout)
	defer cancel()
	err := c.ws.Write(ctx, websocket.MessageBinary, *message)
	*message = (*message)[:0]
	return err
}

func (c *conn) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// detach forgets a connection that ended. What it had not confirmed will be sent again on the next.
func (c *conn) detach() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.conns, c)
	if d := c.device; d != nil && d.conn == c {
		d.conn = nil
		d.sent = 0
	}
	if c.pairing != nil {
		c.pairing.end(errorf(Conflict, "The instance closed its connection before pairing was complete; ask it for a new code"))
	}
}
