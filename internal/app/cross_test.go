package app_test

import (
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// Messages of a chat cross in both directions, as fast as they can.
func TestCrossing(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	var stores pombotest.Stores
	gateway := pombotest.StartGateway(t, network, app.Faults{Stores: stores.Wrap})
	pombotest.Pair(t, gateway.Client, network.Server, "cross", phone, receiver.URL)
	traffic := pombotest.NewTraffic(network, "cross", phone, 2)
	ledger := pombotest.NewLedger(traffic, receiver)
	for i := range 100 {
		traffic.Write(t, 1)
		if id, ok := traffic.Answer(t, gateway.Client, i); ok {
			network.Receipt(id, "retry")
		}
	}
	ledger.Check(t)
}
