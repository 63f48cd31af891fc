package app_test

import (
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// What a webhook on all events gets of pairing, of texts and of a new connection:
// a contact and its chat are told of once, and nothing else goes with a text.
func TestTextsAreNotNoisy(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "quiet", phone, receiver.URL)
	for range 3 {
		network.Write(contact, phone, "hello")
	}
	gateway.SendText("quiet", contact, "hello yourself")
	gateway.Must("POST", "/instance/restart/quiet", nil, nil)
	pombotest.WaitState(t, gateway.Client, "quiet", "open")
	network.Write(contact, phone, "bye")
	receiver.Until(t, "four texts, their sender and an answer", func(posts []pombotest.Post) bool {
		n := count(posts)
		return n["messages.upsert"] >= 4 && n["send.message"] >= 1 && n["contacts.upsert"] >= 1 && n["chats.upsert"] >= 1
	})
	atMost := map[string]int{
		"instance.create": 1, "status.instance": 1, "qrcode.updated": 1, "connection.update": 4,
		"messages.upsert": 4, "send.message": 1, "messages.update": 1, "contacts.upsert": 1, "chats.upsert": 1,
	}
	for event, n := range count(receiver.Posts()) {
		if n > atMost[event] {
			t.Errorf("%s came %d times, at most %d are of use", event, n, atMost[event])
		}
	}
}

func count(posts []pombotest.Post) map[string]int {
	n := map[string]int{}
	for _, p := range posts {
		n[p.Event]++
	}
	return n
}
