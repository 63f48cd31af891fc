package app_test

import (
	"sync"
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// Messages cross in both directions, with requests to send again among them, and
// the first message of a contact crosses with the first one to it: all can be
// read by both sides, without asking, and in order.
func TestCrossing(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "crossing", phone, receiver.URL)
	traffic := pombotest.NewTraffic(network, "crossing", phone, 2)
	ledger := pombotest.NewLedger(traffic, receiver)
	for i := range 60 {
		traffic.Write(t, 1)
		if id, ok := traffic.Answer(t, gateway.Client, i); ok {
			network.Receipt(id, "retry")
		}
	}
	for range 20 {
		c := traffic.NewContact()
		if _, err := network.AddContact(t.Context(), sandbox.ContactRequest{Number: traffic.Contact(c)}); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() { traffic.Answer(t, gateway.Client, c) })
		traffic.WriteFrom(t, c)
		traffic.WriteFrom(t, c)
		both.Wait()
		traffic.WriteFrom(t, c)
		traffic.Answer(t, gateway.Client, c)
	}
	ledger.Check(t)
}
