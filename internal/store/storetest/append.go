package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pombo"
	"pombo/internal/store"
)

// What is appended is pending for whoever wants it, complete, and reported
// exactly as it is read back, now and after a restart.
func testAppend(t *testing.T, b *bench) {
	b.global = &pombo.Webhook{URL: "http://global", Enabled: true, Events: []pombo.EventName{pombo.MessagesUpsert}}
	b.open()
	i, all := b.instance("all")
	j, some := b.instance("some", pombo.ConnectionUpdate)
	before := time.Now().Add(-time.Millisecond)
	connected := pombo.Event{Instance: j.ID, Name: pombo.ConnectionUpdate, Key: "c1", Data: []byte(`{"state":"open"}`)}
	unwanted := pombo.Event{Instance: j.ID, Name: pombo.Call, Key: "x", Data: []byte(`{}`)}
	b.must(b.Append(b.ctx(), event(i, "a", 1), event(j, "b", 1), connected, unwanted))

	mine := b.wantPending(all, "a/1")
	b.wantPending(some, "c1")
	global := b.wantPending(pombo.Webhook{ID: pombo.GlobalWebhookID}, "a/1", "b/1")

	d := mine[0]
	want := event(i, "a", 1)
	want.ID = d.Event.ID
	equal(t, "event", d.Event, want)
	if d.WebhookID != all.ID || d.State != pombo.Pending || d.Reason != "" || d.Attempts != 0 || d.Parked || !d.NextAttempt.IsZero() {
		t.Errorf("a new delivery is %+v", d)
	}
	if d.CreatedAt.Before(before) || d.CreatedAt.After(time.Now()) {
		t.Errorf("created at %v, appended between %v and now", d.CreatedAt, before)
	}
	if global[0].Event.ID != d.Event.ID {
		t.Error("the event was stored twice for two webhooks")
	}
	if c := b.pendingOf(some)[0].Event; c.Time.IsZero() {
		t.Error("an event without a time got none")
	}

	read := append(append(b.pendingOf(all), b.pendingOf(some)...), global...)
	byID := map[int64]pombo.Delivery{}
	ids := map[string]bool{}
	for _, d := range read {
		byID[d.ID] = d
		ids[d.MessageID] = true
		if !strings.HasPrefix(d.MessageID, "msg_") {
			t.Errorf("message id %q", d.MessageID)
		}
	}
	if len(ids) != len(read) {
		t.Error("message ids repeat")
	}
	reported := b.report()
	if len(reported) != len(read) {
		t.Fatalf("%d deliveries reported, %d stored", len(reported), len(read))
	}
	for _, d := range reported {
		equal(t, "reported and stored delivery", d, byID[d.ID])
	}

	b.reopen()
	equal(t, "delivery after a restart", b.wantPending(all, "a/1")[0], d)
	withPending, err := b.WebhooksWithPending(b.ctx())
	b.must(err)
	if len(withPending) != 3 {
		t.Errorf("webhooks with pending deliveries: %q", withPending)
	}
}

// Lists of all sizes keep their order, whatever the sizes of statements.
func testAppendSizes(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	n := 0
	for _, size := range []int{0, 1, 2, 3, 4, 5, 17, 63, 64, 65, 200, 1203} {
		b.must(b.Append(b.ctx(), events(i, "c", n, n+size)...))
		n += size
	}
	ds := b.pendingOf(w)
	if len(ds) != n {
		t.Fatalf("%d pending, %d appended", len(ds), n)
	}
	for k, d := range ds {
		if d.Event.Key != fmt.Sprintf("c/%d", k) {
			t.Fatalf("delivery %d is %s", k, d.Event.Key)
		}
		if k > 0 && d.Event.ID <= ds[k-1].Event.ID {
			t.Fatalf("event %d has id %d after %d", k, d.Event.ID, ds[k-1].Event.ID)
		}
	}
}

