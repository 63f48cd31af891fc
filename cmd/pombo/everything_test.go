package main

import (
	"net/url"
	"os"
	"slices"
	"testing"

	"pombo"
	"pombo/internal/pombotest"
)

// One call against a server with a webhook on all events, and every event there is
// arrives at least once, in the form of docs/events.md: twice in a row, since nothing
// of it needs to be new.
func TestEverything(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	receiver := pombotest.NewReceiver(t)
	server := pombotest.NewProcess(t, exe, []string{"serve", "--sandbox"}, serverEnv+"=1", "POMBO_DATA_DIR="+t.TempDir())
	server.Start()
	const name = "loja 1"
	pombotest.Create(t, server.Client, name, receiver.URL)
	server.Kill()
	server.Start() // tells APPLICATION_STARTUP

	var expected []string
	for _, n := range pombo.EventNames() {
		if !slices.Contains(notPlayed, n) {
			expected = append(expected, n.Wire())
		}
	}
	for range 2 {
		before := len(receiver.Posts())
		var play struct {
			Number string
			Events []string
			Steps  []struct{ Skipped bool }
		}
		server.Must("POST", "/sandbox/scenarios/everything", map[string]any{"instance": name}, &play)
		for _, n := range pombo.EventNames() {
			if missing := !slices.Contains(play.Events, string(n)); missing != (n == pombo.ApplicationStartup || slices.Contains(notPlayed, n)) {
				t.Errorf("%s: among the events that the scenario says it causes: %t", n, !missing)
			}
		}
		for _, s := range play.Steps {
			if s.Skipped {
				t.Errorf("a step was skipped: %+v", play.Steps)
			}
		}
		receiver.Until(t, "every event", func(posts []pombotest.Post) bool {
			came := map[string]bool{}
			for _, p := range posts[before:] {
				came[p.Event] = true
			}
			for _, event := range expected {
				if !came[event] && event != pombo.ApplicationStartup.Wire() {
					return false
				}
			}
			return true
		})
	}
	started := receiver.Wait(t, "application.startup", nil)
	if started.Instance != name {
		t.Errorf("APPLICATION_STARTUP is of %q", started.Instance)
	}
	shapes := pombotest.ReadShapes(t, "../..")
	for _, p := range receiver.Accepted() {
		shapes.Check(t, p)
	}
	var violations []any
	server.Must("GET", "/sandbox/violations", nil, &violations)
	if len(violations) > 0 {
		t.Errorf("rules of the network were broken: %v", violations)
	}
	server.Must("GET", "/instance/connectionState/"+url.PathEscape(name), nil, nil)
}

// notPlayed are the events that the day does not bring.
var notPlayed = []pombo.EventName{
	pombo.NewJWTToken,                                                  // with AUTHENTICATION_TYPE=jwt alone
	pombo.TypebotStart, pombo.TypebotChangeStatus, pombo.ChamaAIAction, // of features that there are not
}
