package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

var killInstances = flag.Int("kill.instances", 3, "how many instances TestKillScenarios has")

// TestKillScenarios: many instances have a day at once, groups, polls, edits, calls and
// messages that cannot be read at first, while the gateway is killed again and again.
// Whatever their phones have, their webhook is told.
func TestKillScenarios(t *testing.T) {
	rng := seeded(t, *killSeed, "kill.seed")
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	server := program(t, network, "WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=0.05", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=0.5")
	server.Start()
	var instances []*killed
	for i := range *killInstances {
		k := &killed{name: fmt.Sprintf("day%02d", i), number: fmt.Sprintf("55118888%05d", i)}
		pombotest.Pair(t, server.Client, network.Server, k.name, k.number, receiver.URL)
		instances = append(instances, k)
	}
	stop := make(chan struct{})
	var days sync.WaitGroup
	for _, k := range instances {
		days.Go(func() {
			for again := true; again && k.err == nil; again = k.err == nil && k.pause(t, network, stop) {
				k.err = k.live(t, network)
			}
		})
	}
	kills := 0
	for end := time.Now().Add(*killFor); time.Now().Before(end); kills++ {
		<-time.After(500*time.Millisecond + time.Duration(rng.Int64N(int64(2*time.Second)))) // the moment of the kill is the subject
		server.Kill()
		server.Start()
	}
	close(stop)
	days.Wait()
	for _, k := range instances {
		if k.err != nil {
			t.Fatalf("%s: %v", k.name, k.err)
		}
	}
	told, seen := 0, &tally{have: map[string]bool{}, votes: map[string]int{}}
	for _, k := range instances {
		told += k.check(t, network, receiver, seen)
	}
	t.Logf("%d kills, %d instances, %d events of messages and calls", kills, len(instances), told)
	if kills == 0 || told < 10*len(instances) {
		t.Errorf("%d kills and %d events prove little", kills, told)
	}
	network.CheckRules(t)
}

// killed is an instance whose gateway is killed.
type killed struct {
	name, number string
	unreadable   []string // IDs
	calls        []string
	err          error
}

// live lets things happen to the instance.
func (k *killed) live(t *testing.T, network *pombotest.Sandbox) error {
	ctx := t.Context()
	for _, scenario := range []string{"conversation", "group"} {
		if _, err := network.PlayScenario(ctx, sandbox.PlayRequest{Name: scenario, Instance: k.name, Number: k.number}); err != nil {
			return err
		}
	}
	sent, err := network.SendMessage(ctx, sandbox.SendRequest{From: "5511977770000", To: k.number, Text: "unreadable", Unreadable: "damaged"})
	if err != nil {
		return err
	}
	k.unreadable = append(k.unreadable, sent.ID)
	call, err := network.Call(ctx, sandbox.CallRequest{From: "5511977770000", To: k.number})
	if err != nil {
		return err
	}
	k.calls = append(k.calls, call.ID)
	return nil
}

// pause waits until the gateway has taken most of what there is, or stop. Each day
// makes it faster than a busy machine takes it.
func (k *killed) pause(t *testing.T, network *pombotest.Sandbox, stop <-chan struct{}) bool {
	const most = 40 // stanzas that wait
	for {
		select {
		case <-stop:
			return false
		case <-time.After(200 * time.Millisecond):
		}
		state, err := network.State(t.Context())
		if err != nil {
			k.err = err
			return false
		}
		for _, a := range state.Accounts {
			if a.Number == k.number && a.Devices[0].Pending <= most {
				return true
			}
		}
	}
}

// check waits until all that the phone has was told, and returns how much that is.
func (k *killed) check(t *testing.T, network *pombotest.Sandbox, receiver *pombotest.Receiver, seen *tally) int {
	t.Helper()
	want, votes := map[string]bool{}, 0
	for _, m := range network.Inbox(k.number) {
		if strings.Contains(string(m.Message), "pollUpdateMessage") {
			votes++
		} else {
			want["messages.upsert "+m.ID] = true
		}
	}
	for _, id := range k.unreadable {
		want["messages.undecryptable "+id] = true
	}
	for _, id := range k.calls {
		want["call "+id] = true
	}
	missing := 0
	receiver.Until(t, "all that "+k.name+" has to be told", func(posts []pombotest.Post) bool {
		seen.read(posts)
		missing = max(0, votes-seen.votes[k.name])
		for event := range want {
			if !seen.have[k.name+" "+event] {
				missing++
			}
		}
		return missing == 0
	})
	return len(want) + votes
}

// tally is what a receiver got so far.
type tally struct {
	posts int // that were looked at
	have  map[string]bool
	votes map[string]int // by instance
}

func (y *tally) read(posts []pombotest.Post) {
	for _, p := range posts[y.posts:] {
		var data struct {
			ID    string
			Key   struct{ ID string }
			Voter string
		}
		if json.Unmarshal(p.Data, &data) != nil { // an array
			continue
		}
		if data.Voter != "" && !y.have[p.ID()] {
			y.votes[p.Instance]++
		}
		y.have[p.ID()] = true
		y.have[p.Instance+" "+p.Event+" "+data.Key.ID+data.ID] = true
	}
	y.posts = len(posts)
}
