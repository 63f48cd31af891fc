package storetest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"pombo"
	"pombo/internal/store"
)

// settle records one attempt of each delivery.
func (b *bench) settle(state pombo.DeliveryState, reason pombo.DeadReason, ds ...pombo.Delivery) {
	b.t.Helper()
	for _, d := range ds {
		now := b.delivery(d.ID)
		a := pombo.Attempt{Delivery: d.ID, Number: now.Attempts + 1, At: time.Now(), Status: 200, Address: "10.0.0.1:80", State: state, Reason: reason}
		if state != pombo.Delivered {
			a.Status, a.ErrorCode, a.Error = 400, "status", "The endpoint answered 400."
		}
		b.must(b.Settle(b.ctx(), a))
		b.barrier()
	}
}

// list returns the keys of the deliveries that q chooses, all pages together.
func (b *bench) list(q pombo.DeliveryQuery) string {
	b.t.Helper()
	var keys []string
	for {
		page, err := b.Deliveries(b.ctx(), q)
		b.must(err)
		for _, d := range page {
			keys = append(keys, d.Event.Key)
			c := d.Cursor()
			q.Before = &c
		}
		if len(page) < q.Limit {
			return strings.Join(keys, " ")
		}
		if len(page) > q.Limit {
			b.t.Fatalf("a page of %d", len(page))
		}
	}
}

func testDeliveries(t *testing.T, b *bench) {
	b.global = &pombo.Webhook{URL: "http://global", Enabled: true, Events: []pombo.EventName{pombo.Call}}
	b.open()
	i, w := b.instance("i")
	j, _ := b.instance("j")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 3)...))
	b.must(b.Append(b.ctx(), event(i, "b", 3), event(j, "a", 0)))
	call := event(i, "c", 4)
	call.Name = pombo.Call
	b.must(b.Append(b.ctx(), call))
	ds := b.pendingOf(w)
	b.settle(pombo.Delivered, "", ds[0])
	b.settle(pombo.Dead, pombo.Rejected, ds[1])
	for _, limit := range []int{1, 2, 100} {
		for want, q := range map[string]pombo.DeliveryQuery{
			"c/4 c/4 b/3 a/2 a/1 a/0": {},
			"a/0":                     {State: pombo.Delivered},
			"a/1":                     {State: pombo.Dead},
			"c/4 c/4 b/3 a/2":         {State: pombo.Pending},
			"a/2":                     {State: pombo.Pending, Chat: "a"},
			"a/2 a/1 a/0":             {Chat: "a"},
			"c/4 c/4":                 {Event: pombo.Call},
			"c/4":                     {Event: pombo.Call, Webhook: w.ID, State: pombo.Pending},
			"c/4 b/3 a/2 a/1 a/0":     {Webhook: w.ID},
			"":                        {Webhook: "another"},
		} {
			q.Instance, q.Global, q.Limit = i.ID, true, limit
			equal(t, fmt.Sprintf("%+v", q), b.list(q), want)
		}
	}
	all, err := b.Deliveries(b.ctx(), pombo.DeliveryQuery{Instance: i.ID, Webhook: w.ID, Limit: 10})
	b.must(err)
	dead := all[3]
	if dead.State != pombo.Dead || dead.Reason != pombo.Rejected || dead.Attempts != 1 || dead.EndedAt.IsZero() || dead.MessageID != ds[1].MessageID ||
		dead.Last == nil || dead.Last.Status != 400 || dead.Last.ErrorCode != "status" || dead.Last.Address == "" || dead.Event.Data != nil {
		t.Errorf("the dead one is %+v, last %+v", dead, dead.Last)
	}
	if all[0].Last != nil {
		t.Errorf("one that was not tried has the attempt %+v", all[0].Last)
	}
	from, to := all[3].CreatedAt, all[0].CreatedAt
	for want, q := range map[string]pombo.DeliveryQuery{
		"": {From: to.Add(time.Millisecond)},
		b.list(pombo.DeliveryQuery{Instance: i.ID, Global: true, Limit: 100}): {From: from, To: to.Add(time.Millisecond)},
	} {
		q.Instance, q.Global, q.Limit = i.ID, true, 100
		equal(t, "range", b.list(q), want)
	}
	// Those to the global webhook are not for an instance's own key.
	global := b.pendingOf(pombo.Webhook{ID: pombo.GlobalWebhookID})[0]
	equal(t, "own ones", b.list(pombo.DeliveryQuery{Instance: i.ID, Limit: 100}), "c/4 b/3 a/2 a/1 a/0")
	equal(t, "own ones", b.list(pombo.DeliveryQuery{Instance: i.ID, Webhook: pombo.GlobalWebhookID, Limit: 100}), "")
	_, err = b.SeeDelivery(b.ctx(), i.ID, global.ID, false)
	wantKind(t, err, pombo.NotFound)
	_, err = b.SeeDelivery(b.ctx(), i.ID, global.ID, true)
	b.must(err)
	for _, c := range []struct {
		global  bool
		missing int
	}{{false, 1}, {true, 0}} {
		r, _, err := b.Replay(b.ctx(), pombo.Replay{IDs: []int64{global.ID}, DryRun: true, Query: pombo.DeliveryQuery{Instance: i.ID, Global: c.global}})
		b.must(err)
		equal(t, "missing", r.Missing, c.missing)
	}
	health, err := b.Health(b.ctx(), i.ID, true)
	b.must(err)
	if len(health) != 2 || health[1].Webhook.ID != pombo.GlobalWebhookID || health[1].Backlog != 1 {
		t.Errorf("health %+v", health)
	}
	detail, err := b.SeeDelivery(b.ctx(), i.ID, ds[1].ID, false)
	b.must(err)
	if len(detail.Attempts) != 1 || string(detail.Event.Data) != string(ds[1].Event.Data) || detail.State != pombo.Dead {
		t.Errorf("detail %+v", detail)
	}
	_, err = b.SeeDelivery(b.ctx(), j.ID, ds[1].ID, true)
	wantKind(t, err, pombo.NotFound)

	// What a webhook's mark ended is dead before its rows say so.
	w.Enabled = false
	_, err = b.PutWebhook(b.ctx(), w)
	b.must(err)
	equal(t, "dead ones", b.list(pombo.DeliveryQuery{Instance: i.ID, Webhook: w.ID, State: pombo.Dead, Limit: 10}), "c/4 b/3 a/2 a/1")
}

