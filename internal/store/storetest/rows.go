package storetest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"pombo"
)

// crashes opens the database, and returns a function that makes it as a crash would:
// nothing more is written, and it is opened again.
func (b *bench) crashes() (crash func()) {
	var down atomic.Bool
	b.fault = func(op string) error {
		if op != "read" && down.Load() {
			return errors.New("the process is dead")
		}
		return nil
	}
	b.open()
	return func() {
		b.t.Helper()
		down.Store(true)
		b.must(b.Close())
		down.Store(false)
		b.open()
	}
}

func ids(ds []pombo.Delivery) []int64 {
	var all []int64
	for _, d := range ds {
		all = append(all, d.ID)
	}
	return all
}

// Deliveries get their rows when there is something to tell of them. A crash before that
// changes nothing of what is pending.
func testRows(t *testing.T, b *bench) {
	crash := b.crashes()
	i, first := b.instance("i")
	second, err := b.AddWebhook(b.ctx(), pombo.Webhook{Instance: i.ID, URL: "http://second", Enabled: true})
	b.must(err)
	b.must(b.Append(b.ctx(), events(i, "a", 1, 4)...))
	ds := b.report()
	if len(ds) != 6 {
		t.Fatalf("%d deliveries are reported, want 6", len(ds))
	}
	later := time.UnixMilli(time.Now().Add(time.Hour).UnixMilli()).UTC()
	b.must(b.Settle(b.ctx(),
		pombo.Attempt{Delivery: ds[0].ID, Number: 1, State: pombo.Delivered, Status: 200},
		pombo.Attempt{Delivery: ds[2].ID, Number: 1, State: pombo.Pending, Status: 500, NextAttempt: later}))
	b.barrier()

	crash()
	for _, c := range []struct {
		hook pombo.Webhook
		want []pombo.Delivery
	}{{first, []pombo.Delivery{ds[2], ds[4]}}, {second, []pombo.Delivery{ds[1], ds[3], ds[5]}}} {
		if c.hook.ID == first.ID {
			c.want[0].Attempts, c.want[0].NextAttempt = 1, later
		}
		got, err := b.Pending(b.ctx(), c.hook.ID, 0, 100)
		b.must(err)
		equal(t, "pending for "+c.hook.URL+" after a crash", got, c.want)
	}
	b.wantState(ds[0].ID, pombo.Delivered, "", 1)

	b.must(b.Append(b.ctx(), event(i, "a", 4)))
	all := b.report()
	if last := all[len(all)-2:]; last[0].ID <= ds[5].ID {
		t.Errorf("after a crash deliveries have the IDs %v again", ids(last))
	}
	// What is made only now had its row made up.
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: ds[4].ID, Number: 1, State: pombo.Delivered, Status: 200}))
	b.barrier()
	crash()
	b.wantState(ds[4].ID, pombo.Delivered, "", 1)
}

// What was removed does not come back, although its event promises it a row, and its ID
// is not given out again.
func testRowsRemoved(t *testing.T, b *bench) {
	b.keep.Delivered, b.keep.Dead = time.Hour, 2*time.Hour
	crash := b.crashes()
	i, first := b.instance("i")
	second, err := b.AddWebhook(b.ctx(), pombo.Webhook{Instance: i.ID, URL: "http://second", Enabled: true})
	b.must(err)
	b.must(b.Append(b.ctx(), event(i, "a", 1)))
	ds := b.report()
	b.must(b.Settle(b.ctx(),
		pombo.Attempt{Delivery: ds[0].ID, Number: 1, State: pombo.Delivered, Status: 200},
		pombo.Attempt{Delivery: ds[1].ID, Number: 1, State: pombo.Dead, Reason: pombo.Rejected, Status: 400}))
	b.barrier()
	expire := func(after time.Duration) {
		t.Helper()
		n, err := b.Expire(b.ctx(), time.Now().Add(after))
		b.must(err)
		equal(t, "removed", n, 1)
	}
	expire(90 * time.Minute) // the event stays: the second is kept
	crash()
	for _, w := range []pombo.Webhook{first, second} {
		got, err := b.Pending(b.ctx(), w.ID, 0, 100)
		b.must(err)
		equal(t, "pending after a crash", ids(got), []int64(nil))
	}
	expire(3 * time.Hour)
	crash()
	b.must(b.Append(b.ctx(), event(i, "a", 2)))
	if last := b.report()[2]; last.ID <= ds[1].ID {
		t.Errorf("delivery %d was removed, and its ID given out again: %d", ds[1].ID, last.ID)
	}
}

// A commit in doubt: deliveries that were made before it, and those that were appended
// by it, are there once.
func testRowsInDoubt(t *testing.T, b *bench) {
	lost := b.losesAnswers()
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), events(i, "a", 1, 4)...))
	ds := b.report()
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: ds[0].ID, Number: 1, State: pombo.Delivered, Status: 200}))
	lost.Store(1)
	wantKind(t, b.Append(b.ctx(), event(i, "a", 4)), pombo.Unavailable)
	b.must(b.Append(b.ctx(), event(i, "a", 4)))
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: ds[1].ID, Number: 1, State: pombo.Delivered, Status: 200}))
	b.must(b.Append(b.ctx(), event(i, "a", 5)))
	got := b.wantPending(w, "a/3", "a/4", "a/5")
	equal(t, "reported", b.report()[2:], got)
	b.wantState(ds[0].ID, pombo.Delivered, "", 1)
	b.wantState(ds[1].ID, pombo.Delivered, "", 1)
}
