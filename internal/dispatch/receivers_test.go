package dispatch

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// hasty is a policy whose timeout is over before any other.
func hasty() Policy {
	p := steady()
	p.Timeout = 3 * time.Second
	return p
}

// onClock delivers one event to url, over a network made by network, and returns
// the first attempt. The clock jumps when nothing else can happen: so a timeout is
// reached at once, and by nothing that is only slow.
func onClock(t *testing.T, url string, network func(t *testing.T) dialFunc) (a pombo.Attempt) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a = outcomeOf(t, url, Options{Policy: hasty()}, network(t), nil)
	})
	return a
}

// unreachable is a network that connects to nothing.
func unreachable(*testing.T) dialFunc {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

// talking is a network with one receiver, which handles raw connections.
func talking(handle func(net.Conn)) func(t *testing.T) dialFunc {
	return func(t *testing.T) dialFunc {
		n := newPipeNet()
		accept(t, n, handle)
		return n.dial
	}
}

// handling is a network with one receiver, which answers so.
func handling(h http.HandlerFunc) func(t *testing.T) dialFunc {
	return func(t *testing.T) dialFunc {
		n := newPipeNet()
		srv := &http.Server{Handler: h, ErrorLog: quiet}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(n) }()
		t.Cleanup(func() {
			if err := srv.Close(); err != nil {
				t.Errorf("closing the receiver: %v", err)
			}
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("serving: %v", err)
			}
		})
		return n.dial
	}
}

// speaking returns the URL of a server that handles raw connections.
func speaking(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accept(t, l, handle)
	return "http://" + l.Addr().String() + "/hook?query=1"
}

// accept handles the connections of a listener, one after the other, until the
// test ends.
func accept(t *testing.T, l net.Listener, handle func(net.Conn)) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
}

// nowhere returns an address at which nothing listens until the test ends. It is
// that of a connection, and no port that was let go of: that one could soon be
// another's.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// answering reads a request and answers with these bytes.
func answering(t *testing.T, raw string) string {
	return speaking(t, func(c net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(c, raw)
		}
	})
}

// silent reads what comes and answers nothing.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
