package app_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// Code that panics over a message or a receipt loses neither: they are told as
// they came, in their place.
func TestPanics(t *testing.T) {
	var panicking atomic.Bool
	var count atomic.Int32
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{OnEvent: func(evt any) {
		switch evt.(type) {
		case *events.Message, *events.Receipt:
			if n := count.Add(1); panicking.Load() && n%3 != 0 {
				panic(fmt.Sprintf("panic %d on purpose", n))
			}
		}
	}})
	pombotest.Pair(t, gateway.Client, network.Server, "panics", phone, receiver.URL)
	traffic := pombotest.NewTraffic(network, "panics", phone, 3)
	ledger := pombotest.NewLedger(traffic, receiver)
	panicking.Store(true)
	for c := range 9 {
		traffic.Write(t, 2)
		traffic.Answer(t, gateway.Client, c)
	}
	ledger.Await(t)
	panicking.Store(false)
	traffic.Write(t, 1)
	ledger.Check(t)
	if ledger.Raw() < 9 {
		t.Errorf("%d messages came as they were", ledger.Raw())
	}
	var receipts int
	for _, p := range receiver.Named("messages.update") {
		if raw := p.Message().Raw.Error; raw != "" {
			receipts++
			if !strings.Contains(raw, "on purpose") || !strings.Contains(string(p.Data), `"keyIds":["3EB0`) {
				t.Errorf("a receipt came as %s", p.Data)
			}
		}
	}
	if receipts == 0 {
		t.Error("no receipt came as it was")
	}
	if gateway.State("panics") != "open" {
		t.Error("the connection was given up")
	}
}

// appendFault breaks the store's own transactions.
type appendFault struct {
	broken atomic.Bool
	share  float64 // of the transactions that fail
	rng    *rand.Rand
	mu     sync.Mutex // for rng: the store asks beside its transactions, too
	failed atomic.Int32
}

func (f *appendFault) spared() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.share < 1 && f.rng.Float64() >= f.share
}

func (f *appendFault) ask(op string) error {
	if !f.broken.Load() || op == "read" {
		return nil
	}
	if f.spared() {
		return nil
	}
	f.failed.Add(1)
	return fmt.Errorf("%s: %w", op, pombotest.ErrFull)
}

// A store that cannot be written confirms nothing, for a moment or for longer than a
// connection waits for it; the gateway stays up, says what is wrong, and tells
// everything afterwards.
func TestStoreCannotBeWritten(t *testing.T) {
	fault := &appendFault{share: 1}
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{
		Store: fault.ask, Patience: time.Second, MaxBackoff: 100 * time.Millisecond,
	})
	pombotest.Pair(t, gateway.Client, network.Server, "full", phone, receiver.URL)
	traffic := pombotest.NewTraffic(network, "full", phone, 4)
	ledger := pombotest.NewLedger(traffic, receiver)
	for _, outage := range []time.Duration{300 * time.Millisecond, 3 * time.Second} {
		traffic.Write(t, 5)
		traffic.Answer(t, gateway.Client, 0)
		ledger.Await(t)
		fault.broken.Store(true)
		before := fault.failed.Load()
		traffic.Write(t, 5)
		pombotest.Eventually(t, time.Minute, "a write to fail", func() bool { return fault.failed.Load() > before })
		stop := traffic.Answering(t, gateway.Client, 50*time.Millisecond)
		<-time.After(outage) // how long is the subject
		ledger.CheckConfirmed(t)
		if told, sent := ledger.Told(), traffic.Sent(); told > sent-20 {
			t.Errorf("%d of %d messages were told while nothing could be written", told, sent)
		}
		checkBroken(t, gateway)
		fault.broken.Store(false)
		stop()
		ledger.Await(t)
	}
	pombotest.WaitState(t, gateway.Client, "full", "open")
	ledger.Check(t)
	pombotest.Eventually(t, patience, "the gateway to be well", func() bool {
		status, _ := gateway.Do("GET", "/health", nil)
		return status == 200
	})
}

// checkBroken checks what a gateway says whose database cannot be written.
func checkBroken(t *testing.T, gateway *pombotest.Gateway) {
	t.Helper()
	pombotest.Eventually(t, patience, "/health to say so", func() bool {
		status, body := gateway.Do("GET", "/health", nil)
		return status == 503 && strings.Contains(string(body), `"message"`)
	})
	gateway.Must("GET", "/instance/fetchInstances", nil, nil)
	gateway.Must("GET", "/", nil, nil)
	for _, call := range []struct {
		path string
		body any
	}{
		{"/webhook/set/full", map[string]any{"enabled": true, "url": "http://127.0.0.1:1/"}},
		{"/instance/create", map[string]any{"instanceName": "another"}},
	} {
		if message := gateway.Refused("POST", call.path, call.body, 503); len(message) < 20 {
			t.Errorf("POST %s is refused with %s", call.path, message)
		}
	}
	if status, body := gateway.Do("GET", "/instance/connectionState/another", nil); status != 404 {
		t.Errorf("an instance that could not be created is there: %d %s", status, body)
	}
}

// Transactions that fail at random, also after they were committed, lose nothing
// and repeat nothing under another webhook-id.
func TestStoreFailsAtRandom(t *testing.T) {
	fault := &appendFault{share: 0.15, rng: random(t)}
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{
		Store: fault.ask, Patience: time.Second, MaxBackoff: 50 * time.Millisecond,
	})
	pombotest.Pair(t, gateway.Client, network.Server, "random", phone, receiver.URL)
	traffic := pombotest.NewTraffic(network, "random", phone, 5)
	ledger := pombotest.NewLedger(traffic, receiver)
	fault.broken.Store(true)
	const rounds, failures, texts = 100, 20, 3
	sent := 0
	for i := 0; i < rounds && (fault.failed.Load() < failures || sent < texts); i++ {
		var answered sync.WaitGroup
		answered.Go(func() {
			if _, ok := traffic.Answer(t, gateway.Client, i); ok {
				sent++
			}
		})
		traffic.Write(t, 1)
		answered.Wait()
		ledger.Await(t)
	}
	fault.broken.Store(false)
	if sent < texts {
		t.Errorf("%d texts were sent", sent)
	}
	ledger.Check(t)
	if fault.failed.Load() < failures {
		t.Errorf("only %d transactions failed", fault.failed.Load())
	}
}
