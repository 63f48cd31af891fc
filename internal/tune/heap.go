package tune

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// usual is Go's own setting: the heap is collected when it has doubled.
	usual = 100
	// room is how many bytes of garbage a heap may have while there is much to do, if
	// that is more than it holds.
	room = 32 << 20
	// most bounds what is set, for heaps that hold next to nothing.
	most = 800
	// busy is up to how much time from one collection to the next is close, and calm from
	// when on it no longer is. Between them, things stay as they are: room alone must
	// not make the collections seem calm.
	busy, calm = 150 * time.Millisecond, 2 * time.Second
)

// Go collects garbage whenever the heap has doubled. A gateway's heap is small, so a
// burst of messages has it collected 20 to 40 times a second, which costs about a
// fifteenth of all processor time. While collections follow each other that closely, a
// fixed room is given instead; when they no longer do, memory is as tight as before.

// heap begins to watch the collections of this process, for good.
func heap() {
	t := &tuner{percent: usual, last: time.Now(), sample: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	t.watch()
}

// tuner is told of each collection by a finalizer, one after the other.
type tuner struct {
	percent int
	last    time.Time // the collection before
	sample  []metrics.Sample
}

// watch makes the next collection call collected: nothing else refers to what has the
// finalizer.
func (t *tuner) watch() {
	runtime.SetFinalizer(&struct{ t *tuner }{t}, func(s *struct{ t *tuner }) {
		s.t.collected(time.Now())
		s.t.watch()
	})
}

func (t *tuner) collected(now time.Time) {
	metrics.Read(t.sample)
	percent := choose(t.percent, now.Sub(t.last), t.sample[0].Value.Uint64())
	if t.last = now; percent != t.percent {
		t.percent = percent
		debug.SetGCPercent(percent)
	}
}

// choose returns the percentage by which the heap, of live bytes, may grow, after a
// collection that came so long after the one before.
func choose(percent int, after time.Duration, live uint64) int {
	switch {
	case after >= calm:
		return usual
	case after > busy && percent == usual:
		return usual
	}
	return int(min(max(room*100/max(live, 1), usual), most))
}