func testAppendTwice(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	j, v := b.instance("j")
	b.must(b.Append(b.ctx(), event(i, "a", 1), event(i, "a", 1), event(i, "a", 2)))
	b.must(b.Append(b.ctx(), event(i, "a", 2), event(i, "a", 3), event(j, "a", 1)))
	changed := event(i, "a", 1)
	changed.Data = []byte(`"another"`)
	b.must(b.Append(b.ctx(), changed))
	other := event(i, "a", 1)
	other.Name = pombo.MessagesUpdate
	b.must(b.Append(b.ctx(), other))
	check := func() {
		t.Helper()
		ds := b.wantPending(w, "a/1", "a/2", "a/3", "a/1")
		if string(ds[0].Event.Data) != string(event(i, "a", 1).Data) {
			t.Errorf("a repeated append changed the event to %s", ds[0].Event.Data)
		}
		b.wantPending(v, "a/1")
		if n := len(b.report()); n != 5 {
			t.Errorf("%d deliveries reported, want 5", n)
		}
	}
	check()
	b.reopen()
	b.must(b.Append(b.ctx(), events(i, "a", 1, 4)...))
	check()
	// Also what has been delivered is not made again.
	first := b.pendingOf(w)[0]
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: first.ID, Number: 1, State: pombo.Delivered, Status: 200}))
	b.must(b.Append(b.ctx(), event(i, "a", 1)))
	b.wantPending(w, "a/2", "a/3", "a/1")
}

func testAppendInvalid(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	for name, spoil := range map[string]func(*pombo.Event){
		"no instance": func(e *pombo.Event) { e.Instance = "" },
		"no name":     func(e *pombo.Event) { e.Name = "" },
		"no key":      func(e *pombo.Event) { e.Key = "" },
		"no data":     func(e *pombo.Event) { e.Data = nil },
	} {
		e := event(i, "a", 2)
		spoil(&e)
		err := b.Append(b.ctx(), event(i, "a", 1), e)
		if err == nil || pombo.KindOf(err) != pombo.Invalid {
			t.Errorf("%s: error %v", name, err)
		}
	}
	b.wantPending(w)
}

// No text that WhatsApp may hand over is refused by a database.
func testAppendStrange(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	long := strings.Repeat("é", 3000)
	for n, s := range []string{"a\x00b", "\xff\xfe", long, long + "x", "'; DROP TABLE pombo_event; --", "$1 ?1 :a @b", "\U0001F54A"} {
		e := event(i, s, n)
		e.Key, e.Sender = s, s
		e.Data = []byte(`"` + strings.Repeat("\\u0000\U0001F54A", 100) + `"`)
		b.must(b.Append(b.ctx(), e))
		b.must(b.Append(b.ctx(), e))
	}
	ds := b.pendingOf(w)
	if len(ds) != 7 {
		t.Fatalf("%d pending, want 7", len(ds))
	}
	equal(t, "reported", b.report(), ds)
	for _, d := range ds {
		in, err := b.PendingInLane(b.ctx(), w.ID, d.Lane(), 0, 10)
		b.must(err)
		if len(in) != 1 || in[0].ID != d.ID {
			t.Errorf("lane %q holds %d deliveries", d.Lane().Chat, len(in))
		}
	}
}

func testAppendCancelled(t *testing.T, b *bench) {
	enter, leave := make(chan struct{}), make(chan struct{})
	var block atomic.Bool
	b.fault = func(op string) error {
		if op == "append" && block.CompareAndSwap(true, false) {
			close(enter)
			<-leave
		}
		return nil
	}
	b.open()
	i, w := b.instance("i")
	ended, cancel := context.WithCancel(b.ctx())
	cancel()
	if err := b.Append(ended, event(i, "a", 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("append with an ended context: %v", err)
	}
	// The first append is in the committer's hands, the second waits in line.
	block.Store(true)
	ctx, cancel := context.WithCancel(b.ctx())
	results := make(chan error, 2)
	go func() { results <- b.Append(ctx, event(i, "a", 1)) }()
	<-enter
	go func() { results <- b.Append(ctx, event(i, "a", 2)) }()
	cancel()
	for range 2 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("append whose context ended: %v", err)
		}
	}
	close(leave)
	// What was in hand commits, what waited was withdrawn. A caller in doubt
	// repeats both.
	b.must(b.Append(b.ctx(), event(i, "a", 1), event(i, "a", 2)))
	b.wantPending(w, "a/1", "a/2")
}

