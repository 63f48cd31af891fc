package pombotest

import (
	"net"
	"net/http"
	"testing"
	"time"

	"pombo/internal/sandbox"
)

// Sandbox is a simulated WhatsApp network in this process, on a loopback port:
// it lives on while a gateway is killed.
type Sandbox struct {
	*sandbox.Server
	URL string // ws://host:port, for pombo serve --whatsapp-url
}

// NewSandbox starts a network without persistence; it stops with the test.
func NewSandbox(t testing.TB) *Sandbox {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.Network())
	mux.Handle("/sandbox/", s.Control())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Sandbox{Server: s, URL: "ws://" + l.Addr().String()}
}
