package main

import (
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// walk is the README's way from nothing to a webhook, while it is gone.
type walk struct {
	*testing.T
	gateway  *app.App
	receiver *pombotest.Receiver
	answers  []answered // of the last block
	curls    int
}

type answered struct{ body, status string }

// The commands of the README, as they stand there, do what it says: only the
// addresses of the server and of the webhook are others.
func TestReadme(t *testing.T) {
	for _, program := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("REQUIRE_ALL") != "1" {
			t.Skipf("skipped: there is no %s", program)
		}
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## From nothing to a webhook\n")
	section, _, _ = strings.Cut(section, "\n## ")
	w := &walk{T: t, receiver: pombotest.NewReceiver(t)}
	quoted := 0
	for _, part := range paragraphs(section) {
		switch code := strings.HasPrefix(part, "    "); {
		case code && strings.Contains(part, " ./cmd/pombo "):
			w.serve(part)
		case code && strings.HasPrefix(part, "    curl "):
			w.run(part)
		case code:
			quoted++
			if got, want := w.answers[0].body, w.here(strings.TrimSpace(part)); got != want {
				t.Errorf("it answers\n%s\nbut the README says\n%s", got, want)
			}
		default:
			w.check(part)
		}
	}
	if w.gateway == nil || w.curls < 6 || quoted != 1 {
		t.Errorf("the README starts a server (%v), has %d curl commands and quotes %d answers", w.gateway != nil, w.curls, quoted)
	}
	got, err := w.gateway.Sandbox().Messages(t.Context(), sandbox.MessagesRequest{Number: "5511977770000"})
	if err != nil || len(got) != 1 || got[0].Text != "hello yourself" {
		t.Errorf("the contact's phone has %+v, %v", got, err)
	}
	_, section, _ = strings.Cut(string(text), "\n## From \"the webhook was down\" to everything replayed\n")
	section, _, _ = strings.Cut(section, "\n## ")
	w.replay(section)
}

// replay walks from a webhook that refuses one message, and fails at the next, to
// both being there.
func (w *walk) replay(section string) {
	w.Helper()
	broken := func(text string, status int) {
		w.receiver.Answer(func(_ int, p pombotest.Post) int {
			if strings.Contains(string(p.Data), `"conversation":"`+text+`"`) && p.Event == "messages.upsert" {
				return status
			}
			return 200
		})
		_, err := w.gateway.Sandbox().SendMessage(w.Context(), sandbox.SendRequest{From: "5511977770000", To: "5511988880000", Text: text})
		if err != nil {
			w.Fatal(err)
		}
		w.receiver.Wait(w, "messages.upsert", func(p pombotest.Post) bool { return p.Status == status })
	}
	broken("refused", 422)
	client := pombotest.NewClient(w, w.gateway.URL(), "change-me")
	pombotest.Eventually(w, patience, "the refused message to be dead", func() bool {
		_, body := client.Do("GET", "/webhook/deliveries/my-instance?state=dead", nil)
		return strings.Contains(string(body), `"reason":"rejected"`)
	})
	broken("failed", 503)
	pombotest.Eventually(w, patience, "all else to be told", func() bool {
		_, body := client.Do("GET", "/webhook/health/my-instance", nil)
		return strings.Contains(string(body), `"backlog":1,`)
	})
	curls := w.curls
	for _, part := range paragraphs(section) {
		if !strings.HasPrefix(part, "    curl ") {
			continue
		}
		if strings.Contains(part, "/webhook/test/") {
			w.receiver.Answer(nil) // it is repaired
		}
		w.run(part)
		switch {
		case strings.Contains(part, "/webhook/health/") && !strings.Contains(w.answers[0].body, `"backlog":1,`):
			w.Errorf("the health of the broken webhook is %s", w.answers[0].body)
		case strings.Contains(part, "/webhook/test/") && !strings.Contains(w.answers[0].body, `"ok":true`):
			w.Errorf("the test of the repaired webhook says %s", w.answers[0].body)
		case strings.Contains(part, "/webhook/replay/") && !strings.Contains(w.answers[0].body, `"replayed":1,`):
			w.Errorf("the dry run says %s", w.answers[0].body)
		}
	}
	if w.curls-curls < 6 {
		w.Errorf("the walk has %d curl commands", w.curls-curls)
	}
	for _, text := range []string{"refused", "failed"} {
		w.receiver.Wait(w, "messages.upsert", func(p pombotest.Post) bool {
			return p.Status == 200 && strings.Contains(string(p.Data), `"conversation":"`+text+`"`)
		})
	}
}

// paragraphs splits a text at blank lines.
func paragraphs(text string) []string {
	var out []string
	for _, p := range strings.Split(text, "\n\n") {
		if p = strings.Trim(p, "\n"); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// serve runs a command such as "NAME=value go run ./cmd/pombo serve --flag".
func (w *walk) serve(command string) {
	w.Helper()
	before, after, _ := strings.Cut(strings.TrimSpace(command), "go run ./cmd/pombo ")
	args := strings.Fields(after)
	if len(args) == 0 || args[0] != "serve" {
		w.Fatalf("the README starts the server with %q", command)
	}
	env := append(strings.Fields(before), "SERVER_HOST=127.0.0.1", "SERVER_PORT=0", "POMBO_DATA_DIR="+w.TempDir())
	a, err := startServer(w.Context(), call{args: args[1:], env: env, stdout: io.Discard, stderr: io.Discard})
	if err != nil {
		w.Fatal(err)
	}
	w.gateway = a
	w.Cleanup(func() {
		if err := stopServer(w.Context(), a); err != nil {
			w.Error(err)
		}
	})
}

// here puts this test's addresses in place of the README's.
func (w *walk) here(text string) string {
	return strings.NewReplacer(
		"localhost:8080", strings.TrimPrefix(w.gateway.URL(), "http://"),
		"http://localhost:3000", w.receiver.URL,
	).Replace(text)
}

// run runs a block of curl commands in a shell; each has to succeed.
func (w *walk) run(block string) {
	w.Helper()
	const mark = "|end of the answer|"
	script := "curl() { command curl -sS -w '\\n%{http_code}" + mark + "' \"$@\"; }\n" + w.here(block)
	out, err := exec.CommandContext(w.Context(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		w.Fatalf("%s\n%v: %s", block, err, out)
	}
	w.answers = nil
	for one := range strings.SplitSeq(strings.TrimSuffix(string(out), mark), mark) {
		i := strings.LastIndexByte(one, '\n')
		a := answered{body: strings.TrimSuffix(one[:max(i, 0)], "\n"), status: one[i+1:]}
		if !strings.HasPrefix(a.status, "2") {
			w.Fatalf("%s\nis answered with %s %s", block, a.status, a.body)
		}
		w.answers = append(w.answers, a)
		w.curls++
	}
}

var (
	statusClaim = regexp.MustCompile("It answers ([0-9]{3}) with")
	postClaim   = regexp.MustCompile("`http://localhost:3000(/[a-z]*)` now gets a POST with `\"event\":\"([a-z.]+)\"`")
)

// check checks what a paragraph says of the commands before it.
func (w *walk) check(text string) {
	w.Helper()
	if claim := statusClaim.FindStringSubmatch(text); claim != nil && w.answers[0].status != claim[1] {
		w.Errorf("%q: it is %s", text, w.answers[0].status)
	}
	if claim := postClaim.FindStringSubmatch(text); claim != nil {
		if p := w.receiver.Wait(w, claim[2], nil); p.Path != claim[1] {
			w.Errorf("%q: the path is %s", text, p.Path)
		}
	} else if strings.Contains(text, "now gets a POST") {
		w.Errorf("this test does not understand %q", text)
	}
}
