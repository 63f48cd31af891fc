package app

import (
	"time"

	"pombo/internal/dispatch"
)

// circuit is what is told of a webhook's circuit breaker.
type circuit struct {
	state string    // "closed" or "open"
	probe time.Time // when an open one is tried next
}

// circuits returns the circuits of all webhooks that are switched on, by ID.
func circuits(d *dispatch.Dispatcher) map[string]circuit {
	all := map[string]circuit{}
	for _, s := range d.Stats() {
		if s.Enabled {
			all[s.WebhookID] = circuit{state: string(s.Circuit), probe: s.NextProbe}
		}
	}
	return all
}
