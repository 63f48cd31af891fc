package pombotest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Post is one webhook request as the receiver got it.
type Post struct {
	Path     string
	Query    string
	Header   http.Header
	Body     []byte
	Event    string // the envelope's fields
	Instance string
	Data     json.RawMessage
	Sender   string
	At       time.Time
	Status   int // what the receiver answered
}

// ID returns the webhook-id header: the same on every try of one delivery.
func (p Post) ID() string { return p.Header.Get("webhook-id") }

// Receiver is a real HTTP server that records the webhooks posted to it.
type Receiver struct {
	URL string

	mu      sync.Mutex
	posts   []Post
	asked   int             // requests that were read
	taken   map[string]bool // webhook-ids of posts that were answered with a 2xx
	changed chan struct{}   // closed and replaced on every change
	answer  func(n int, p Post) int
}

// NewReceiver starts a receiver that answers 200; it stops with the test.
func NewReceiver(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{taken: map[string]bool{}, changed: make(chan struct{})}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	r.URL = srv.URL
	return r
}

// Answer makes the receiver answer what f says: the HTTP status for the n-th
// request, counting from 0. It is called without a lock, from many goroutines.
func (r *Receiver) Answer(f func(n int, p Post) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// ServeHTTP records a request.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender went away: it was not received
	}
	p := Post{Path: req.URL.Path, Query: req.URL.RawQuery, Header: req.Header, Body: body, At: time.Now()}
	var env struct {
		Event, Instance, Sender string
		Data                    json.RawMessage
	}
	if err := json.Unmarshal(body, &env); err != nil {
		http.Error(w, fmt.Sprintf("not JSON: %v", err), http.StatusBadRequest)
		return
	}
	p.Event, p.Instance, p.Data, p.Sender = env.Event, env.Instance, env.Data, env.Sender

	r.mu.Lock()
	n, answer := r.asked, r.answer
	r.asked++
	r.mu.Unlock()
	p.Status = http.StatusOK
	if answer != nil {
		p.Status = answer(n, p)
	}
	r.mu.Lock()
	r.posts = append(r.posts, p)
	if p.Status/100 == 2 {
		r.taken[p.ID()] = true
	}
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	w.WriteHeader(p.Status)
}

// Posts returns what was received so far, in order of arrival.
func (r *Receiver) Posts() []Post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Post(nil), r.posts...)
}

// Accepted returns the posts that were answered with a 2xx, each delivery once.
func (r *Receiver) Accepted() []Post {
	seen := map[string]bool{}
	var out []Post
	for _, p := range r.Posts() {
		if p.Status/100 == 2 && !seen[p.ID()] {
			seen[p.ID()] = true
			out = append(out, p)
		}
	}
	return out
}

// Named returns the accepted posts of an event (its wire name), each delivery
// once.
func (r *Receiver) Named(event string) []Post {
	var out []Post
	for _, p := range r.Accepted() {
		if p.Event == event {
			out = append(out, p)
		}
	}
	return out
}

// Wait returns the first post of the event (its wire name) that match accepts,
// as soon as there is one. A nil match accepts all. The test fails after a
// minute without.
func (r *Receiver) Wait(t testing.TB, event string, match func(Post) bool) Post {
	t.Helper()
	var found Post
	r.Until(t, "a post of "+event, func(posts []Post) bool {
		for _, p := range posts {
			if p.Event == event && (match == nil || match(p)) {
				found = p
				return true
			}
		}
		return false
	})
	return found
}

// Until waits until done accepts what was received. It fails the test, naming what,
// when there is no progress: after a minute without any new request, or four without
// a delivery that is taken for the first time (requests that are refused come again
// for ever). However much there is to come, it may take its time.
func (r *Receiver) Until(t testing.TB, what string, done func([]Post) bool) {
	t.Helper()
	taken, end := -1, time.Time{}
	for {
		posts, now, changed := r.look()
		if done(posts) {
			return
		}
		if now > taken {
			taken, end = now, time.Now().Add(4*time.Minute)
		}
		ctx, cancel := context.WithTimeout(t.Context(), min(time.Minute, time.Until(end)))
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
			cancel()
			t.Fatalf("waited in vain for %s; %d posts came: %s", what, len(posts), summary(posts))
		}
	}
}

// look returns what was received so far, not to be changed; how many deliveries were
// taken; and what is closed when there is more.
func (r *Receiver) look() (posts []Post, taken int, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.posts[:len(r.posts):len(r.posts)], len(r.taken), r.changed
}

func summary(posts []Post) string {
	counts := map[string]int{}
	for _, p := range posts {
		counts[fmt.Sprintf("%s→%d", p.Event, p.Status)]++
	}
	return fmt.Sprint(counts)
}
