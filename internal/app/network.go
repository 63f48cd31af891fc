package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"pombo/internal/config"
	"pombo/internal/sandbox"
)

// network is the WhatsApp that sessions connect to: the real one (the zero
// value), or a sandbox.
type network struct {
	transport http.RoundTripper // nil: the real WhatsApp
	rootKey   *[32]byte
	sandbox   *sandbox.Server // only if it runs in this process
	server    *http.Server
	addr      string
}

// startSandbox runs a simulated network in this process, on a loopback port of
// its own.
func startSandbox(ctx context.Context, o sandbox.Options) (*network, error) {
	s, err := sandbox.New(o)
	if err != nil {
		return nil, fmt.Errorf("starting the sandbox: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the sandbox: %w", err)
	}
	key := s.RootKey()
	n := &network{
		transport: sandbox.Transport(l.Addr().String()),
		rootKey:   &key,
		sandbox:   s,
		server:    &http.Server{Handler: s.Network(), ReadHeaderTimeout: 10 * time.Second},
		addr:      l.Addr().String(),
	}
	go func() { _ = n.server.Serve(l) }() // ends with Close, which reports nothing of use
	return n, nil
}

// joinSandbox connects to a simulated network in another process, at
// ws://HOST:PORT, and trusts the root key that it gives: config has seen to it
// that it is on this machine, or that somebody said otherwise on purpose.
func joinSandbox(ctx context.Context, addr config.SandboxURL) (*network, error) {
	host := strings.TrimPrefix(string(addr), "ws://")
	key, err := fetchRootKey(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("asking the sandbox at %s for its root key (is `pombo sandbox --listen %s` running?): %w", host, host, err)
	}
	return &network{transport: sandbox.Transport(host), rootKey: &key, addr: host}, nil
}

func fetchRootKey(ctx context.Context, host string) (key [32]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/sandbox/root-key", http.NoBody)
	if err != nil {
		return key, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return key, err
	}
	defer resp.Body.Close()
	var answer struct {
		RootKey []byte `json:"rootKey"`
	}
	if resp.StatusCode != http.StatusOK {
		return key, fmt.Errorf("it answered %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return key, err
	}
	if copy(key[:], answer.RootKey) != len(key) || len(answer.RootKey) != len(key) {
		return key, fmt.Errorf("its root key has %d bytes instead of %d", len(answer.RootKey), len(key))
	}
	return key, nil
}

// close stops a sandbox that runs in this process.
func (n *network) close() error {
	if n == nil || n.sandbox == nil {
		return nil
	}
	err := n.server.Close()
	if cerr := n.sandbox.Close(); cerr != nil {
		return cerr
	}
	return err
}