func testReplay(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	j, _ := b.instance("j")
	off, err := b.AddWebhook(b.ctx(), pombo.Webhook{Instance: i.ID, URL: "http://off", Enabled: true, Events: []pombo.EventName{pombo.Call}})
	b.must(err)
	b.must(b.Append(b.ctx(), events(i, "a", 0, 4)...))
	call := event(i, "c", 4)
	call.Name = pombo.Call
	b.must(b.Append(b.ctx(), call, event(j, "a", 0)))
	ds := b.pendingOf(w)
	b.settle(pombo.Delivered, "", ds[0], ds[4])
	b.settle(pombo.Dead, pombo.Exhausted, ds[1], ds[2])
	toOff := b.pendingOf(off)
	off.Enabled = false
	_, err = b.PutWebhook(b.ctx(), off)
	b.must(err)

	replay := func(r pombo.Replay, want pombo.ReplayResult, touched ...string) {
		t.Helper()
		r.Query.Instance = i.ID
		got, hooks, err := b.Replay(b.ctx(), r)
		b.must(err)
		equal(t, "replay", got, want)
		equal(t, "touched", hooks, touched)
	}
	ids := []int64{ds[0].ID, ds[1].ID, ds[1].ID, ds[3].ID, toOff[0].ID, 999999}
	count := pombo.ReplayResult{Matched: 4, Replayed: 2, Pending: 1, Off: 1, Missing: 1}
	replay(pombo.Replay{IDs: ids, DryRun: true}, count)
	b.wantState(ds[1].ID, pombo.Dead, pombo.Exhausted, 1)
	before := time.Now().Add(-time.Second)
	replay(pombo.Replay{IDs: ids}, count, w.ID)
	left := b.wantPending(w, "a/0", "a/1", "a/3")
	again := left[1]
	if again.MessageID != ds[1].MessageID || again.Attempts != 1 || again.AttemptsBefore != 1 || again.ReplayedAt.Before(before) || !again.Since().Equal(again.ReplayedAt) || !again.EndedAt.IsZero() {
		t.Errorf("replayed: %+v", again)
	}
	b.settle(pombo.Delivered, "", ds[1])
	b.wantState(ds[1].ID, pombo.Delivered, "", 2)
	attempts, err := b.Attempts(b.ctx(), ds[1].ID)
	b.must(err)
	if len(attempts) != 2 || attempts[0].Status != 400 || attempts[1].Status != 200 {
		t.Errorf("attempts %+v", attempts)
	}
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: ds[3].ID, Number: 1, State: pombo.Pending, NextAttempt: time.Now().Add(time.Hour), Parked: true}))
	b.barrier()
	replay(pombo.Replay{IDs: []int64{ds[3].ID}}, pombo.ReplayResult{Matched: 1, Pending: 1}, w.ID)
	if d := b.delivery(ds[3].ID); d.NextAttempt.After(time.Now()) || !d.Parked || d.Attempts != 1 || !d.ReplayedAt.IsZero() {
		t.Errorf("due at once: %+v", d)
	}
	replay(pombo.Replay{Query: pombo.DeliveryQuery{State: pombo.Dead}}, pombo.ReplayResult{Matched: 2, Replayed: 1, Off: 1}, w.ID)
	b.wantPending(w, "a/0", "a/2", "a/3")
	replay(pombo.Replay{Query: pombo.DeliveryQuery{State: pombo.Delivered, Event: pombo.Call, From: before.Add(-time.Hour), To: time.Now().Add(time.Hour)}},
		pombo.ReplayResult{Matched: 1, Replayed: 1}, w.ID)
	b.wantPending(w, "a/0", "a/2", "a/3", "c/4")
	b.reopen()
	b.wantPending(w, "a/0", "a/2", "a/3", "c/4")
	_, _, err = b.Replay(b.ctx(), pombo.Replay{Query: pombo.DeliveryQuery{Instance: i.ID}, IDs: make([]int64, 10_001)})
	wantKind(t, err, pombo.Invalid)
}

