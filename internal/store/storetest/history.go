package storetest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"pombo"
)

// nextHistory reads the part to fetch next, which must be this one.
func (b *bench) nextHistory(instance pombo.InstanceID, now time.Time, id string) pombo.HistoryPart {
	b.t.Helper()
	p, ok, err := b.NextHistory(b.ctx(), instance, now)
	b.must(err)
	if !ok || p.ID != id {
		b.t.Fatalf("the next part is %q (%t), want %q", p.ID, ok, id)
	}
	return p
}

func (b *bench) noHistory(instance pombo.InstanceID) {
	b.t.Helper()
	if p, ok, err := b.NextHistory(b.ctx(), instance, eventTime); ok || err != nil {
		b.t.Fatalf("there is a part %q, %v", p.ID, err)
	}
}

// Parts come oldest first, those that may be tried now before those that have to
// wait, and stay over a restart.
func testHistory(t *testing.T, b *bench) {
	b.open()
	first := pombo.HistoryPart{Instance: "i", ID: "A", Notification: []byte{0, 1, 0xff}, ReceivedAt: eventTime}
	second := pombo.HistoryPart{Instance: "i", ID: "B", Notification: []byte("b"), ReceivedAt: eventTime}
	other := pombo.HistoryPart{Instance: "j", ID: "A", Notification: []byte("j"), ReceivedAt: eventTime}
	for _, p := range []pombo.HistoryPart{first, second, other} {
		b.must(b.PutHistory(b.ctx(), p))
	}
	again := first
	again.Notification = []byte("changed")
	b.must(b.PutHistory(b.ctx(), again))
	equal(t, "part", b.nextHistory("i", eventTime, "A"), first)
	b.noHistory("none")

	first.Attempts, first.NextAttempt, first.Notification = 1, eventTime.Add(time.Minute), []byte("elsewhere")
	b.must(b.TellHistory(b.ctx(), first))
	b.nextHistory("i", eventTime, "B")
	equal(t, "part whose time has come", b.nextHistory("i", eventTime.Add(time.Minute), "A"), first)
	second.NextAttempt = eventTime.Add(time.Hour)
	b.must(b.TellHistory(b.ctx(), second))
	b.reopen()
	equal(t, "part that may be tried first", b.nextHistory("i", eventTime, "A"), first)

	b.must(b.EndHistory(b.ctx(), "i", "A"))
	b.must(b.EndHistory(b.ctx(), "i", "A"))
	b.must(b.PutHistory(b.ctx(), first)) // its announcement comes again
	equal(t, "the other part", b.nextHistory("i", eventTime, "B"), second)
	b.nextHistory("j", eventTime, "A")
	wantKind(t, b.PutHistory(b.ctx(), pombo.HistoryPart{ID: "x"}), pombo.Invalid)
	wantKind(t, b.PutHistory(b.ctx(), pombo.HistoryPart{Instance: "i"}), pombo.Invalid)
}

// How far a part is told is kept with the events that tell it, or neither is.
func testHistoryTold(t *testing.T, b *bench) {
	var broken atomic.Bool
	b.fault = func(op string) error {
		if broken.Load() && op == "tell history" {
			return errors.New("disk full")
		}
		return nil
	}
	b.open()
	i, w := b.instance("i")
	p := pombo.HistoryPart{Instance: i.ID, ID: "A", Notification: []byte("a"), ReceivedAt: eventTime}
	b.must(b.PutHistory(b.ctx(), p))
	p.Told = 7
	b.must(b.TellHistory(b.ctx(), p, event(i, "", 1), event(i, "", 2)))
	equal(t, "reported", b.report(), b.wantPending(w, "/1", "/2"))
	broken.Store(true)
	p.Told = 9
	wantKind(t, b.TellHistory(b.ctx(), p, event(i, "", 3)), pombo.Unavailable)
	b.wantPending(w, "/1", "/2")
	if got := b.nextHistory(i.ID, eventTime, "A"); got.Told != 7 {
		t.Errorf("%d are told", got.Told)
	}
	broken.Store(false)
	b.must(b.TellHistory(b.ctx(), p, event(i, "", 3)))
	b.must(b.EndHistory(b.ctx(), i.ID, "A"))
	wantKind(t, b.TellHistory(b.ctx(), p, event(i, "", 4)), pombo.NotFound)
	bad := event(i, "", 5)
	bad.Key = ""
	wantKind(t, b.TellHistory(b.ctx(), p, bad), pombo.Invalid)
	b.wantPending(w, "/1", "/2", "/3")
	b.noHistory(i.ID)
}

// A phone that is unlinked, and an instance that is deleted, have no history.
func testHistoryGone(t *testing.T, b *bench) {
	b.open()
	i, _ := b.instance("i")
	j, _ := b.instance("j")
	put := func(i pombo.Instance) {
		t.Helper()
		b.must(b.PutHistory(b.ctx(), pombo.HistoryPart{Instance: i.ID, ID: "A", Notification: []byte("a")}))
	}
	put(i)
	put(j)
	b.must(b.ClearHistory(b.ctx(), i.ID))
	b.noHistory(i.ID)
	put(i)
	b.nextHistory(i.ID, eventTime, "A")
	b.must(b.DeleteInstance(b.ctx(), i.ID))
	b.noHistory(i.ID)
	if p := b.nextHistory(j.ID, eventTime, "A"); p.ReceivedAt.IsZero() {
		t.Error("the part has no time")
	}
}
