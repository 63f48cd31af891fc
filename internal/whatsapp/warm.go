package whatsapp

import "time"

// warm runs calls on goroutines that have run such calls before. whatsmeow starts a
// goroutine for each stanza, and reading a message goes deep: its stack would be made
// larger several times over, and copied each time, for every message. The zero value is
// not ready: see newWarm.
type warm struct{ calls chan func() }

func newWarm() *warm { return &warm{make(chan func())} }

// warmFor is how long a goroutine waits for its next call: what is idle must not hold
// memory.
const warmFor = time.Second

// run returns when do has returned. It never waits for another call.
func (w *warm) run(do func()) {
	done := make(chan struct{})
	call := func() {
		defer close(done)
		do()
	}
	select {
	case w.calls <- call:
	default:
		go w.work(call)
	}
	<-done
}

// work makes a call, and those that come soon after it.
func (w *warm) work(call func()) {
	idle := time.NewTimer(warmFor)
	defer idle.Stop()
	for {
		call()
		idle.Reset(warmFor)
		select {
		case call = <-w.calls:
		case <-idle.C:
			return
		}
	}
}
