package pombotest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// Message is what the events about messages say of theirs.
type Message struct {
	Key struct {
		RemoteJid, RemoteJidAlt, ID string
		FromMe                      bool
	}
	PushName    string
	MessageType string
	Message     json.RawMessage
	Status      string
	KeyID       string
	RemoteJid   string
	Raw         struct {
		Error    string
		Protobuf []byte
	}
}

// rawText returns the text of a message that came as it was, "" if it has none.
func (m Message) rawText() string {
	var content waE2E.Message
	if proto.Unmarshal(m.Raw.Protobuf, &content) != nil {
		return ""
	}
	return content.GetConversation()
}

func parseMessage(data []byte) (m Message) {
	_ = json.Unmarshal(data, &m) // what is not there stays empty
	return m
}

// Message reads what the post says of a message.
func (p Post) Message() Message { return parseMessage(p.Data) }

// Ledger follows what one receiver is told of one account's traffic, and notes
// at once what must never be: a message out of its chat's order, under two
// webhook-ids, or another body under the same webhook-id. What was refused by the
// receiver (no 2xx) does not count as told; what was refused parkedAfter times may
// be overtaken, since it looks like an event that is bad by itself.
type Ledger struct {
	traffic  *Traffic
	receiver *Receiver

	mu     sync.Mutex
	read   int                          // posts looked at
	bodies map[string][sha256.Size]byte // sums of the bodies of all tries, by webhook-id
	told   map[string]bool              // webhook-ids that were taken
	next   map[string]int               // by chat: the number that is due
	// refused counts the posts of an event that were not taken, and passed are the
	// messages that were overtaken after so many, by chat and number.
	refused map[string]int
	passed  map[place]bool
	ids     map[string]bool // messages of contacts
	sent    map[string]int  // messages of the instance, and at which post they were told
	acks    map[string]int  // the same of the first word of a phone about them
	raw     int             // messages that came without translation
	faults  []string
}

// parkedAfter is how often a delivery fails before its chat may go on without it
// (docs/deliveries.md).
const parkedAfter = 5

// place is where a message stands in its chat.
type place struct {
	chat   string
	number int
}

// NewLedger follows the traffic at a receiver.
func NewLedger(tr *Traffic, r *Receiver) *Ledger {
	return &Ledger{
		traffic: tr, receiver: r,
		bodies: map[string][sha256.Size]byte{}, told: map[string]bool{}, next: map[string]int{},
		refused: map[string]int{}, passed: map[place]bool{},
		ids: map[string]bool{}, sent: map[string]int{}, acks: map[string]int{},
	}
}

// Await waits until the receiver was told of every message so far: what contacts
// wrote, and what the instance sent. The test fails a minute after the last post.
func (l *Ledger) Await(t testing.TB) {
	t.Helper()
	done := false
	defer func() {
		if !done {
			t.Logf("missing: %s", l.missing())
		}
	}()
	l.receiver.Until(t, "every message of "+l.traffic.Instance, func(posts []Post) bool {
		l.look(posts)
		return l.complete()
	})
	done = true
}

// Check awaits every message, and checks that each came once, in its chat's
// order, that the phones have what was sent, and that no rule of the network was
// broken.
func (l *Ledger) Check(t testing.TB) {
	t.Helper()
	l.Await(t)
	l.CheckConfirmed(t)
	l.checkAcks()
	l.mu.Lock()
	for i, f := range l.faults {
		if i == 10 {
			t.Errorf("… and %d more", len(l.faults)-i)
			break
		}
		t.Error(f)
	}
	l.mu.Unlock()
	l.traffic.CheckPhones(t)
	l.traffic.network.CheckRules(t)
}

// CheckConfirmed checks that whatever the instance has confirmed to the network
// was told to the receiver, or is told soon.
func (l *Ledger) CheckConfirmed(t testing.TB) {
	t.Helper()
	confirmed := l.traffic.confirmed(t)
	l.receiver.Until(t, fmt.Sprintf("the %d confirmed messages of %s", len(confirmed), l.traffic.Instance), func(posts []Post) bool {
		l.look(posts)
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, id := range confirmed {
			if !l.ids[id] {
				return false
			}
		}
		return true
	})
}

// Told returns how many of the contacts' messages the receiver was told of.
func (l *Ledger) Told() int {
	posts, _, _ := l.receiver.look()
	l.look(posts)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids)
}

// Raw returns how many messages came as they were, without translation.
func (l *Ledger) Raw() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raw
}

