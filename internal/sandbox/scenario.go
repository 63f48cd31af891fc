package sandbox

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// A scenario is a file: the control calls of a story, one after the other, and what the owner of the instance does
// over the gateway's API meanwhile.
//
//go:embed scenarios/*.json
var scenarioFiles embed.FS

// scenario is what a file in scenarios/ holds.
type scenario struct {
	Name        string         `json:"-"` // the file's
	Description string         `json:"description"`
	Steps       []scenarioStep `json:"steps"`
}

// scenarioStep is one call: of the control API, or of the gateway's. In its path and body, {{…}} stands for a value:
// of instance, number, run (four digits, new each time) and the people; or in the answer to an earlier step, as in
// {{poll.id}}.
type scenarioStep struct {
	Say     string   `json:"say"`               // what happens, in a sentence
	Causes  []string `json:"causes,omitempty"`  // events that this sends, by their names in the Evolution API
	Sandbox string   `json:"sandbox,omitempty"` // "POST /sandbox/messages"
	Gateway string   `json:"gateway,omitempty"` // "POST /message/sendText/{{instance}}"
	Body    any      `json:"body,omitempty"`
	As      string   `json:"as,omitempty"` // the name of its answer
	// Until repeats the call until its answer has these values, for a while.
	Until map[string]any `json:"until,omitempty"`
}

// ScenarioView describes a scenario.
type ScenarioView struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Events      []string `json:"events"` // that it causes
	Steps       []string `json:"steps"`
}

// Scenarios lists the scenarios by name.
func (s *Server) Scenarios(context.Context) ([]ScenarioView, error) {
	names, err := scenarioFiles.ReadDir("scenarios")
	if err != nil {
		return nil, fmt.Errorf("listing scenarios: %w", err)
	}
	out := []ScenarioView{}
	for _, f := range names {
		sc, err := readScenario(strings.TrimSuffix(f.Name(), ".json"))
		if err != nil {
			return nil, err
		}
		v := ScenarioView{Name: sc.Name, Description: sc.Description, Events: sc.events()}
		for _, step := range sc.Steps {
			v.Steps = append(v.Steps, step.Say)
		}
		out = append(out, v)
	}
	return out, nil
}

// events lists what the steps cause, each once, in the order of the alphabet.
func (sc *scenario) events() []string {
	events := []string{}
	for _, step := range sc.Steps {
		events = append(events, step.Causes...)
	}
	slices.Sort(events)
	return slices.Compact(events)
}

func readScenario(name string) (*scenario, error) {
	raw, err := scenarioFiles.ReadFile(path.Join("scenarios", name+".json"))
	if err != nil {
		return nil, errorf(NotFound, "There is no scenario %q: GET /sandbox/scenarios lists them", name)
	}
	sc := &scenario{Name: name}
	if err := json.Unmarshal(raw, sc); err != nil {
		return nil, fmt.Errorf("reading the scenario %s: %w", name, err)
	}
	return sc, nil
}

// PlayRequest plays a scenario.
type PlayRequest struct {
	Name string `json:"-"`
	// Instance whose phone takes part. It is linked first, if it is not. Without Options.Gateway it is a name alone.
	Instance string `json:"instance"`
	// Number of the instance's phone; empty: the one that it is linked with, or that of a new phone.
	Number string `json:"number,omitempty"`
}

// Play is what came of playing a scenario.
type Play struct {
	Scenario string       `json:"scenario"`
	Instance string       `json:"instance"`
	Number   string       `json:"number"`
	Events   []string     `json:"events"` // that were caused
	Steps    []PlayedStep `json:"steps"`
}

// PlayedStep is one step that was taken.
type PlayedStep struct {
	Say     string `json:"say"`
	Call    string `json:"call"` // method and path
	Status  int    `json:"status,omitempty"`
	Skipped bool   `json:"skipped,omitempty"` // it is the gateway's, which this sandbox has no way to, or builds on such a one
}

func (s *Server) scenarioRoutes(mux *http.ServeMux) {
	mux.Handle("GET /sandbox/scenarios", get(s, func(r *http.Request) ([]ScenarioView, error) { return s.Scenarios(r.Context()) }))
	mux.Handle("POST /sandbox/scenarios/{id}", postTo(s, http.StatusOK, func(ctx context.Context, name string, r PlayRequest) (Play, error) {
		r.Name = name
		return s.PlayScenario(ctx, r)
	}))
}
