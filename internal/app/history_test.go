package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// historyLimit is what the data of an event made of history stays under.
const historyLimit = 512 << 10

// give lets the phone hand over its history, and returns how many parts it has.
func give(t *testing.T, network *pombotest.Sandbox, r sandbox.HistoryRequest) int {
	t.Helper()
	r.Number = phone
	given, err := network.SendHistory(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return len(given.Chunks)
}

// elements lists what the posts of an event hold, and fails for what comes twice or
// in an event that is too large.
func elements(t *testing.T, posts []pombotest.Post) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for _, p := range posts {
		var items []struct {
			ID          string
			Key         struct{ ID string }
			HistorySync struct {
				SyncType string
				Progress *int
			}
		}
		if err := json.Unmarshal(p.Data, &items); err != nil {
			t.Fatalf("%s: %v", p.Event, err)
		}
		if len(p.Data) >= historyLimit {
			t.Errorf("%s has %d bytes", p.Event, len(p.Data))
		}
		for _, item := range items {
			seen[item.ID+item.Key.ID]++
			if item.HistorySync.SyncType == "" || item.HistorySync.Progress == nil {
				t.Fatalf("%s is told without its progress: %.300s", p.Event, p.Data)
			}
		}
	}
	return seen
}

// awaitHistory waits until all of so many messages are told, each once.
func awaitHistory(t *testing.T, receiver *pombotest.Receiver, messages int) {
	t.Helper()
	count := func() int {
		n := 0
		for _, p := range receiver.Named("messages.set") {
			n += strings.Count(string(p.Data), `"messageTimestamp":`)
		}
		return n
	}
	receiver.Until(t, fmt.Sprint(messages, " messages of the history"), func([]pombotest.Post) bool { return count() >= messages })
	got := elements(t, receiver.Named("messages.set"))
	for id, n := range got {
		if n != 1 {
			t.Errorf("message %s came %d times", id, n)
		}
	}
	if len(got) != messages {
		t.Errorf("%d different messages came instead of %d", len(got), messages)
	}
}

// drained waits until nothing of the history is left to be fetched, and checks that
// no message of the phone's own business was told.
func drained(t *testing.T, gateway *pombotest.Gateway, receiver *pombotest.Receiver) {
	t.Helper()
	for _, p := range receiver.Posts() {
		if body := string(p.Body); strings.Contains(body, "istorySyncNotification") || strings.Contains(body, "ppStateSyncKey") || strings.Contains(body, "mediaKey") {
			t.Errorf("what the phone says to its companion was told: %.300s", body)
		}
	}
}

// What a phone hands over arrives whole: chats, contacts and messages, in events
// of less than 512 KiB, with the progress, part after part.
func TestHistory(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "history", phone, receiver.URL)
	parts := give(t, network, sandbox.HistoryRequest{Conversations: 30, Messages: 200, ChunkSize: 3500})
	if parts != 2 {
		t.Fatalf("the history has %d parts", parts)
	}
	awaitHistory(t, receiver, 6000)
	if n := len(receiver.Named("messages.set")); n < 6 {
		t.Errorf("6000 messages came in %d events", n)
	}
	for _, event := range []string{"chats.set", "contacts.set", "contacts.upsert"} {
		got := elements(t, receiver.Named(event))
		for i := range 30 {
			if id := fmt.Sprintf("55219%08d@s.whatsapp.net", 10_000_000+i); got[id] < 1 {
				t.Errorf("%s does not tell of %s", event, id)
			}
		}
	}
	progress := 0
	for _, p := range receiver.Named("messages.set") {
		var items []struct{ HistorySync struct{ Progress int } }
		if err := json.Unmarshal(p.Data, &items); err != nil || items[0].HistorySync.Progress < progress {
			t.Errorf("the progress goes back from %d to %d, %v", progress, items[0].HistorySync.Progress, err)
		} else {
			progress = items[0].HistorySync.Progress
		}
	}
	if progress != 100 {
		t.Errorf("the progress ends at %d", progress)
	}
	give(t, network, sandbox.HistoryRequest{Type: "pushNames", Conversations: 40, Messages: 1, Inline: true})
	receiver.Wait(t, "contacts.set", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), "PUSH_NAME") })
	drained(t, gateway, receiver)
	network.CheckRules(t)
}

// A gateway that dies between the confirmation of an announcement and the fetching
// of the file, and again between two events of a part, tells everything after it,
// once.
func TestHistoryGoesOn(t *testing.T) {
	var broken atomic.Bool
	var told atomic.Int32
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{MaxBackoff: 100 * time.Millisecond, Store: func(op string) error {
		if op == "tell history" && told.Add(1) > 3 && broken.Load() {
			return errors.New("the gateway dies here")
		}
		return nil
	}})
	pombotest.Pair(t, gateway.Client, network.Server, "resume", phone, receiver.URL)

	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultMedia, Ms: 60_000})
	parts := give(t, network, sandbox.HistoryRequest{Conversations: 20, Messages: 200, ChunkSize: 2500})
	confirmed(t, network)
	gateway.Stop()
	if n := len(receiver.Named("messages.set")); n != 0 {
		t.Errorf("%d events came of files that could not be fetched", n)
	}
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultClear})

	broken.Store(true)
	told.Store(0)
	gateway.Start()
	pombotest.Eventually(t, time.Minute, "the store to fail", func() bool { return told.Load() > 4 })
	gateway.Stop()
	if n := len(receiver.Named("messages.set")); n > 3 {
		t.Errorf("%d events came before the gateway died", n)
	}

	broken.Store(false)
	gateway.Start()
	awaitHistory(t, receiver, 4000)
	if parts != 2 {
		t.Errorf("the history had %d parts", parts)
	}
	network.CheckRules(t)
}

// confirmed waits until the account has confirmed all that was sent to it.
func confirmed(t *testing.T, network *pombotest.Sandbox) {
	t.Helper()
	pombotest.Eventually(t, time.Minute, "everything to be confirmed", func() bool {
		state, err := network.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range state.Accounts {
			for _, d := range a.Devices {
				if d.Pending > 0 {
					return false
				}
			}
		}
		return true
	})
}
