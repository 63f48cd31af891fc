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

// secretsStay checks that nothing was told of what the phone says to its companion
// alone.
func secretsStay(t *testing.T, receiver *pombotest.Receiver) {
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
	secretsStay(t, receiver)
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

// A part whose file WhatsApp does not have any more is asked for at the phone, and
// told when that has uploaded it again. If the phone has not got it either, the
// others are told all the same.
func TestHistoryIsAskedForAgain(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{MaxBackoff: 100 * time.Millisecond})
	pombotest.Pair(t, gateway.Client, network.Server, "gone", phone, receiver.URL)
	gateway.Stop()
	given, err := network.SendHistory(t.Context(), sandbox.HistoryRequest{Number: phone, Conversations: 30, Messages: 10, ChunkSize: 100})
	if err != nil || len(given.Chunks) != 3 {
		t.Fatalf("%+v, %v", given, err)
	}
	for i, answer := range map[int]sandbox.RetryAnswer{0: sandbox.RetryUpload, 1: sandbox.RetryNotFound} {
		if err := network.ExpireMedia(t.Context(), sandbox.ExpireRequest{ID: given.Chunks[i].ID, Answer: answer}); err != nil {
			t.Fatal(err)
		}
	}
	gateway.Start()
	awaitHistory(t, receiver, 200)
	pombotest.Eventually(t, time.Minute, "the loss to be logged", func() bool {
		return strings.Contains(gateway.Log(), "a part of the history is lost")
	})
	if n := strings.Count(gateway.Log(), "a part of the history is lost"); n != 1 {
		t.Errorf("%d parts were lost", n)
	}
	network.CheckRules(t)
}

// A network that fails for a while loses nothing, also over a restart.
func TestHistoryWaitsForTheNetwork(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{MaxBackoff: 50 * time.Millisecond})
	pombotest.Pair(t, gateway.Client, network.Server, "patient", phone, receiver.URL)
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultMedia, Code: 418})
	give(t, network, sandbox.HistoryRequest{Conversations: 5, Messages: 10})
	tries := func() int { return strings.Count(gateway.Log(), "fetching a part of the history failed") }
	pombotest.Eventually(t, time.Minute, "three tries", func() bool { return tries() >= 3 })
	gateway.Stop()
	before := tries()
	gateway.Start()
	pombotest.Eventually(t, time.Minute, "another try", func() bool { return tries() > before })
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultClear})
	awaitHistory(t, receiver, 50)
	network.CheckRules(t)
}

// An account that is unlinked has no history any more: that of the next is its own.
func TestHistoryEndsWithTheAccount(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{MaxBackoff: 50 * time.Millisecond})
	pombotest.Pair(t, gateway.Client, network.Server, "unlinked", phone, receiver.URL)
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultMedia, Code: 418, Number: phone})
	give(t, network, sandbox.HistoryRequest{Conversations: 5, Messages: 10})
	pombotest.Eventually(t, time.Minute, "a try", func() bool {
		return strings.Contains(gateway.Log(), "fetching a part of the history failed")
	})
	gateway.Must("DELETE", "/instance/logout/unlinked", nil, nil)
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultClear})
	const other = "5511988880099"
	pombotest.Scan(t, gateway.Client, network.Server, "unlinked", other)
	if _, err := network.SendHistory(t.Context(), sandbox.HistoryRequest{Number: other, Chats: []sandbox.HistoryChat{{
		Chat: contact, Messages: []sandbox.HistoryMessage{{ID: "OTHERS", Text: "of the other account"}},
	}}}); err != nil {
		t.Fatal(err)
	}
	receiver.Wait(t, "messages.set", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), "OTHERS") })
	if got := elements(t, receiver.Named("messages.set")); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// The phone hands over its last messages at pairing, and with the setting all that
// it has; without the setting, what it hands over nevertheless is left out.
func TestFullHistory(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full=%t", full), func(t *testing.T) {
			network := pombotest.NewSandbox(t)
			receiver := pombotest.NewReceiver(t)
			for i := range 70 {
				network.Write(contact, phone, fmt.Sprint("before ", i))
			}
			gateway := pombotest.StartGateway(t, network, app.Faults{})
			gateway.Must("POST", "/instance/create", map[string]any{
				"instanceName": "full", "syncFullHistory": full, "webhook": map[string]any{"url": receiver.URL, "events": []string{}},
			}, nil)
			pombotest.Scan(t, gateway.Client, network.Server, "full", phone)
			want := 50
			if full {
				want = 70
			}
			seen := func() int { return len(elements(t, receiver.Named("messages.set"))) }
			receiver.Until(t, "the history", func([]pombotest.Post) bool { return seen() >= want })
			give(t, network, sandbox.HistoryRequest{Type: "full", Chats: []sandbox.HistoryChat{{
				Chat: contact, Messages: []sandbox.HistoryMessage{{ID: "FULL", Text: "very old"}},
			}}})
			give(t, network, sandbox.HistoryRequest{Chats: []sandbox.HistoryChat{{
				Chat: contact, Messages: []sandbox.HistoryMessage{{ID: "RECENT", Text: "recent"}},
			}}})
			receiver.Wait(t, "messages.set", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), "RECENT") })
			got := elements(t, receiver.Named("messages.set"))
			if len(got)-got["FULL"]-got["RECENT"] != want || (got["FULL"] == 1) != full {
				t.Errorf("%d messages came, that of the full history %d times", len(got), got["FULL"])
			}
		})
	}
}

// The announcement of a part is not confirmed before it is kept: a gateway that
// cannot keep it, and dies, gets it again.
func TestHistoryIsConfirmedWhenKept(t *testing.T) {
	var broken atomic.Bool
	var failed atomic.Int32
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{
		Patience: 300 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		Store: func(op string) error {
			if op == "put history" && broken.Load() {
				failed.Add(1)
				return errors.New("the disk is full")
			}
			return nil
		},
	})
	pombotest.Pair(t, gateway.Client, network.Server, "kept", phone, receiver.URL)
	broken.Store(true)
	parts := give(t, network, sandbox.HistoryRequest{Conversations: 10, Messages: 20, ChunkSize: 50})
	pombotest.Eventually(t, time.Minute, "the connection to be given up", func() bool {
		return strings.Contains(gateway.Log(), "starting over") && failed.Load() > 3
	})
	gateway.Stop()
	broken.Store(false)
	gateway.Start()
	awaitHistory(t, receiver, 200)
	if parts != 4 {
		t.Errorf("the history had %d parts", parts)
	}
	network.CheckRules(t)
}
