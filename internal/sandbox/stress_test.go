package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
)

// listen starts a sandbox for wireClients.
func listen(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Network())
	t.Cleanup(web.Close)
	t.Cleanup(func() { _ = s.Close() })
	return s, web.Listener.Addr().String()
}

// TestRedeliveredBytes: what is sent again is not encrypted again.
func TestRedeliveredBytes(t *testing.T) {
	s, addr := listen(t, Options{DataDir: t.TempDir()})
	w := newWireClient(t, s, addr, "5511900000001")
	if err := w.pair(t.Context()); err != nil {
		t.Fatal(err)
	}
	const count = 300 // more than the window
	if _, err := s.SendMessage(t.Context(), SendRequest{From: "5511900000002", To: w.number, Text: "m", ID: "M", Count: count}); err != nil {
		t.Fatal(err)
	}
	var before [window]*node
	for round := range 2 {
		if err := w.login(); err != nil {
			t.Fatal(err)
		}
		for i := range before {
			n, err := w.next("message")
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("M-%d", i+1); str(n, "id") != want || str(n, "offline") == "" {
				t.Fatalf("message %d is %v", i, n.Attrs)
			}
			if round == 1 && !bytes.Equal(content(n.GetChildByTag("enc")), content(before[i].GetChildByTag("enc"))) {
				t.Fatalf("message %d has other bytes", i)
			}
			before[i] = n
		}
		if round == 0 {
			_ = w.ws.CloseNow()
		}
	}
	for _, n := range before {
		if err := w.confirm(n); err != nil {
			t.Fatal(err)
		}
	}
	for i := window; i < count; i++ {
		if n, err := w.next("message"); err != nil || str(n, "id") != fmt.Sprintf("M-%d", i+1) {
			t.Fatalf("message %d: %v, %v", i, n, err)
		}
	}
	if n, err := w.next("ib"); err != nil || n.GetChildren()[0].Tag != "offline" {
		t.Errorf("at the end: %v, %v", n, err)
	}
	_ = w.ws.CloseNow()
}

// TestStress: clients connect, confirm, lose their connections and come back while phones send, others read, and
// faults happen. Every message comes, in order.
func TestStress(t *testing.T) {
	for name, o := range map[string]Options{"memory": {}, "database": {DataDir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			s, addr := listen(t, o)
			var clients, others sync.WaitGroup
			stop := make(chan struct{})
			others.Go(func() { meddle(t, s, stop) })
			for i := range 4 {
				clients.Go(func() {
					w := newWireClient(t, s, addr, fmt.Sprint(551190000000+i))
					if err := w.pair(t.Context()); err != nil {
						t.Errorf("pairing: %v", err)
						return
					}
					w.follow(fmt.Sprint(551180000000+i), 600)
				})
			}
			clients.Wait()
			close(stop)
			others.Wait()
			if violations, err := s.Violations(t.Context()); err != nil || len(violations) > 0 {
				t.Errorf("violations %v, %v", violations, err)
			}
		})
	}
}

// follow receives count messages from a contact over connections that keep breaking.
func (w *wireClient) follow(contact string, count int) {
	var sender sync.WaitGroup
	sender.Go(func() {
		for start := 0; start < count; start += 50 {
			r := SendRequest{From: contact, To: w.number, Text: "m", ID: fmt.Sprint("B", start), Count: 50}
			if _, err := w.s.SendMessage(context.Background(), r); err != nil {
				w.t.Errorf("sending: %v", err)
			}
		}
	})
	defer sender.Wait()
	for expected := 0; expected < count; {
		if err := w.login(); err != nil {
			continue // cut while it connected
		}
		for received := 0; expected < count; received++ {
			n, err := w.next("message")
			if err != nil {
				break
			}
			i := -1
			for j := max(0, expected-window); j <= expected; j++ {
				if str(n, "id") == fmt.Sprintf("B%d-%d", j/50*50, j%50+1) {
					i = j
				}
			}
			if i < 0 {
				w.t.Errorf("after %d messages came %v", expected, n.Attrs)
				return
			}
			expected = max(expected, i+1)
			if w.confirm(n) != nil || received == 170 {
				_ = w.ws.CloseNow()
				break
			}
		}
	}
	_ = w.ws.CloseNow()
}

// meddle reads and disturbs until stop closes.
func meddle(t *testing.T, s *Server, stop <-chan struct{}) {
	ctx := context.Background()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := s.State(ctx); err != nil {
			t.Error(err)
		}
		_, _ = s.Confirmed(ctx, "551190000000")
		_, _ = s.Messages(ctx, MessagesRequest{Number: "551180000001", Direction: "sent"})
		_, _ = s.SendPresence(ctx, PresenceRequest{From: "551180000001", To: "551190000001", State: "composing"})
		if i%200 == 100 {
			if _, err := s.SetFault(ctx, FaultRequest{Kind: FaultDrop, Number: fmt.Sprint(551190000000 + i/200%4)}); err != nil {
				t.Error(err)
			}
		}
	}
}
