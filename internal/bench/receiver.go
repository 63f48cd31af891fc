package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// chat is one conversation of an instance.
type chat struct {
	instance string
	account  string // the instance's number
	contact  string // the other side's
}

// key is what the receiver knows a chat by.
func (c chat) key() string { return c.instance + "/" + c.contact }

// receiver is the endpoint of all webhooks: it answers 200 at once, keeps the
// time of arrival, and notes each message that comes out of order, twice or
// unasked.
type receiver struct {
	url    string
	server *http.Server

	mu      sync.Mutex
	opens   map[string]int // by instance: how often it became open
	opened  chan struct{}  // closed and replaced when one did
	current *tally         // nil: messages are not expected
	stray   []string       // messages that nobody waited for
	samples [][]byte       // bodies of messages
}

const maxSamples = 256

func newReceiver() (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + l.Addr().String() + "/", opens: map[string]int{}, opened: make(chan struct{})}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(l) }() // ends with close, which reports nothing of use
	return r, nil
}

func (r *receiver) close() error { return r.server.Close() }

// post is what the benchmark looks at in a webhook's body.
type post struct {
	Event    string
	Instance string
	Data     struct {
		State string // of connection.update
		Key   struct {
			ID        string
			RemoteJid string
		}
		Message struct{ Conversation string }
	}
}

// bare is a path whose requests are read and answered like the others, and not
// counted: for the baseline.
const bare = "bare"

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender went away: nothing was received
	}
	at := time.Now()
	var p post
	if err := json.Unmarshal(body, &p); err != nil {
		http.Error(w, "this is not JSON", http.StatusBadRequest)
		return
	}
	if strings.HasSuffix(req.URL.Path, bare) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case p.Event == "connection.update" && p.Data.State == "open":
		r.opens[p.Instance]++
		close(r.opened)
		r.opened = make(chan struct{})
	case p.Event == "messages.upsert":
		if len(r.samples) < maxSamples {
			r.samples = append(r.samples, body)
		}
		r.note(p, req.Header.Get("webhook-id"), at)
	}
}

func (r *receiver) note(p post, id string, at time.Time) {
	contact, _, _ := strings.Cut(p.Data.Key.RemoteJid, "@")
	if r.current == nil || !r.current.arrived(p.Instance+"/"+contact, p.Data.Message.Conversation, id, at) {
		r.stray = append(r.stray, p.Instance+"/"+contact+" "+p.Data.Message.Conversation)
	}
}

// waitOpen waits until as many instances as given are open: each counts once it
// became so more often than seen says, which is what opens returned before.
func (r *receiver) waitOpen(ctx context.Context, names []string, seen map[string]int) error {
	for {
		r.mu.Lock()
		changed, missing := r.opened, 0
		for _, n := range names {
			if r.opens[n] <= seen[n] {
				missing++
			}
		}
		r.mu.Unlock()
		if missing == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			return fmt.Errorf("for a minute no instance became open; %d of %d are not", missing, len(names))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// seenOpen returns how often each instance became open.
func (r *receiver) seenOpen() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[string]int, len(r.opens))
	for n, c := range r.opens {
		seen[n] = c
	}
	return seen
}

// expect makes the receiver wait for messages: perChat of each chat, under the
// name of a run that no other tally has.
func (r *receiver) expect(run string, chats []chat, perChat int) *tally {
	t := &tally{
		run: run, perChat: perChat, missing: perChat * len(chats), lanes: make(map[string]*lane, len(chats)), done: make(chan struct{}),
	}
	for _, c := range chats {
		t.lanes[c.key()] = &lane{sent: make([]time.Time, perChat), arrived: make([]time.Time, perChat), ids: make([]string, perChat)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = t
	return t
}

// finish ends the waiting for t and returns what was wrong with it: disorder,
// repeats under another webhook-id, or messages of others.
func (r *receiver) finish(t *tally) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = nil
	if len(r.stray) > 0 {
		t.faults = append(t.faults, fmt.Sprintf("%d messages came that were not expected, the first: %s", len(r.stray), r.stray[0]))
		r.stray = nil
	}
	if t.repeats > 0 {
		t.faults = append(t.faults, fmt.Sprintf("%d deliveries were repeated, though the receiver accepted them", t.repeats))
	}
	if len(t.faults) == 0 {
		return nil
	}
	const most = 5
	return errors.New(strings.Join(t.faults[:min(most, len(t.faults))], "; "))
}

// wait waits until all that t expects has come. It gives up when for two minutes
// nothing comes.
func (r *receiver) wait(ctx context.Context, t *tally) error {
	const patience = 2 * time.Minute
	for before := -1; ; {
		select {
		case <-t.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(patience):
		}
		r.mu.Lock()
		missing := t.missing
		r.mu.Unlock()
		if missing == before {
			return fmt.Errorf("%d of %d messages are missing, and for %s none has come", missing, t.perChat*len(t.lanes), patience)
		}
		before = missing
	}
}

// sent notes when a message of t was sent; it may have arrived.
func (r *receiver) sent(t *tally, c chat, n int, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.lanes[c.key()].sent[n] = at
}

// latencies returns how long the messages took that arrived and whose sending was noted.
func (r *receiver) latencies(t *tally) (took []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range t.lanes {
		for n, at := range l.arrived {
			if !at.IsZero() && !l.sent[n].IsZero() {
				took = append(took, at.Sub(l.sent[n]))
			}
		}
	}
	return took
}

// tally is what came of what one run sent. The receiver's mutex guards it.
type tally struct {
	run     string
	perChat int
	lanes   map[string]*lane
	missing int
	repeats int
	last    time.Time // when the last new message arrived
	faults  []string
	done    chan struct{} // closed when nothing is missing
}

// lane is one chat's part of a tally.
type lane struct {
	next    int         // number of the message that is due
	sent    []time.Time // by number
	arrived []time.Time // by number
	ids     []string    // webhook-id by number
}

// text is the text of the n-th message of a chat, counted from 0.
func (t *tally) text(n int) string { return fmt.Sprintf("%s %d 1", t.run, n) }

// blockText is the text of a block of messages that the network numbers from 1
// on itself, after the text.
func (t *tally) blockText(first int) string { return fmt.Sprintf("%s %d", t.run, first) }

// arrived notes a message. It returns false for one that is not of this run.
func (t *tally) arrived(key, text, id string, at time.Time) bool {
	rest, ok := strings.CutPrefix(text, t.run+" ")
	l := t.lanes[key]
	var first, i int
	if !ok || l == nil {
		return false
	}
	if _, err := fmt.Sscanf(rest, "%d %d", &first, &i); err != nil || first+i-1 < 0 || first+i-1 >= t.perChat {
		return false
	}
	n := first + i - 1
	switch {
	case l.ids[n] != "" && l.ids[n] == id:
		t.repeats++
		return true
	case l.ids[n] != "":
		t.faults = append(t.faults, fmt.Sprintf("message %d of chat %s came twice, under two webhook-ids", n, key))
		return true
	case n != l.next:
		t.faults = append(t.faults, fmt.Sprintf("message %d of chat %s came when %d was due", n, key, l.next))
	}
	l.ids[n], l.next = id, n+1
	if id == "" {
		t.faults = append(t.faults, fmt.Sprintf("message %d of chat %s came without a webhook-id", n, key))
		l.ids[n] = "none"
	}
	l.arrived[n], t.last = at, at
	if t.missing--; t.missing == 0 {
		close(t.done)
	}
	return true
}
