package whatsapp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A turn is one's at a time, and passes on when it is given back.
func TestTurnWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn turn
		mine, other := new(byte), new(byte)
		if err := turn.take(t.Context(), mine, turnLimit); err != nil {
			t.Fatal(err)
		}
		if err := turn.take(t.Context(), mine, turnLimit); err != nil {
			t.Fatal(err) // again is no error
		}
		taken := make(chan time.Time, 1)
		began := time.Now()
		go func() {
			if err := turn.take(t.Context(), other, turnLimit); err != nil {
				t.Error(err)
			}
			taken <- time.Now()
		}()
		<-time.After(time.Second)
		synctest.Wait()
		if !turn.write(mine) {
			t.Error("it was lost within its time")
		}
		<-time.After(2 * turnLimit) // a writer does not lose it
		synctest.Wait()
		turn.give(mine)
		if waited := (<-taken).Sub(began); waited != time.Second+2*turnLimit {
			t.Errorf("the next waited %s", waited)
		}
		if turn.write(mine) {
			t.Error("what was given back is still had")
		}
		turn.give(mine) // changes nothing
		if !turn.write(other) {
			t.Error("another one's was given back")
		}
	})
}

// Who came first has it first, however often others want it; who leaves is passed over.
func TestTurnIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn turn
		busy := new(byte)
		if err := turn.take(t.Context(), busy, turnLimit); err != nil {
			t.Fatal(err)
		}
		gone, leave := context.WithCancel(t.Context())
		got := make(chan int, 3)
		for i, ctx := range []context.Context{gone, t.Context(), t.Context()} {
			go func() {
				owner := new(byte)
				if err := turn.take(ctx, owner, turnLimit); err != nil {
					return
				}
				got <- i
				turn.give(owner)
			}()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		turn.give(busy)
		if err := turn.take(t.Context(), busy, turnLimit); err != nil { // behind the others
			t.Fatal(err)
		}
		if len(got) != 2 || <-got != 1 || <-got != 2 {
			t.Errorf("%d of 2 came first, or not in their order", len(got))
		}
	})
}

// A reader that does not write in time loses its turn, and must not write.
func TestTurnIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn turn
		slow := new(byte)
		if err := turn.take(t.Context(), slow, turnLimit); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ran := false
		err := turn.decrypting(t.Context(), func() (bool, error) {
			ran = time.Since(began) == turnLimit
			return false, nil
		})
		if err != nil || !ran {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if turn.write(slow) {
			t.Error("the slow one may write all the same")
		}
	})
}

func TestTurnEndsWithTheContext(t *testing.T) {
	var turn turn
	if err := turn.take(t.Context(), new(byte), turnLimit); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := turn.take(ctx, new(byte), turnLimit); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What whatsmeow does on its own account names no caller: reading and writing of
// one session are told by its address.
func TestTurnAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn turn
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(turn.takeAgain(t.Context(), "a"))
		second := make(chan error, 1)
		go func() { second <- turn.takeAgain(t.Context(), "b") }()
		synctest.Wait()
		select {
		case err := <-second:
			t.Fatalf("two had the turn (%v)", err)
		default:
		}
		owner, err := turn.writeAgain(t.Context(), "a")
		must(err)
		turn.give(owner)
		must(<-second)

		// One that was only written waits for its turn; one that was read too long ago
		// must not be written.
		var late error
		if late = turn.decrypting(t.Context(), func() (bool, error) { return false, nil }); late != nil {
			t.Fatal(late)
		}
		if _, err = turn.writeAgain(t.Context(), "b"); !errors.Is(err, errTurnLost) {
			t.Errorf("got %v", err)
		}
		owner, err = turn.writeAgain(t.Context(), "b")
		must(err)
		turn.give(owner)
	})
}
