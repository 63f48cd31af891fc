package whatsapp

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// The turn of a message that was decrypted stays with it until it is committed; a
// message that does not get to its handler is reported to whoever waits.
func TestTurnOfMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn turn
		stuck := make(chan time.Time, 10)
		turn.stuck = func() { stuck <- time.Now() }
		decrypt := func() {
			t.Helper()
			if err := turn.decrypting(t.Context(), func() (bool, error) { return true, nil }); err != nil {
				t.Fatal(err)
			}
		}
		taken := make(chan time.Time, 1)
		wait := func() {
			go func() {
				owner := new(byte)
				if err := turn.take(t.Context(), owner, turnLimit); err == nil {
					taken <- time.Now()
					turn.give(owner)
				}
			}()
		}
		decrypt()
		turn.work() // it has got there; its commit takes long
		began := time.Now()
		wait()
		<-time.After(3 * turnLimit)
		synctest.Wait()
		turn.release()
		if waited := (<-taken).Sub(began); waited != 3*turnLimit || len(stuck) != 0 {
			t.Errorf("waited %s for a message at work, which was reported %d times", waited, len(stuck))
		}
		synctest.Wait()

		decrypt()
		began = time.Now()
		wait()
		if reported := (<-stuck).Sub(began); reported != turnLimit {
			t.Errorf("a message that is stuck was reported after %s", reported)
		}
		turn.release()
		<-taken
		turn.release() // nobody's: changes nothing
	})
}

// fakeUnit has the stores of a device that never fail, and a unit.
type fakeUnit struct {
	store.AllStores
	open  bool
	calls []string
}

func (f *fakeUnit) Add(made ...pombo.Event) {
	for _, e := range made {
		f.calls = append(f.calls, e.Key)
	}
}

func (f *fakeUnit) Flush(context.Context) error {
	f.calls = append(f.calls, "flush")
	return nil
}

func (f *fakeUnit) Open() bool { return f.open }

func (f *fakeUnit) End(keep bool, made ...pombo.Event) {
	if f.open {
		f.calls = append(f.calls, map[bool]string{true: "keep", false: "drop"}[keep])
	}
	f.open = false
	f.Add(made...)
}

func (*fakeUnit) Sending(ctx context.Context) context.Context { return ctx }

func (*fakeUnit) Migrated(types.JID) bool { return true }

func (f *fakeUnit) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	err := fn(ctx)
	f.open = err == nil
	return err
}

// A unit is committed with its message's events, and one whose message got none is
// kept when the next message comes.
func TestUnitOfLine(t *testing.T) {
	w := newWorld(t, nil)
	l := w.session.newLine(w.devices.NewDevice())
	defer l.close()
	f := &fakeUnit{}
	l.unit = f
	g := &guard{l: l, in: f, unit: f}
	decrypt := func() {
		t.Helper()
		if err := g.DoDecryptionTxn(w.ctx(), func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	decrypt()
	decrypt() // the first was confirmed without an event
	if err := l.commit(&events.Receipt{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.commit(&events.Message{}, []pombo.Event{{Key: "the event"}}); err != nil {
		t.Fatal(err)
	}
	owner := new(byte) // the turn is free again
	if err := l.turn.take(w.ctx(), owner, turnLimit); err != nil {
		t.Fatal(err)
	}
	l.turn.give(owner)
	decrypt()
	l.end(errBroken) // what was not committed goes with the line
	want := []string{"keep", "keep", "the event", "flush"}
	if !slices.Equal(f.calls, want) {
		t.Errorf("the unit was asked to %q, want %q", f.calls, want)
	}
}
