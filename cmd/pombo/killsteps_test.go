package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"pombo/internal/pombotest"
)

var killSteps = flag.Int("kill.steps", 12, "how often TestKillAtSteps kills")

// stepsEnv names a file with the step at which the gateway kills itself.
const stepsEnv = "POMBO_TEST_KILL_AT"

// step is a moment in the commit of what a message is made of. What is "append" holds
// an event, with what reading its message changed; "sessions" is what encrypting
// one changed, before its first byte leaves.
type step struct {
	op, at string
	within int // it is one of so many
}

var steps = []step{
	{"append", "", 25},          // before the transaction
	{"append", "written", 25},   // in it
	{"append", "committed", 25}, // before the confirmation
	{"sessions", "", 8},
	{"sessions", "written", 8},
	{"sessions", "committed", 8}, // before it is sent
}

// killAtStep returns a fault that kills the process when, from the moment when the
// file is there, the step in it has come as often as it says.
func killAtStep(file string) func(op string) error {
	var mu sync.Mutex
	var want step
	var left int
	within := false // a transaction with such an operation
	return func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		if left == 0 {
			b, err := os.ReadFile(file)
			if err != nil {
				return nil // it is not there yet
			}
			if _, err := fmt.Sscanf(string(b), "%s %q %d", &want.op, &want.at, &left); err != nil {
				return err
			}
		}
		at := ""
		switch op {
		case "append", "sessions":
			within = within || op == want.op
		case "written", "committed":
			at = op
		default:
			return nil
		}
		if within && at == want.at && (at != "" || op == want.op) {
			if left--; left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // until it takes effect
			}
		}
		if op == "committed" {
			within = false
		}
		return nil
	}
}

// behind is how many messages may wait when the next is written: there is always
// something to do, but a text is sent soon, and little is left to be told at the end.
const behind = 60

// TestKillAtSteps kills the gateway at each step between a message's coming and its
// confirmation, and between a text's encryption and its leaving, while messages
// cross in the same chats: nothing is lost, told twice or out of order, everything
// can be read by both sides without asking, and no key is used twice (the network
// sees to that).
func TestKillAtSteps(t *testing.T) {
	rng := seeded(t, *killSeed, "kill.seed")
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "step")
	server := program(t, network, stepsEnv+"="+file,
		"WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=0.05", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=0.5")
	server.Start()
	pombotest.Pair(t, server.Client, network.Server, "steps", phone, receiver.URL)
	traffic := pombotest.NewTraffic(network, "steps", phone, 3)
	ledger := pombotest.NewLedger(traffic, receiver)
	traffic.Write(t, 1)
	ledger.Await(t)
	// Several write side by side: each of their texts waits for what is being received.
	var answering []func() int
	for range 3 {
		answering = append(answering, traffic.Answering(t, server.Client, time.Millisecond))
	}
	strangers, began := 0, time.Now()
	for i := range *killSteps {
		s := steps[i%len(steps)]
		name := filepath.Join(dir, "next")
		if err := os.WriteFile(name, fmt.Appendf(nil, "%s %q %d", s.op, s.at, 1+rng.IntN(s.within)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name, file); err != nil {
			t.Fatal(err)
		}
		for killed := false; !killed; {
			if traffic.Sent()-ledger.Told() < behind {
				traffic.Write(t, 1)
			}
			if rng.IntN(10) == 0 && strangers < 15 {
				strangers++
				traffic.WriteFrom(t, traffic.NewContact())
			}
			select {
			case <-server.Exited():
				killed = true
			case <-time.After(time.Duration(5+rng.IntN(20)) * time.Millisecond):
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		server.Kill() // it is dead, and now Start knows
		server.Start()
	}
	pombotest.WaitState(t, server.Client, "steps", "open")
	sent := answerOnce(t, traffic, server)
	for _, stop := range answering {
		sent += stop()
	}
	t.Logf("%d kills in %.0f s, %d messages from contacts and %d to them", *killSteps, time.Since(began).Seconds(), traffic.Sent(), sent)
	ledger.Check(t)
}
