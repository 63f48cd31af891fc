package dispatch

import "time"

// Reload tells that deliveries of a webhook are pending again which were not, or
// are due sooner: they were replayed. What is in flight ends first, then everything
// is read anew, from the oldest on. So a replayed delivery takes its old place in
// its lane. It returns at once.
func (d *Dispatcher) Reload(webhookID string) {
	d.mu.Lock()
	r := d.runners[webhookID]
	d.mu.Unlock()
	if r == nil {
		return // SetWebhook reads everything
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active {
		r.reloading = true
		r.start()
	}
}

// reload starts over once nothing is in flight. The store's first page then counts
// every result that was handed to it, so nothing is delivered a second time. The
// caller holds the lock.
func (r *runner) reload(now time.Time) {
	if !r.reloading || r.inFlight > 0 {
		return
	}
	r.reloading = false
	r.generation++       // a read that is under way is out of date
	r.circuit.works(now) // whoever replays has reason to believe that it works
	r.win.reset()
	r.feed.restart()
	r.parking.restart()
}
