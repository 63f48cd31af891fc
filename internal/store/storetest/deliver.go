package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pombo"
)

func testPaging(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	_, v := b.instance("j")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 10)...))
	all := b.pendingOf(w)
	b.wantPending(v)
	var got []pombo.Delivery
	for after := int64(0); ; {
		page, err := b.Pending(b.ctx(), w.ID, after, 3)
		b.must(err)
		if len(page) > 3 {
			t.Fatalf("a page of %d", len(page))
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1].ID
	}
	equal(t, "pages", got, all)
}

func testLanes(t *testing.T, b *bench) {
	b.global = &pombo.Webhook{URL: "http://global", Enabled: true}
	b.open()
	i, w := b.instance("i")
	j, _ := b.instance("j")
	for n := range 4 {
		b.must(b.Append(b.ctx(), event(i, "a", n), event(i, "", n), event(i, "b", n), event(j, "a", n)))
	}
	lane := func(webhook string, l pombo.Lane, after int64, limit int) string {
		t.Helper()
		ds, err := b.PendingInLane(b.ctx(), webhook, l, after, limit)
		b.must(err)
		var keys []string
		for _, d := range ds {
			if d.Lane() != l || d.WebhookID != webhook {
				t.Errorf("delivery %d is of lane %v", d.ID, d.Lane())
			}
			keys = append(keys, d.Event.Key)
		}
		return strings.Join(keys, " ")
	}
	la, own := pombo.Lane{Instance: i.ID, Chat: "a"}, pombo.Lane{Instance: i.ID}
	equal(t, "lane", lane(w.ID, la, 0, 10), "a/0 a/1 a/2 a/3")
	equal(t, "bounded lane", lane(w.ID, la, 0, 2), "a/0 a/1")
	equal(t, "own lane", lane(w.ID, own, 0, 10), "/0 /1 /2 /3")
	equal(t, "other instance at the global webhook", lane(pombo.GlobalWebhookID, pombo.Lane{Instance: j.ID, Chat: "a"}, 0, 10), "a/0 a/1 a/2 a/3")
	first, err := b.PendingInLane(b.ctx(), w.ID, la, 0, 1)
	b.must(err)
	equal(t, "lane after its first", lane(w.ID, la, first[0].ID, 10), "a/1 a/2 a/3")
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: first[0].ID, Number: 1, State: pombo.Delivered}))
	b.barrier()
	equal(t, "lane without its first", lane(w.ID, la, 0, 10), "a/1 a/2 a/3")
	equal(t, "empty lane", lane(w.ID, pombo.Lane{Instance: i.ID, Chat: "z"}, 0, 10), "")
}

func testParked(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	_, v := b.instance("j")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 6)...))
	ds := b.pendingOf(w)
	fail := func(d pombo.Delivery, number int, next time.Time, park bool) pombo.Attempt {
		return pombo.Attempt{Delivery: d.ID, Number: number, Status: 500, State: pombo.Pending, NextAttempt: next, Parked: park}
	}
	soon, late := eventTime.Add(time.Hour), eventTime.Add(50*365*24*time.Hour)
	b.must(b.Settle(b.ctx(), fail(ds[0], 1, late, true), fail(ds[1], 1, soon, false), fail(ds[2], 1, soon, true),
		fail(ds[3], 1, eventTime, true), fail(ds[4], 1, soon, true), fail(ds[5], 1, soon, true),
		pombo.Attempt{Delivery: ds[5].ID, Number: 2, Status: 200, State: pombo.Delivered}))
	b.barrier()
	parked := func(webhook string, limit int) string {
		t.Helper()
		found, err := b.Parked(b.ctx(), webhook, limit)
		b.must(err)
		var keys []string
		for _, d := range found {
			if !d.Parked || d.WebhookID != w.ID || d.Attempts != 1 || d.NextAttempt.IsZero() || len(d.Event.Data) == 0 {
				t.Errorf("not a whole parked delivery: %+v", d)
			}
			keys = append(keys, d.Event.Key)
		}
		return strings.Join(keys, " ")
	}
	equal(t, "parked", parked(w.ID, 10), "a/3 a/2 a/4 a/0")
	equal(t, "the first two", parked(w.ID, 2), "a/3 a/2")
	equal(t, "of another webhook", parked(v.ID, 10), "")
	b.wantPending(w, "a/0", "a/1", "a/2", "a/3", "a/4")
	b.reopen()
	equal(t, "parked after a restart", parked(w.ID, 10), "a/3 a/2 a/4 a/0")
	w.Enabled = false
	_, err := b.PutWebhook(b.ctx(), w)
	b.must(err)
	equal(t, "parked of a webhook that is off", parked(w.ID, 10), "")
}