// A replay of more than one step comes back in the order in which it was
// appended; also right after a webhook with a long backlog was switched off and on.
func testReplayOrder(t *testing.T, b *bench) {
	const n = 6_000 // more than are ended at once, and than one step replays
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), events(i, "a", 0, n)...))
	w.Enabled = false
	_, err := b.PutWebhook(b.ctx(), w)
	b.must(err)
	w.Enabled = true
	_, err = b.PutWebhook(b.ctx(), w)
	b.must(err)
	b.wantPending(w)
	got, _, err := b.Replay(b.ctx(), pombo.Replay{Query: pombo.DeliveryQuery{Instance: i.ID, State: pombo.Dead}})
	b.must(err)
	equal(t, "replay", got, pombo.ReplayResult{Matched: n, Replayed: n})
	left := b.pendingOf(w)
	if len(left) != n {
		t.Fatalf("%d pending, want %d", len(left), n)
	}
	for k, d := range left {
		if want := fmt.Sprintf("a/%d", k); d.Event.Key != want {
			t.Fatalf("number %d is %s", k, d.Event.Key)
		}
	}
	equal(t, "pending", len(strings.Fields(b.list(pombo.DeliveryQuery{Instance: i.ID, State: pombo.Pending, Limit: 500}))), n)
}

func testHealth(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 5)...))
	ds := b.pendingOf(w)
	b.settle(pombo.Delivered, "", ds[0])
	b.settle(pombo.Pending, "", ds[1])
	check := func() {
		t.Helper()
		all, err := b.Health(b.ctx(), i.ID, false)
		b.must(err)
		h := all[0]
		if len(all) != 1 || h.Webhook.ID != w.ID || h.Backlog != 4 || !h.Oldest.Equal(ds[1].CreatedAt) || h.Attempts != 2 || h.Successes != 1 || time.Since(h.LastSuccess) > time.Hour {
			t.Errorf("health %+v", all)
		}
		backlogs, err := b.Backlogs(b.ctx())
		b.must(err)
		equal(t, "backlogs", backlogs, []store.Backlog{{WebhookID: w.ID, Instance: i.ID, Pending: 4, Oldest: ds[1].CreatedAt}})
	}
	check()
	b.reopen() // counts are written down
	check()
}

