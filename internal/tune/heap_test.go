package tune

import (
	"runtime/debug"
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		percent int
		after   time.Duration
		live    uint64
		want    int
	}{
		{usual, time.Second, 8 << 20, usual},               // little to do
		{usual, 50 * time.Millisecond, 8 << 20, 400},       // much
		{400, time.Second, 16 << 20, 200},                  // still: the room makes it rarer
		{400, 3 * time.Second, 8 << 20, usual},             // no more
		{usual, 50 * time.Millisecond, 1, most},            // next to nothing in it
		{usual, 50 * time.Millisecond, 500 << 20, usual},   // large enough as it is
		{most, 50 * time.Millisecond, room / 2, 2 * usual}, // it has grown
	} {
		if got := choose(c.percent, c.after, c.live); got != c.want {
			t.Errorf("%d after %v with %d bytes: %d, want %d", c.percent, c.after, c.live, got, c.want)
		}
	}
}

var garbage []byte

// Garbage that is made fast gets room.
func TestHeap(t *testing.T) {
	set := func() int {
		percent := debug.SetGCPercent(usual)
		debug.SetGCPercent(percent)
		return percent
	}
	if set() != usual {
		t.Skip("this process has a setting of its own")
	}
	defer debug.SetGCPercent(usual)
	heap()
	for end := time.Now().Add(time.Minute); set() == usual; {
		if time.Now().After(end) {
			t.Fatal("no room was given in a minute")
		}
		garbage = make([]byte, 1<<20)
	}
}