// More than one transaction makes due, of one webhook, and only what is parked.
func testHurryParked(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	j, v := b.instance("j")
	const n = 1100
	late := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	fail := func(d pombo.Delivery, park bool) {
		b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: d.ID, Number: 1, Status: 500, State: pombo.Pending, NextAttempt: late, Parked: park}))
	}
	b.must(b.Append(b.ctx(), events(i, "a", 0, n)...))
	b.must(b.Append(b.ctx(), events(j, "a", 0, 1)...))
	fail(b.pendingOf(v)[0], true)
	for at, d := range b.pendingOf(w) {
		fail(d, at != 1)
	}
	b.must(b.HurryParked(b.ctx(), w.ID)) // what was settled just now included
	b.must(b.HurryParked(b.ctx(), "nobody"))
	due := 0
	for at, d := range b.pendingOf(w) {
		if !d.NextAttempt.After(time.Now()) {
			due++
		} else if at != 1 || !d.NextAttempt.Equal(late) {
			t.Errorf("the delivery at %d waits until %s", at, d.NextAttempt)
		}
	}
	if due != n-1 {
		t.Errorf("%d are due: want %d", due, n-1)
	}
	if other := b.pendingOf(v)[0]; !other.NextAttempt.Equal(late) {
		t.Errorf("the other webhook's is due at %s", other.NextAttempt)
	}
}

func testWebhookGone(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	_, v := b.instance("j")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 3)...))
	disable := func(id, url string, want bool) {
		t.Helper()
		done, err := b.DisableWebhook(b.ctx(), id, url)
		b.must(err)
		if done != want {
			t.Errorf("switched %s off: %v, want %v", url, done, want)
		}
	}
	count := func(limit, want int) {
		t.Helper()
		n, err := b.CountPending(b.ctx(), w.ID, limit)
		b.must(err)
		if n != want {
			t.Errorf("counted %d of at most %d, want %d", n, limit, want)
		}
	}
	count(10, 3)
	count(2, 2)
	disable(w.ID, "http://another", false)
	disable("nobody", w.URL, false)
	count(10, 3)
	first := b.pendingOf(w)[0].ID
	disable(w.ID, w.URL, true)
	count(10, 0)
	b.wantState(first, pombo.Dead, pombo.Disabled, 0)
	check := func() {
		t.Helper()
		found, ok, err := b.Webhook(b.ctx(), i.ID)
		b.must(err)
		if !ok || found.Enabled || found.URL != w.URL {
			t.Errorf("found %+v", found)
		}
		other, _, err := b.Webhook(b.ctx(), v.Instance)
		b.must(err)
		if !other.Enabled {
			t.Error("another webhook was switched off, too")
		}
	}
	check()
	disable(w.ID, w.URL, false) // it is off
	b.must(b.Append(b.ctx(), events(i, "a", 3, 5)...))
	b.wantPending(w)
	b.reopen()
	check()
	_, err := b.DisableWebhook(b.ctx(), pombo.GlobalWebhookID, "http://global")
	wantKind(t, err, pombo.Invalid)
}

