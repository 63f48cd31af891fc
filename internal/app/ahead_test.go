package app_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// ahead is a gateway whose appends can be held up.
type ahead struct {
	held    atomic.Pointer[chan struct{}]
	fails   atomic.Bool
	appends atomic.Int32
	read    atomic.Int32 // messages that whatsmeow has read
}

func (a *ahead) faults() app.Faults {
	return app.Faults{
		Patience: 300 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		OnEvent: func(evt any) {
			if _, ok := evt.(*events.Message); ok {
				a.read.Add(1)
			}
		},
		Store: func(op string) error {
			if op != "append" {
				return nil
			}
			a.appends.Add(1)
			if held := a.held.Load(); held != nil {
				<-*held
			}
			if a.fails.Load() {
				return pombotest.ErrFull
			}
			return nil
		},
	}
}

// hold holds appends up until the function returned is called.
func (a *ahead) hold() (release func()) {
	held := make(chan struct{})
	a.held.Store(&held)
	return func() {
		a.held.Store(nil)
		close(held)
	}
}

// While one commit is under way the next messages are read, and none is confirmed
// before its own; then they are committed together. What is sent meanwhile goes on
// from what was read. If the commit fails for good, all of them come again.
func TestMessagesAreReadAhead(t *testing.T) {
	a := &ahead{}
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, a.faults())
	pombotest.Pair(t, gateway.Client, network.Server, "ahead", phone, receiver.URL)
	const contacts, rounds = 4, 10
	traffic := pombotest.NewTraffic(network, "ahead", phone, contacts)
	ledger := pombotest.NewLedger(traffic, receiver)
	traffic.Write(t, 1)
	ledger.Await(t)
	for _, fails := range []bool{false, true} {
		pombotest.WaitState(t, gateway.Client, "ahead", "open")
		confirmed := func() int {
			all, err := network.Server.Confirmed(t.Context(), phone)
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		pombotest.Eventually(t, time.Minute, "all before to be confirmed", func() bool { return confirmed() == traffic.Sent() })
		before, read, appends := confirmed(), a.read.Load(), a.appends.Load()
		release := a.hold()
		traffic.Write(t, rounds)
		pombotest.Eventually(t, time.Minute, "messages to be read ahead", func() bool { return a.read.Load() >= read+contacts*rounds })
		var answered sync.WaitGroup
		answered.Go(func() { traffic.Answer(t, gateway.Client, 1) })
		if got := confirmed(); got != before {
			t.Errorf("%d messages were confirmed before their commit", got-before)
		}
		a.fails.Store(fails)
		release()
		if fails {
			pombotest.WaitState(t, gateway.Client, "ahead", "connecting")
			if got := confirmed(); got != before {
				t.Errorf("%d messages were confirmed, though none could be committed", got-before)
			}
			a.fails.Store(false)
		}
		answered.Wait()
		ledger.Await(t)
		if n := a.appends.Load() - appends; !fails && n > contacts*rounds/4 {
			t.Errorf("%d messages took %d commits", contacts*rounds, n)
		}
	}
	pombotest.WaitState(t, gateway.Client, "ahead", "open")
	ledger.Check(t)
}
