package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// TestKillSync: whatever is killed when, what a phone hands over of its history and
// what it changes of its settings is told, each message and each change in one
// delivery.
func TestKillSync(t *testing.T) {
	rng := seeded(t, *killSeed, "kill.seed")
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	server := program(t, network, "WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=0.05", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=0.5")
	server.Start()
	pombotest.Pair(t, server.Client, network.Server, "sync", phone, receiver.URL)

	messages, labels, kills := 0, 0, 0
	for end := time.Now().Add(*killFor); time.Now().Before(end); {
		var chats []sandbox.HistoryChat
		for c := range 10 {
			chat := sandbox.HistoryChat{Chat: fmt.Sprintf("55119666%05d", c)}
			for range 120 {
				chat.Messages = append(chat.Messages, sandbox.HistoryMessage{ID: fmt.Sprintf("H%06d", messages), Text: "from before"})
				messages++
			}
			chats = append(chats, chat)
		}
		if _, err := network.SendHistory(t.Context(), sandbox.HistoryRequest{Number: phone, Chats: chats, ChunkSize: 700}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := network.SetAppState(t.Context(), sandbox.AppStateRequest{
				Number: phone, Action: "label", Label: fmt.Sprintf("L%06d", labels), Name: "label",
			}); err != nil {
				t.Fatal(err)
			}
			labels++
		}
		<-time.After(time.Duration(rng.Int64N(int64(500 * time.Millisecond)))) // the moment is the subject
		server.Kill()
		server.Start()
		kills++
	}
	pombotest.WaitState(t, server.Client, "sync", "open")
	seen := func() (history, changes map[string]int) {
		history, changes = map[string]int{}, map[string]int{}
		for _, p := range receiver.Named("messages.set") {
			var items []struct{ Key struct{ ID string } }
			if err := json.Unmarshal(p.Data, &items); err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				history[item.Key.ID]++
			}
		}
		for _, p := range receiver.Named("labels.edit") {
			var label struct{ ID string }
			if err := json.Unmarshal(p.Data, &label); err != nil {
				t.Fatal(err)
			}
			changes[label.ID]++
		}
		return history, changes
	}
	t.Logf("%d kills, %d messages of the history, %d labels", kills, messages, labels)
	receiver.Until(t, "everything", func([]pombotest.Post) bool {
		history, changes := seen()
		return len(history) >= messages && len(changes) >= labels
	})
	history, changes := seen()
	for what, counts := range map[string]map[string]int{"message": history, "label": changes} {
		for id, n := range counts {
			if n != 1 {
				t.Errorf("%s %s came in %d deliveries", what, id, n)
			}
		}
	}
	if kills == 0 || messages == 0 {
		t.Errorf("%d kills prove little", kills)
	}
	network.CheckRules(t)
}