func testSettle(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 5)...))
	ds := b.pendingOf(w)
	next := time.Date(2031, 1, 2, 3, 4, 5, int(6*time.Millisecond), time.UTC)
	at := time.Date(2024, 1, 2, 3, 4, 5, int(7*time.Millisecond), time.UTC)
	retry := pombo.Attempt{
		Delivery: ds[1].ID, Number: 1, At: at, Duration: 1234 * time.Microsecond, Address: "10.0.0.1:443", Status: 503,
		ErrorCode: "status", Error: "the endpoint answered 503", Response: bytes.Repeat([]byte{0, 0xff}, 400),
		State: pombo.Pending, NextAttempt: next,
	}
	again := retry
	again.Number, again.Parked, again.Response = 2, true, nil
	b.must(b.Settle(b.ctx(),
		pombo.Attempt{Delivery: ds[0].ID, Number: 1, At: at, Status: 204, State: pombo.Delivered, Response: make([]byte, 5000)},
		retry, again,
		pombo.Attempt{Delivery: ds[2].ID, Number: 1, At: at, Status: 400, State: pombo.Dead, Reason: pombo.Rejected},
		pombo.Attempt{Delivery: ds[3].ID, Number: 1, At: at, State: pombo.Dead, Reason: pombo.Exhausted},
	))
	check := func() {
		t.Helper()
		b.wantState(ds[0].ID, pombo.Delivered, "", 1)
		b.wantState(ds[1].ID, pombo.Pending, "", 2)
		b.wantState(ds[2].ID, pombo.Dead, pombo.Rejected, 1)
		b.wantState(ds[3].ID, pombo.Dead, pombo.Exhausted, 1)
		b.wantState(ds[4].ID, pombo.Pending, "", 0)
		left := b.wantPending(w, "a/1", "a/4")
		want := ds[1]
		want.Attempts, want.NextAttempt, want.Parked = 2, next, true
		equal(t, "parked delivery", left[0], want)
		attempts, err := b.Attempts(b.ctx(), ds[1].ID)
		b.must(err)
		first := retry
		first.NextAttempt = time.Time{} // only the last attempt's is kept
		equal(t, "attempts", attempts, []pombo.Attempt{first, again})
		attempts, err = b.Attempts(b.ctx(), ds[0].ID)
		b.must(err)
		if len(attempts) != 1 || len(attempts[0].Response) != 1024 || attempts[0].State != pombo.Delivered {
			t.Errorf("attempts of the delivered one: %d", len(attempts))
		}
	}
	b.barrier()
	check()
	b.reopen()
	check()
}

func testSettleTwice(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), event(i, "a", 0)))
	d := b.pendingOf(w)[0]
	first := pombo.Attempt{Delivery: d.ID, Number: 1, Status: 500, State: pombo.Pending, NextAttempt: eventTime}
	second := pombo.Attempt{Delivery: d.ID, Number: 2, Status: 500, State: pombo.Pending, NextAttempt: eventTime.Add(time.Hour)}
	b.must(b.Settle(b.ctx(), first, first, second))
	b.barrier()
	b.must(b.Settle(b.ctx(), first, second))
	// One that is out of date moves nothing either.
	late := first
	late.State, late.NextAttempt = pombo.Delivered, time.Time{}
	b.must(b.Settle(b.ctx(), late, pombo.Attempt{Delivery: 999999, Number: 1, State: pombo.Delivered}))
	b.barrier()
	b.wantState(d.ID, pombo.Pending, "", 2)
	if got := b.delivery(d.ID).NextAttempt; !got.Equal(second.NextAttempt) {
		t.Errorf("next attempt at %v, want %v", got, second.NextAttempt)
	}
	attempts, err := b.Attempts(b.ctx(), d.ID)
	b.must(err)
	if len(attempts) != 2 {
		t.Errorf("%d attempts, want 2", len(attempts))
	}
}

// A result that comes after the webhook was switched off is recorded and
// changes nothing.
func testSettleTooLate(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 2)...))
	ds := b.pendingOf(w)
	w.Enabled = false
	_, err := b.PutWebhook(b.ctx(), w)
	b.must(err)
	b.must(b.Settle(b.ctx(),
		pombo.Attempt{Delivery: ds[0].ID, Number: 1, Status: 500, State: pombo.Pending, NextAttempt: eventTime, Parked: true},
		pombo.Attempt{Delivery: ds[1].ID, Number: 1, Status: 200, State: pombo.Delivered}))
	b.barrier()
	for _, d := range ds {
		b.wantState(d.ID, pombo.Dead, pombo.Disabled, 1)
		attempts, err := b.Attempts(b.ctx(), d.ID)
		b.must(err)
		if len(attempts) != 1 {
			t.Errorf("%d attempts recorded, want 1", len(attempts))
		}
	}
	b.wantPending(w)
}