// What ended long enough ago goes, with its event, and what only it needed.
func testRetention(t *testing.T, b *bench) {
	b.keep = store.Retention{Delivered: time.Hour, Dead: 2 * time.Hour}
	b.open()
	i, w := b.instance("i")
	gone, _ := b.instance("gone")
	second, err := b.AddWebhook(b.ctx(), pombo.Webhook{Instance: i.ID, URL: "http://two", Enabled: true})
	b.must(err)
	b.must(b.Append(b.ctx(), events(i, "a", 0, 3)...))
	b.must(b.Append(b.ctx(), event(gone, "x", 0)))
	first, other := b.pendingOf(w), b.pendingOf(second)
	b.settle(pombo.Delivered, "", first[0], first[1], other[0], other[1])
	b.settle(pombo.Dead, pombo.Rejected, first[2])
	b.must(b.RemoveWebhook(b.ctx(), i.ID, second.ID))
	b.must(b.GiveUp(b.ctx(), gone.ID))
	b.must(b.DeleteInstance(b.ctx(), gone.ID))

	exists := func(ds []pombo.Delivery) (n int) {
		t.Helper()
		for _, d := range ds {
			_, ok, err := b.Delivery(b.ctx(), d.ID)
			b.must(err)
			if ok {
				n++
			}
		}
		return n
	}
	sweep := func(later time.Duration, want int) {
		t.Helper()
		removed, err := b.Expire(b.ctx(), time.Now().Add(later))
		b.must(err)
		equal(t, "removed", removed, want)
	}
	sweep(30*time.Minute, 0)
	sweep(90*time.Minute, 4)
	equal(t, "first and second webhook's", []int{exists(first), exists(other)}, []int{1, 1})
	if _, _, ok, err := b.Identity(b.ctx(), gone.ID); !ok || err != nil {
		t.Errorf("a deleted instance with a delivery is gone: %v", err)
	}
	sweep(150*time.Minute, 3)
	equal(t, "deliveries", exists(first)+exists(other), 0)
	if _, _, ok, err := b.Identity(b.ctx(), gone.ID); ok || err != nil {
		t.Errorf("a deleted instance without deliveries is still there: %v", err)
	}
	if _, ok, err := b.WebhookByID(b.ctx(), second.ID); ok || err != nil {
		t.Errorf("a removed webhook without deliveries is still there: %v", err)
	}
	// Pending ones stay however old they are, and a key whose event is gone can be
	// stored again.
	b.must(b.Append(b.ctx(), event(i, "a", 0)))
	sweep(1000*time.Hour, 0)
	b.wantPending(w, "a/0")
}

// A database at its limit takes nothing in, and recovers by itself: by the history
// of what was delivered, and by what ends.
func testMaxDisk(t *testing.T, b *bench) {
	b.open()
	empty := b.Usage().Used
	b.max = empty + 4<<20
	b.reopen()
	i, w := b.instance("i")
	large := func(n int) pombo.Event {
		e := event(i, fmt.Sprint(n%7), n)
		random := make([]byte, 48<<10) // PostgreSQL compresses what can be
		_, _ = rand.Read(random)
		e.Data = []byte(`"` + base64.StdEncoding.EncodeToString(random) + `"`)
		return e
	}
	fill := func(from int) int {
		t.Helper()
		for n := from; n < from+1000; n++ {
			err := b.Append(b.ctx(), large(n))
			if err != nil {
				wantKind(t, err, pombo.Unavailable)
				if !strings.Contains(err.Error(), "POMBO_MAX_DISK") {
					t.Errorf("refused with %v", err)
				}
				return n
			}
			b.must(b.Measure(b.ctx()))
		}
		t.Fatal("the limit was not reached")
		return 0
	}
	n := fill(0)
	if used := b.Usage(); !used.Full || used.Used < b.max || used.Used > b.max+1<<20 {
		t.Errorf("refused at %+v", used)
	}
	wantKind(t, b.Ping(b.ctx()), pombo.Unavailable)
	wantKind(t, b.PutSent(b.ctx(), pombo.SentMessage{Instance: i.ID, ID: "x"}), pombo.Unavailable)
	// Deliveries end meanwhile, and so do instances.
	for _, d := range b.pendingOf(w) {
		b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: d.ID, Number: d.Attempts + 1, State: pombo.Delivered}))
	}
	b.wantPending(w)
	b.must(b.UpdateInstance(b.ctx(), i))
	for end := time.Now().Add(3 * time.Minute); ; {
		err := b.Append(b.ctx(), large(n))
		if err == nil {
			break
		}
		wantKind(t, err, pombo.Unavailable)
		if time.Now().After(end) {
			t.Fatalf("it does not recover: %+v", b.Usage())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	b.must(b.Ping(b.ctx()))
	if used := b.Usage(); used.Used >= b.max {
		t.Errorf("recovered at %+v", used)
	}
	// The files did not grow beyond it, however much went through.
	n = fill(n + 1)
	if used := b.Usage(); used.File > b.max+2<<20 && !strings.HasPrefix(b.uri, "postgres") {
		t.Errorf("after %d events: %+v", n, used)
	}
}
