//go:build !linux

package pombotest

import (
	"net"
	"testing"
)

// keepPort returns a loopback port that is free now. On Linux it stays so.
func keepPort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
