package pombotest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pombo/internal/sandbox"
)

// Traffic is contacts that write numbered messages to one account, and the
// account's instance that writes to them. It keeps what was sent, so that a
// Ledger can tell what is missing.
type Traffic struct {
	Instance, Account string

	network *Sandbox
	prefix  string // of the contacts' numbers

	mu      sync.Mutex
	written []int           // by contact: how many messages it has written
	ids     map[string]bool // of the messages that contacts have written
	asked   map[string]bool // texts that the instance was asked to send
	answers []answer        // what was answered with 201
}

type answer struct{ id, chat, text string }

// NewTraffic prepares the contacts of an account; their numbers are the
// account's last four digits after a prefix, and a count.
func NewTraffic(network *Sandbox, instance, account string, chats int) *Traffic {
	return &Traffic{
		Instance: instance, Account: account, network: network,
		prefix: "5521" + account[len(account)-4:], written: make([]int, chats),
		ids: map[string]bool{}, asked: map[string]bool{},
	}
}

// NewContact adds a contact and returns its place.
func (tr *Traffic) NewContact() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.written = append(tr.written, 0)
	return len(tr.written) - 1
}

func (tr *Traffic) chats() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.written)
}

// Contact returns the number of the c-th contact.
func (tr *Traffic) Contact(c int) string { return fmt.Sprintf("%s%05d", tr.prefix, c) }

// Write lets each contact write so many more messages, in turn: "message 0",
// "message 1" and so on.
func (tr *Traffic) Write(t testing.TB, rounds int) {
	t.Helper()
	for range rounds {
		for c := range tr.chats() {
			tr.WriteFrom(t, c)
		}
	}
}

// WriteFrom lets the c-th contact write its next message. Only one goroutine may
// let contacts write.
func (tr *Traffic) WriteFrom(t testing.TB, c int) {
	t.Helper()
	tr.mu.Lock()
	n := tr.written[c]
	tr.mu.Unlock()
	id := tr.network.Write(tr.Contact(c), tr.Account, fmt.Sprintf("message %d", n))
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.ids[id] = true
	tr.written[c]++
}

// Sent returns how many messages the contacts have written.
func (tr *Traffic) Sent() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.ids)
}

// Answer lets the instance write to the c-th contact, over the gateway's API. It
// returns the message's ID if the gateway said that it was sent; while things
// fail on purpose it may say no, but only with an error of the server's and a
// sentence, or that it is not connected.
func (tr *Traffic) Answer(t testing.TB, gateway *Client, c int) (id string, sent bool) {
	t.Helper()
	tr.mu.Lock()
	text := fmt.Sprintf("answer %d", len(tr.asked))
	tr.asked[text] = true
	tr.mu.Unlock()
	number := tr.Contact(c % tr.chats())
	status, body, err := gateway.Try("POST", "/message/sendText/"+url.PathEscape(tr.Instance), map[string]any{"number": number, "text": text})
	switch {
	case err != nil: // the gateway is gone
		return "", false
	case status == http.StatusCreated:
		m := parseMessage(body)
		if m.Key.ID == "" {
			t.Errorf("a text was sent, but the answer has no message ID: %s", body)
			return "", false
		}
		tr.mu.Lock()
		tr.answers = append(tr.answers, answer{m.Key.ID, number, text})
		tr.mu.Unlock()
		return m.Key.ID, true
	case status >= 500, status == http.StatusBadRequest && strings.Contains(string(body), "not connected"):
		if !strings.Contains(string(body), `"message":`) {
			t.Errorf("a text was refused with %d without a sentence: %s", status, body)
		}
		return "", false
	}
	t.Errorf("a text to a number that exists was refused: %d %s", status, body)
	return "", false
}

// Answering lets the instance write to its contacts in turn, one text after the
// other with a pause between, until stop is called, which returns how many were
// sent.
func (tr *Traffic) Answering(t testing.TB, gateway *Client, pause time.Duration) (stop func() int) {
	end, ended := make(chan struct{}), make(chan struct{})
	sent := 0
	go func() {
		defer close(ended)
		for c := 0; ; c++ {
			select {
			case <-end:
				return
			case <-time.After(pause):
			}
			if _, ok := tr.Answer(t, gateway, c); ok {
				sent++
			}
		}
	}()
	return func() int {
		close(end)
		<-ended
		return sent
	}
}

// CheckPhones checks what the contacts' phones have received: each text that the
// gateway said it sent, once, and none that it was not asked to send.
func (tr *Traffic) CheckPhones(t testing.TB) {
	t.Helper()
	tr.mu.Lock()
	answers, asked := slices.Clone(tr.answers), maps.Clone(tr.asked)
	tr.mu.Unlock()
	byID := map[string]sandbox.Message{}
	for _, number := range slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, a := range answers {
			if !yield(a.chat) {
				return
			}
		}
	})) {
		texts := map[string]bool{}
		for _, m := range tr.network.Inbox(number) {
			if m.From != tr.Account {
				continue
			}
			if _, twice := byID[m.ID]; twice || texts[m.Text] {
				t.Errorf("the phone %s received %q (%s) twice", number, m.Text, m.ID)
			}
			if !asked[m.Text] {
				t.Errorf("the phone %s received %q, which nobody asked for", number, m.Text)
			}
			byID[m.ID], texts[m.Text] = m, true
		}
	}
	for _, a := range answers {
		if m, ok := byID[a.id]; !ok || m.To != a.chat || m.Text != a.text {
			t.Errorf("the gateway said that it sent %q (%s) to %s; the phone has %+v", a.text, a.id, a.chat, m)
		}
	}
}

// confirmed returns the messages of contacts that the instance's devices have
// confirmed to the network. It is an error if one was asked for again: what the
// network sends can be decrypted.
func (tr *Traffic) confirmed(t testing.TB) []string {
	t.Helper()
	list, err := tr.network.Confirmed(t.Context(), tr.Account)
	if err != nil {
		t.Fatal(err)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var ids []string
	for _, c := range list {
		if tr.ids[c.ID] {
			ids = append(ids, c.ID)
		}
		if c.Via == "retry" {
			t.Errorf("the gateway asked %s to send the message %s again", c.From, c.ID)
		}
	}
	return ids
}