// Many callers at once: each is answered after its commit and report, and
// everyone's order is kept.
func testAppendParallel(t *testing.T, b *bench) {
	b.open()
	const callers, each = 40, 25
	i, w := b.instance("i")
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			chat := fmt.Sprintf("chat%d", c)
			for n := range each {
				if err := b.Append(b.ctx(), event(i, chat, n)); err != nil {
					t.Errorf("append: %v", err)
					return
				}
				b.mu.Lock()
				found := false
				for k := len(b.reported) - 1; k >= 0 && !found; k-- {
					found = b.reported[k].Event.Key == fmt.Sprintf("%s/%d", chat, n)
				}
				b.mu.Unlock()
				if !found {
					t.Errorf("append of %s/%d returned before it was reported", chat, n)
				}
			}
		})
	}
	wg.Wait()
	ds := b.pendingOf(w)
	equal(t, "reported", b.report(), ds)
	next := map[string]int{}
	for _, d := range ds {
		if want := fmt.Sprintf("%s/%d", d.Event.Chat, next[d.Event.Chat]); d.Event.Key != want {
			t.Fatalf("%s comes when %s is next", d.Event.Key, want)
		}
		next[d.Event.Chat]++
	}
	if len(ds) != callers*each {
		t.Errorf("%d pending, want %d", len(ds), callers*each)
	}
}

func testAppendFault(t *testing.T, b *bench) {
	full := errors.New("disk full")
	var broken atomic.Bool
	b.fault = func(string) error {
		if broken.Load() {
			return full
		}
		return nil
	}
	b.open()
	i, w := b.instance("i")
	broken.Store(true)
	err := b.Append(b.ctx(), event(i, "a", 1))
	wantKind(t, err, pombo.Unavailable)
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, full) {
		t.Errorf("error %v does not tell what happened", err)
	}
	_, err = b.Pending(b.ctx(), w.ID, 0, 1)
	wantKind(t, err, pombo.Unavailable)
	wantKind(t, b.Ping(b.ctx()), pombo.Unavailable)
	broken.Store(false)
	b.must(b.Append(b.ctx(), event(i, "a", 1)))
	b.wantPending(w, "a/1")
	b.must(b.Ping(b.ctx()))
	if n := len(b.report()); n != 1 {
		t.Errorf("%d deliveries reported, want 1", n)
	}
}

// A commit that took place although its answer was lost: the caller is told to
// try again, nothing is stored twice, and what was stored is reported once.
func testAppendAnswerLost(t *testing.T, b *bench) {
	lost := b.losesAnswers()
	b.open()
	i, w := b.instance("i")
	lost.Store(1)
	wantKind(t, b.Append(b.ctx(), event(i, "a", 1)), pombo.Unavailable)
	b.must(b.Append(b.ctx(), event(i, "a", 1), event(i, "a", 2)))
	equal(t, "reported", b.report(), b.wantPending(w, "a/1", "a/2"))

	// The same where nobody asks again: it is reported all the same.
	got := make(chan struct{})
	lost.Store(1)
	wantKind(t, b.Append(b.ctx(), event(i, "a", 3)), pombo.Unavailable)
	go func() {
		defer close(got)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for len(b.report()) < 3 {
			select {
			case <-tick.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
	select {
	case <-got:
	case <-b.ctx().Done():
		t.Fatal("a delivery whose commit was in doubt was never reported")
	}
	equal(t, "reported", b.report(), b.wantPending(w, "a/1", "a/2", "a/3"))
}
