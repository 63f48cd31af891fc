package app_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// These tests go through the front door: the server that cmd/pombo runs, the
// real WhatsApp client against the simulated network, the real database, and an
// HTTP server that receives the webhooks. When a gateway has stopped, none of its
// goroutines may be left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient gives goroutines that are about to end the time for it, which goleak does for
// half a second alone.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	for end := time.Now().Add(patience); code == 0 && time.Now().Before(end) && goleak.Find() != nil; {
	}
	return code
}

// The phones of the tests.
const (
	phone   = "5511988880000" // is paired
	contact = "5511977770000" // writes to it
	jid     = phone + "@s.whatsapp.net"
	chat    = contact + "@s.whatsapp.net"
)
