package app_test

import (
	"fmt"
	"strings"
	"testing"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// refusals is a gateway whose instances each meet another misfortune.
type refusals struct {
	*promise
	n int
}

// on pairs an instance of its own and gives it to test, beside the others: most of
// it is waiting for the next try.
func (r *refusals) on(name string, test func(p *promise, instance, number string)) {
	r.Helper()
	r.n++
	number := fmt.Sprintf("55119888810%02d", r.n)
	r.T.Run(name, func(t *testing.T) {
		t.Parallel()
		p := *r.promise
		p.T = t
		pombotest.Pair(t, p.gateway.Client, p.network.Server, name, number, p.receiver.URL)
		p.told(name, "connecting 200", "open 200")
		test(&p, name, number)
	})
}

// tried waits until the gateway has logged this so often of the instance, whose
// name has a blank.
func (p *promise) tried(instance, message string, times int) {
	p.Helper()
	pombotest.Eventually(p, patience, message, func() bool {
		n := 0
		for line := range strings.SplitSeq(p.gateway.Log(), "\n") {
			if strings.Contains(line, message) && strings.Contains(line, `instance="`+instance+`"`) {
				n++
			}
		}
		return n >= times
	})
}

// However WhatsApp refuses an instance, the state that is told is true, and each
// change of it is told once, however often the login is tried.
func TestPromiseRefusals(t *testing.T) {
	r := &refusals{promise: newPromise(t)}
	for _, c := range []struct {
		code int
		log  string
		told string
	}{
		{503, "Got 503", "connecting 428"},
		{405, "WhatsApp refuses this version", "connecting 428"},
	} {
		r.on(fmt.Sprintf("refused for a time %d", c.code), func(p *promise, name, number string) {
			p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultRefuse, Number: number, Code: c.code})
			p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop, Number: number})
			p.tried(name, c.log, 3)
			if state := p.gateway.State(name); state != "connecting" {
				p.Errorf("while it is refused it is %s", state)
			}
			p.told(name, "connecting 200", "open 200", c.told)
			id := p.network.Write(contact, number, "meanwhile")
			p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultClear, Number: number})
			p.arrives(p.receiver, id)
			p.told(name, "connecting 200", "open 200", c.told, "open 200")
			pombotest.WaitState(p, p.gateway.Client, name, "open")
		})
	}
	for _, code := range []int{401, 403} {
		r.on(fmt.Sprintf("logged out %d", code), func(p *promise, name, number string) {
			p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultRefuse, Number: number, Code: code})
			p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop, Number: number})
			p.told(name, "connecting 200", "open 200", "connecting 428", fmt.Sprint("close ", code))
			pombotest.WaitState(p, p.gateway.Client, name, "close")
			p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultClear, Number: number})
			pombotest.Scan(p, p.gateway.Client, p.network.Server, name, number)
			p.arrives(p.receiver, p.network.Write(contact, number, "paired again"))
		})
	}
	r.on("banned for a time", func(p *promise, name, number string) {
		p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultRefuse, Number: number, Code: 402})
		p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop, Number: number})
		p.told(name, "connecting 200", "open 200", "connecting 428", "close 402")
		pombotest.WaitState(p, p.gateway.Client, name, "close")
	})
	r.on("replaced", func(p *promise, name, number string) {
		p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultReplaced, Number: number})
		p.told(name, "connecting 200", "open 200", "close 440")
		pombotest.WaitState(p, p.gateway.Client, name, "close")
		p.gateway.Must("GET", "/instance/connect/"+name, nil, nil)
		pombotest.WaitState(p, p.gateway.Client, name, "open")
		p.arrives(p.receiver, p.network.Write(contact, number, "connected again"))
	})
	r.on("cut off", func(p *promise, name, number string) {
		want := []string{"connecting 200", "open 200"}
		for range 3 {
			p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop, Number: number})
			want = append(want, "connecting 428", "open 200")
			p.told(name, want...)
			pombotest.WaitState(p, p.gateway.Client, name, "open")
		}
		p.arrives(p.receiver, p.network.Write(contact, number, "connected again"))
	})
}

// A WhatsApp that cannot be reached is one change of the state, however often it
// is tried.
func TestPromiseUnreachable(t *testing.T) {
	r := &refusals{promise: newPromise(t)}
	r.on("out of reach", func(p *promise, name, number string) {
		p.network.Down()
		p.tried(name, "connecting to WhatsApp failed", 10)
		if state := p.gateway.State(name); state != "connecting" {
			p.Errorf("while WhatsApp cannot be reached it is %s", state)
		}
		id := p.network.Write(contact, number, "meanwhile")
		p.network.Up()
		p.arrives(p.receiver, id)
		p.told(name, "connecting 200", "open 200", "connecting 428", "open 200")
		pombotest.WaitState(p, p.gateway.Client, name, "open")
	})
}
