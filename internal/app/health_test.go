package app_test

import (
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// A gateway that has nothing to write must not be called unwell for ever because
// its last write failed.
func TestHealthRecoversByItself(t *testing.T) {
	fault := &appendFault{share: 1}
	gateway := pombotest.StartGateway(t, pombotest.NewSandbox(t), app.Faults{Store: fault.ask})
	fault.broken.Store(true)
	gateway.Refused("POST", "/instance/create", map[string]any{"instanceName": "full"}, 503)
	if status, body := gateway.Do("GET", "/health", nil); status != 503 {
		t.Errorf("/health answers %d %s", status, body)
	}
	fault.broken.Store(false)
	pombotest.Eventually(t, patience, "the gateway to be well", func() bool {
		status, _ := gateway.Do("GET", "/health", nil)
		return status == 200
	})
}
