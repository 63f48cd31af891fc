package dispatch

import "sync"

// idleWorkers is how many goroutines wait for a flight at most. A delivery needs a stack
// of some 16 KiB, to which a new goroutine grows step by step: where few deliveries are
// made at a time, that was a twentieth of what one costs.
const idleWorkers = 64

// workers are the goroutines that make deliveries. Some that have nothing to do are kept.
type workers struct {
	busy *sync.WaitGroup
	// next has a flight for each worker that was told to stop waiting: it is never full.
	next chan job

	mu    sync.Mutex
	idle  int // that wait, or are about to
	ended bool
}

// job is a flight with its runner.
type job struct {
	r *runner
	f flight
}

func newWorkers(busy *sync.WaitGroup) *workers {
	return &workers{busy: busy, next: make(chan job, idleWorkers)}
}

// do has a worker make a flight, and those that come after it. It does not block.
func (w *workers) do(j job) {
	w.busy.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle > 0 {
		w.idle--
		w.next <- j
		return
	}
	go w.work(j)
}

func (w *workers) work(j job) {
	for ok := true; ok; j, ok = <-w.next {
		j.r.work(j.f)
		stays := w.stays()
		w.busy.Done()
		if !stays {
			return
		}
	}
}

// stays tells a worker whether to wait for another flight.
func (w *workers) stays() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || w.idle == idleWorkers {
		return false
	}
	w.idle++
	return true
}

// end lets those go that wait. No flight may come any more.
func (w *workers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	close(w.next)
}
