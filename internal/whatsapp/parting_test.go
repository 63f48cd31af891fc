package whatsapp

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"

	"pombo"
	"pombo/internal/sandbox"
)

// Whatever whatsmeow does on its socket while that ends, it does with a lock: the race
// detector is what this is about. Some of whatsmeow's sends have a context that nothing
// ends, and a request that was cut short looks whether there is a connection.
func TestSendsBesideTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	for round := range 3 {
		l, err := w.session.live()
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var beside sync.WaitGroup
		for _, use := range []func(){
			func() { _ = l.client.DangerousInternals().SendNode(context.Background(), probe) }, //nolint:staticcheck // there is no other way to it
			func() { l.client.IsConnected() },
			func() { l.client.WaitForConnection(time.Millisecond) },
			func() {
				ctx, cancel := context.WithCancel(context.Background())
				ctx, done := l.lend(ctx)
				go cancel()
				_ = l.sendPresence(ctx, types.PresenceAvailable)
				done()
			},
		} {
			beside.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						use()
					}
				}
			})
		}
		switch round {
		case 0: // by WhatsApp, without a word
			w.cut()
		case 1: // by WhatsApp, with a reason
			w.fault(sandbox.FaultRequest{Kind: sandbox.FaultStreamError, Code: 503})
			<-l.over
			w.until(pombo.StateOpen)
		case 2: // here
			w.stop()
			w.connect("")
		}
		close(stop)
		beside.Wait()
	}
}
