package sandbox_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pombo/internal/sandbox"
)

// TestScenarios: every scenario can be read and says what it causes, and all but the steps of the gateway can be taken
// where no gateway is known.
func TestScenarios(t *testing.T) {
	ctx := context.Background()
	n := startNetwork(t, sandbox.Options{})
	all, err := n.Scenarios(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, sc := range all {
		names = append(names, sc.Name)
		if sc.Description == "" || len(sc.Events) == 0 || len(sc.Steps) == 0 || slices.Contains(sc.Steps, "") {
			t.Errorf("%+v is not described", sc)
		}
	}
	if !slices.Contains(names, "everything") {
		t.Errorf("there are %v", names)
	}
	for _, r := range []sandbox.PlayRequest{
		{Name: "nothing", Instance: "a", Number: bot}, {Name: "group", Number: bot}, {Name: "group", Instance: "a"}, {Name: "group", Instance: "a", Number: bot},
		{Name: "../scenario", Instance: "a", Number: bot},
	} {
		if _, err := n.PlayScenario(ctx, r); err == nil {
			t.Errorf("%+v was played", r)
		}
	}
	c := newClient(t, n)
	c.pair(n, bot)
	for _, name := range []string{"conversation", "group"} {
		play, err := n.PlayScenario(ctx, sandbox.PlayRequest{Name: name, Instance: "a", Number: "+" + bot})
		if err != nil || play.Number != bot || len(play.Events) == 0 {
			t.Errorf("%s: %+v, %v", name, play, err)
		}
	}
	// This one waits for a client that fetches its settings, which the one of this test does by itself.
	play, err := n.PlayScenario(ctx, sandbox.PlayRequest{Name: "everything", Instance: "a", Number: bot})
	if err != nil || slices.Contains(play.Events, "SEND_MESSAGE") || !slices.Contains(play.Events, "CALL") {
		t.Errorf("everything: %+v, %v", play, err)
	}
	for _, step := range play.Steps {
		if !step.Skipped && !strings.Contains(step.Call, " /sandbox/") {
			t.Errorf("the gateway was called: %+v", step)
		}
	}
}
