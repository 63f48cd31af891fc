package app_test

import (
	"testing"

	"pombo/internal/leaktest"
)

// These tests go through the front door: the server that cmd/pombo runs, the
// real WhatsApp client against the simulated network, the real database, and an
// HTTP server that receives the webhooks. When a gateway has stopped, none of its
// goroutines may be left.
func TestMain(m *testing.M) { leaktest.Main(m) }

// The phones of the tests.
const (
	phone   = "5511988880000" // is paired
	contact = "5511977770000" // writes to it
	jid     = phone + "@s.whatsapp.net"
	chat    = contact + "@s.whatsapp.net"
)