func testSettleInvalid(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), event(i, "a", 0)))
	d := b.pendingOf(w)[0].ID
	for _, a := range []pombo.Attempt{
		{Delivery: d, Number: 0, State: pombo.Delivered},
		{Delivery: d, Number: 1},
		{Delivery: d, Number: 1, State: "lost"},
		{Delivery: d, Number: 1, State: pombo.Dead},
		{Delivery: d, Number: 1, State: pombo.Dead, Reason: "bored"},
		{Delivery: d, Number: 1, State: pombo.Delivered, Reason: pombo.Disabled},
		{Delivery: d, Number: 1, State: pombo.Pending, Reason: pombo.Disabled},
		{Delivery: d, Number: 1, State: pombo.Delivered, Parked: true},
		{Delivery: d, Number: 1, State: pombo.Dead, Reason: pombo.Rejected, NextAttempt: eventTime},
	} {
		if err := b.Settle(b.ctx(), a); err == nil || pombo.KindOf(err) != pombo.Invalid {
			t.Errorf("settling %+v: %v", a, err)
		}
	}
	b.barrier()
	b.wantState(d, pombo.Pending, "", 0)
}

// Results that cannot be written wait, do not disturb appends, and are written
// as soon as that works, at the latest by Close.
func testSettleFault(t *testing.T, b *bench) {
	var broken atomic.Bool
	failed := make(chan struct{}, 1000)
	b.fault = func(op string) error {
		if op == "settle" && broken.Load() {
			failed <- struct{}{}
			return errors.New("disk full")
		}
		return nil
	}
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 2)...))
	ds := b.pendingOf(w)
	broken.Store(true)
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: ds[0].ID, Number: 1, State: pombo.Delivered}))
	<-failed
	for n := range 50 {
		b.must(b.Append(b.ctx(), event(i, "b", n)))
	}
	b.wantState(ds[0].ID, pombo.Pending, "", 0)
	broken.Store(false)
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: ds[1].ID, Number: 1, State: pombo.Delivered}))
	b.reopen()
	b.wantState(ds[0].ID, pombo.Delivered, "", 1)
	b.wantState(ds[1].ID, pombo.Delivered, "", 1)
}

// More results than the queue holds, from several goroutines, beside appends.
func testSettleParallel(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	const lanes, each = 8, 200
	var wg sync.WaitGroup
	for l := range lanes {
		wg.Go(func() {
			chat := fmt.Sprint(l)
			if err := b.Append(b.ctx(), events(i, chat, 0, each)...); err != nil {
				t.Errorf("append: %v", err)
			}
			ds, err := b.PendingInLane(b.ctx(), w.ID, pombo.Lane{Instance: i.ID, Chat: chat}, 0, each)
			if err != nil {
				t.Errorf("pending: %v", err)
			}
			for _, d := range ds {
				for n, state := range []pombo.DeliveryState{pombo.Pending, pombo.Delivered} {
					if err := b.Settle(b.ctx(), pombo.Attempt{Delivery: d.ID, Number: n + 1, State: state}); err != nil {
						t.Errorf("settle: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.reopen()
	b.wantPending(w)
	for _, d := range b.report() {
		b.wantState(d.ID, pombo.Delivered, "", 2)
	}
}

func testClosed(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), event(i, "a", 0)))
	d := b.pendingOf(w)[0]
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: d.ID, Number: 1, State: pombo.Delivered}))
	closed := b.Store
	b.reopen()
	b.wantState(d.ID, pombo.Delivered, "", 1)
	wantKind(t, closed.Append(context.Background(), event(i, "a", 1)), pombo.Unavailable)
	wantKind(t, closed.Settle(context.Background(), pombo.Attempt{Delivery: d.ID, Number: 2, State: pombo.Delivered}), pombo.Unavailable)
	_, err := closed.Pending(context.Background(), w.ID, 0, 1)
	wantKind(t, err, pombo.Unavailable)
	b.must(closed.Close()) // a second time
}
