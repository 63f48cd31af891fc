package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	untilLimit = 2 * time.Minute // for a step that is repeated
	untilPause = 50 * time.Millisecond
)

// PlayScenario plays a scenario, step by step, and returns when all of it is on its way. It ends with the first step
// that fails. Errors: Invalid, NotFound, Conflict.
func (s *Server) PlayScenario(ctx context.Context, r PlayRequest) (Play, error) {
	sc, err := readScenario(r.Name)
	if err != nil {
		return Play{}, err
	}
	if r.Instance == "" {
		return Play{}, errorf(Invalid, "Give the \"instance\" whose phone takes part")
	}
	run := fmt.Sprintf("%04d", rand.IntN(10000))
	p := &player{s: s, ctx: ctx, control: s.controlRoutes(), skipped: map[string]bool{}, values: map[string]any{
		"instance": url.PathEscape(r.Instance), "name": r.Instance, "run": run,
		// People whom the instance does not know yet.
		"ana": "55119" + run + "0001", "bruno": "55119" + run + "0002", "carla": "55119" + run + "0003", "guest": "55119" + run + "0009",
	}}
	number, err := p.link(normalizeNumber(r.Number))
	if err != nil {
		return Play{}, err
	}
	p.values["number"] = number
	out := Play{Scenario: sc.Name, Instance: r.Instance, Number: number, Steps: []PlayedStep{}}
	done := scenario{}
	for i := range sc.Steps {
		step := &sc.Steps[i]
		taken, err := p.step(step)
		if err != nil {
			return Play{}, errorf(Conflict, "Step %d of %d (%s) failed, and those after it were not taken: %v", i+1, len(sc.Steps), step.Say, err)
		}
		out.Steps = append(out.Steps, taken)
		if !taken.Skipped {
			done.Steps = append(done.Steps, *step)
		}
	}
	out.Events = done.events()
	return out, nil
}

// player plays one scenario.
type player struct {
	s       *Server
	ctx     context.Context
	control http.Handler
	values  map[string]any
	skipped map[string]bool // steps whose answers there are not
}

// errSkipped is the error of a step that builds on one that was skipped.
var errSkipped = errors.New("a step before was skipped")

// link links the instance, if it is not, and returns its phone's number.
func (p *player) link(number string) (string, error) {
	if p.s.options.Gateway == nil {
		if number == "" {
			return "", errorf(Invalid, "Give the \"number\" that the instance is linked with: this sandbox does not know its gateway")
		}
		p.s.mu.Lock()
		defer p.s.mu.Unlock()
		u, err := p.s.known(number)
		if err == nil && len(u.devices) == 0 {
			err = errorf(Conflict, "No instance is linked with %s: scan its code first, with POST /sandbox/scan", number)
		}
		return number, err
	}
	state := scenarioStep{Gateway: "GET /instance/connectionState/{{instance}}", As: "state"}
	if _, err := p.step(&state); err != nil {
		return "", errorf(NotFound, "The gateway does not know the instance: %v", err)
	}
	if open, _ := p.value("state.instance.state"); open != "open" {
		if number == "" {
			number = "55119" + p.values["run"].(string) + "0000"
		}
		p.values["number"] = number
		state.Until = map[string]any{"instance.state": "open"}
		for _, step := range []scenarioStep{
			{Gateway: "GET /instance/connect/{{instance}}", As: "qr"},
			{Sandbox: "POST /sandbox/scan", Body: map[string]any{"code": "{{qr.code}}", "number": "{{number}}"}},
			state,
		} {
			if _, err := p.step(&step); err != nil {
				return "", errorf(Conflict, "The instance could not be linked: %v", err)
			}
		}
	}
	rows := scenarioStep{Gateway: "GET /v2/instance/fetchInstances?instanceName={{instance}}", As: "rows"}
	if _, err := p.step(&rows); err != nil {
		return "", err
	}
	owner, _ := p.value("rows.0.ownerJid")
	linked, _, ok := strings.Cut(fmt.Sprint(owner), "@")
	switch {
	case !ok:
		return "", errorf(Conflict, "The instance is not linked with a phone of this sandbox")
	case number != "" && number != linked:
		return "", errorf(Conflict, "The instance is linked with %s: leave out \"number\", or give that one", linked)
	}
	return linked, nil
}