func (l *Ledger) complete() bool {
	l.traffic.mu.Lock()
	defer l.traffic.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ids) < len(l.traffic.ids) {
		return false
	}
	for _, a := range l.traffic.answers {
		if l.sent[a.id] == 0 {
			return false
		}
	}
	return true
}

// checkAcks notes what was told of a message before the message itself.
func (l *Ledger) checkAcks() {
	l.traffic.mu.Lock()
	defer l.traffic.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.traffic.answers {
		if ack := l.acks[a.id]; ack > 0 && ack < l.sent[a.id] && l.refused["send.message "+a.id] < parkedAfter {
			l.fault("a receipt for the message %s came before it was told that it is sent", a.id)
		}
	}
}

func (l *Ledger) missing() string {
	l.traffic.mu.Lock()
	defer l.traffic.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d messages came", len(l.ids), len(l.traffic.ids))
	for c, written := range l.traffic.written {
		if n := l.next[l.traffic.Contact(c)]; n < written {
			fmt.Fprintf(&b, "; %s waits for %d of %d", l.traffic.Contact(c), n, written)
		}
	}
	for id := range l.traffic.ids {
		if !l.ids[id] {
			fmt.Fprintf(&b, "; %s", id)
		}
	}
	for _, a := range l.traffic.answers {
		if l.sent[a.id] == 0 {
			fmt.Fprintf(&b, "; SEND_MESSAGE of %s", a.id)
		}
	}
	return b.String()
}

// look reads the posts that came since the last look.
func (l *Ledger) look(posts []Post) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; l.read < len(posts); l.read++ {
		p := posts[l.read]
		if p.Instance != l.traffic.Instance {
			continue
		}
		sum := sha256.Sum256(p.Body)
		if before, again := l.bodies[p.ID()]; again && before != sum {
			l.fault("another body came under the webhook-id %s: %s", p.ID(), p.Body)
		}
		l.bodies[p.ID()] = sum
		if l.told[p.ID()] {
			continue
		}
		if p.Status/100 != 2 {
			l.refuse(p)
			continue
		}
		l.told[p.ID()] = true
		switch p.Event {
		case "messages.upsert":
			l.upsert(p)
		case "send.message":
			id := p.Message().Key.ID
			if l.sent[id] > 0 {
				l.fault("the sent message %s came under two webhook-ids", id)
			}
			l.sent[id] = l.read + 1
		case "messages.update":
			if id := p.Message().KeyID; l.acks[id] == 0 {
				l.acks[id] = l.read + 1
			}
		}
	}
}

func (l *Ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

var numbered = regexp.MustCompile(`message (\d+)`)

func (l *Ledger) upsert(p Post) {
	m := p.Message()
	chat, _, _ := strings.Cut(m.Key.RemoteJid, "@")
	switch {
	case m.Key.FromMe:
		return
	case l.ids[m.Key.ID]:
		l.fault("the message %s came under two webhook-ids", m.Key.ID)
		return
	}
	l.ids[m.Key.ID] = true
	if m.MessageType == "unknown" {
		l.raw++
	}
	n, ok := m.number()
	if !ok {
		l.fault("this is no numbered message: %s", p.Data)
		return
	}
	if late := (place{chat, n}); l.passed[late] {
		delete(l.passed, late)
		return
	}
	due := l.next[chat]
	for ; due < n && l.refused[place{chat, due}.String()] >= parkedAfter; due++ {
		l.passed[place{chat, due}] = true
	}
	if n != due {
		l.fault("chat %s: message %d came when %d was due", chat, n, due)
	}
	l.next[chat] = n + 1
}

// number reads the number that a contact's message has in its chat.
func (m Message) number() (n int, ok bool) {
	text := string(m.Message)
	if m.MessageType == "unknown" {
		text = m.rawText()
	}
	found := numbered.FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	n, _ = strconv.Atoi(found[1]) // digits
	return n, true
}

// refuse counts a post that was not taken.
func (l *Ledger) refuse(p Post) {
	m := p.Message()
	switch n, ok := m.number(); {
	case p.Event == "send.message":
		l.refused["send.message "+m.Key.ID]++
	case p.Event == "messages.upsert" && ok && !m.Key.FromMe:
		chat, _, _ := strings.Cut(m.Key.RemoteJid, "@")
		l.refused[place{chat, n}.String()]++
	}
}

func (p place) String() string { return fmt.Sprintf("%d of %s", p.number, p.chat) }
