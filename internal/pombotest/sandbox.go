package pombotest

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"pombo/internal/sandbox"
)

// rootSeed is that of all networks: whatsmeow keeps the root key in a package
// variable, so those of one test process must share it.
var rootSeed = []byte("the root of all networks in tests")

// Sandbox is a simulated WhatsApp network in this process, on a loopback port:
// it lives on while a gateway is killed.
type Sandbox struct {
	*sandbox.Server
	URL string // ws://host:port, for pombo serve --whatsapp-url

	t       testing.TB
	addr    string
	handler http.Handler
	mu      sync.Mutex
	web     *http.Server  // nil while it is down
	ended   chan struct{} // closed when web serves no longer
	conns   map[net.Conn]bool
}

// NewSandbox starts a network without persistence; it stops with the test.
func NewSandbox(t testing.TB) *Sandbox {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{RootKeySeed: rootSeed})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.Network())
	mux.Handle("/sandbox/", s.Control())
	n := &Sandbox{Server: s, t: t, addr: "127.0.0.1:" + strconv.Itoa(keepPort(t)), handler: mux}
	n.Up()
	n.URL = "ws://" + n.addr
	t.Cleanup(func() {
		n.Down()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Up makes the network reachable again after Down.
func (s *Sandbox) Up() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	web, ended := &http.Server{Handler: s.handler, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	web.ConnState = func(c net.Conn, state http.ConnState) { s.track(web, c, state) }
	s.mu.Lock()
	s.web, s.ended, s.conns = web, ended, map[net.Conn]bool{}
	s.mu.Unlock()
	go func() {
		defer close(ended)
		_ = web.Serve(l) // ends with Down, and reports nothing of use
	}()
}

// track remembers the connections that an HTTP server forgets: those that became
// WebSockets. One that became so when its server was closed already is cut.
func (s *Sandbox) track(web *http.Server, c net.Conn, state http.ConnState) {
	if state != http.StateHijacked {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.web != web {
		_ = c.Close() // it may be closed already
		return
	}
	s.conns[c] = true
}

// Down makes the network unreachable: connections are cut, and new ones are
// refused. Its phones go on.
func (s *Sandbox) Down() {
	s.mu.Lock()
	web, ended := s.web, s.ended
	s.web = nil
	s.mu.Unlock()
	if web == nil {
		return
	}
	if err := web.Close(); err != nil {
		s.t.Error(err)
	}
	<-ended // then nobody listens, and Up can
	s.Cut()
}

// Cut cuts all connections, also those of clients that wait to be linked.
func (s *Sandbox) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // it may be closed already
	}
	clear(s.conns)
}

// Fault makes the network do something wrong.
func (s *Sandbox) Fault(r sandbox.FaultRequest) {
	s.t.Helper()
	if _, err := s.SetFault(s.t.Context(), r); err != nil {
		s.t.Fatal(err)
	}
}

// Write lets a contact write to an account, and returns the message's ID.
func (s *Sandbox) Write(from, to, text string) string {
	s.t.Helper()
	return s.Send(sandbox.SendRequest{From: from, To: to, Text: text})
}

// Send lets a phone send, and returns the message's ID.
func (s *Sandbox) Send(r sandbox.SendRequest) string {
	s.t.Helper()
	sent, err := s.SendMessage(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return sent.ID
}

// Inbox returns what a contact's phone received and could decrypt, in order.
func (s *Sandbox) Inbox(number string) []sandbox.Message {
	s.t.Helper()
	got, err := s.Messages(s.t.Context(), sandbox.MessagesRequest{Number: number})
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// Receipt lets a phone say something about a message that it received.
func (s *Sandbox) Receipt(id, kind string) {
	s.t.Helper()
	if err := s.SendReceipt(s.t.Context(), sandbox.ReceiptRequest{ID: id, Type: kind}); err != nil {
		s.t.Fatal(err)
	}
}

// CheckRules fails the test if a client broke a rule of the network.
func (s *Sandbox) CheckRules(t testing.TB) {
	t.Helper()
	broken, err := s.Violations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range broken {
		if i == 10 {
			t.Errorf("… and %d more", len(broken)-i)
			break
		}
		t.Errorf("the gateway broke a rule of the network: %+v", v)
	}
}