// step takes one step.
func (p *player) step(step *scenarioStep) (PlayedStep, error) {
	call, handler := step.Sandbox, p.control
	if step.Gateway != "" {
		call, handler = step.Gateway, p.s.options.Gateway
	}
	filled, err := p.fill(call)
	if err == nil {
		call = fmt.Sprint(filled)
	}
	taken := PlayedStep{Say: step.Say, Call: call}
	body, bodyErr := p.fill(step.Body)
	switch err = errors.Join(err, bodyErr); {
	case handler == nil, errors.Is(err, errSkipped):
		taken.Skipped = true
		p.skipped[step.As] = true
		return taken, nil
	case err != nil:
		return taken, err
	}
	limit, cancel := context.WithTimeout(p.ctx, untilLimit)
	defer cancel()
	for {
		var answer any
		if taken.Status, answer, err = p.call(handler, taken.Call, body); err != nil {
			return taken, err
		}
		if holds(answer, step.Until) {
			if step.As != "" {
				p.values[step.As] = answer
			}
			return taken, nil
		}
		select {
		case <-time.After(untilPause):
		case <-limit.Done():
			return taken, fmt.Errorf("%s did not come to answer %v in %s", taken.Call, step.Until, untilLimit)
		}
	}
}

// call makes a request without a network. An answer other than 2xx is an error.
func (p *player) call(handler http.Handler, call string, body any) (status int, answer any, err error) {
	method, target, _ := strings.Cut(call, " ")
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, nil, fmt.Errorf("encoding a step: %w", err)
	}
	if body == nil {
		raw = nil
	}
	r, err := http.NewRequestWithContext(p.ctx, method, target, io.NopCloser(bytes.NewReader(raw)))
	if err != nil {
		return 0, nil, fmt.Errorf("making a step: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	w := &answerWriter{header: http.Header{}, status: http.StatusOK}
	handler.ServeHTTP(w, r)
	if w.status/100 != 2 {
		return w.status, nil, fmt.Errorf("%s answered %d %s", call, w.status, strings.TrimSpace(w.body.String()))
	}
	if w.body.Len() > 0 {
		if err := json.Unmarshal(w.body.Bytes(), &answer); err != nil {
			return w.status, nil, fmt.Errorf("%s answered no JSON: %w", call, err)
		}
	}
	return w.status, answer, nil
}

// answerWriter keeps an answer.
type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerWriter) Header() http.Header         { return w.header }
func (w *answerWriter) WriteHeader(status int)      { w.status = status }
func (w *answerWriter) Write(b []byte) (int, error) { return w.body.Write(b) }

// holds tells whether an answer has the wanted values.
func holds(answer any, want map[string]any) bool {
	for where, v := range want {
		if got, ok := at(answer, where); !ok || !reflect.DeepEqual(got, v) {
			return false
		}
	}
	return true
}

var placeholder = regexp.MustCompile(`\{\{([\w.]+)\}\}`)

// fill puts values in place of {{…}}. A text that is nothing else becomes the value itself, whatever its type.
func (p *player) fill(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return p.fillText(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = p.fill(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = p.fill(v[k]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

func (p *player) fillText(text string) (any, error) {
	if m := placeholder.FindStringSubmatch(text); m != nil && m[0] == text {
		return p.value(m[1])
	}
	var failed error
	filled := placeholder.ReplaceAllStringFunc(text, func(name string) string {
		v, err := p.value(strings.Trim(name, "{}"))
		if err != nil {
			failed = err
		}
		return fmt.Sprint(v)
	})
	return filled, failed
}

// value looks up a value by its path, such as poll.id.
func (p *player) value(where string) (any, error) {
	if v, ok := at(p.values, where); ok {
		return v, nil
	}
	if name, _, _ := strings.Cut(where, "."); p.skipped[name] {
		return nil, errSkipped
	}
	return nil, fmt.Errorf("nothing is known of %s", where)
}

func at(v any, where string) (any, bool) {
	for part := range strings.SplitSeq(where, ".") {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}
