package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// tour walks through the main job over HTTP, as a user would, and prints each
// request as a curl line that can be repeated.
type tour struct {
	out  io.Writer
	base string // the gateway's URL
	key  string // its API key
	http *http.Client
	step int
}

// title begins a step.
func (t *tour) title(format string, args ...any) {
	t.step++
	fmt.Fprintf(t.out, "\n%d. %s\n\n", t.step, fmt.Sprintf(format, args...))
}

// call makes a request, prints it and its answer, and decodes the answer into
// out if that is not nil. A status of 400 or more is an error.
func (t *tour) call(ctx context.Context, method, path string, body any, out any) error {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return err
		}
	}
	t.printCurl(method, path, payload)
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("apikey", t.key)
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "   → %d %s\n", resp.StatusCode, shorten(answer))
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s %s answered %s", method, path, resp.Status)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (t *tour) printCurl(method, path string, payload []byte) {
	fmt.Fprintf(t.out, "   curl -X %s '%s%s' -H 'apikey: %s'", method, t.base, path, t.key)
	if payload != nil {
		fmt.Fprintf(t.out, " \\\n     -H 'Content-Type: application/json' -d '%s'", strings.ReplaceAll(string(payload), "'", `'\''`))
	}
	fmt.Fprintln(t.out)
}

// shorten cuts long strings in a JSON text, such as a picture in base64, so
// that an answer fits on a screen.
func shorten(answer []byte) string {
	if !json.Valid(answer) {
		return string(answer)
	}
	const most = 80
	var b strings.Builder
	for i := 0; i < len(answer); i++ {
		if answer[i] != '"' {
			b.WriteByte(answer[i])
			continue
		}
		end := i + 1
		for answer[end] != '"' {
			if answer[end] == '\\' {
				end++
			}
			end++
		}
		if s := answer[i : end+1]; len(s) > most {
			b.Write(s[:most/2])
			fmt.Fprintf(&b, "…(%d characters)\"", len(s)-2)
		} else {
			b.Write(s)
		}
		i = end
	}
	return b.String()
}

// inbox is the demo's own webhook receiver.
type inbox struct {
	posts  chan post
	passed []post // taken from posts while another event was waited for
}

type post struct {
	path  string
	id    string
	body  []byte
	event string
}

// isOpen tells whether the post says that the instance is connected.
func (p post) isOpen() bool {
	var env struct{ Data struct{ State string } }
	return json.Unmarshal(p.body, &env) == nil && env.Data.State == "open"
}

func newInbox() *inbox { return &inbox{posts: make(chan post, 256)} }

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return
	}
	var env struct{ Event string }
	if err := json.Unmarshal(body, &env); err != nil {
		http.Error(w, "this is not JSON", http.StatusBadRequest)
		return
	}
	select {
	case b.posts <- post{path: r.URL.Path, id: r.Header.Get("webhook-id"), body: body, event: env.Event}:
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusServiceUnavailable) // it comes again
	}
}

// next returns the next post of the event. Others are kept for later: a receipt
// can be here before the message that it is for.
func (b *inbox) next(ctx context.Context, event string) (post, error) {
	if i := slices.IndexFunc(b.passed, func(p post) bool { return p.event == event }); i >= 0 {
		p := b.passed[i]
		b.passed = slices.Delete(b.passed, i, i+1)
		return p, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		select {
		case p := <-b.posts:
			if p.event == event {
				return p, nil
			}
			b.passed = append(b.passed, p)
		case <-ctx.Done():
			return post{}, fmt.Errorf("no webhook for %s came within 30 s: %w", event, ctx.Err())
		}
	}
}

func indent(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(shorten(body)), "   ", "  ") != nil {
		return string(body)
	}
	return b.String()
}
