//go:build unix

package storetest

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
)

// Between its choice and the server's start, a port may become another's. That is
// told at once, so that another one is tried.
func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	defer func() { l.Close(); <-ended }()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	_, _, err = launch(ctx, func(context.Context) (int, error) { return l.Addr().(*net.TCPAddr).Port, nil })
	if errors.Is(err, errMissing) && os.Getenv("REQUIRE_ALL") != "1" {
		t.Skipf("skipped: %v", err)
	}
	if !errors.Is(err, errPortTaken) {
		t.Errorf("the server was started: %v", err)
	}
}
