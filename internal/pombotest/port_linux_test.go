package pombotest

import (
	"fmt"
	"net"
	"testing"
)

// Whoever asks for any port gets another one, and who names it can have it, more than
// once.
func TestKeptPort(t *testing.T) {
	kept := keepPort(t)
	others := map[int]bool{}
	for range 100 {
		if port := keepPort(t); port == kept || others[port] {
			t.Fatalf("the port %d was given away twice", port)
		} else {
			others[port] = true
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; port == kept || others[port] {
			t.Fatalf("a listener got the port %d", port)
		}
	}
	for range 3 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", kept))
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		server.Close() // first, so that its port is not free at once
		client.Close()
		l.Close()
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			t.Error("nobody listens, and a connection was made")
		}
	}
}
