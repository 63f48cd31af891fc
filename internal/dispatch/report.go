package dispatch

import (
	"time"

	"pombo"
)

// count keeps the runner's figures and logs what changed: not each failure, but
// the first one, the recovery, and each delivery that is given up. The caller
// holds the lock.
func (r *runner) count(f flight, res result, out outcome) {
	if out.state == pombo.Delivered {
		if r.failures > 0 {
			r.d.log.Info("webhook takes events again", "webhook", r.id, "after_failures", r.failures)
		}
		r.delivered++
		r.failures, r.lastSuccess = 0, time.Now().Round(0)
		return
	}
	r.failed++
	r.failures++
	if r.failures == 1 && out.state == pombo.Pending {
		r.d.log.Warn("webhook fails; its events wait", "webhook", r.id, "instance", f.delivery.Event.Instance,
			"code", res.code, "status", res.status, "reason", res.sentence)
	}
	if out.state == pombo.Dead {
		r.d.log.Warn("delivery given up", "webhook", r.id, "delivery", f.delivery.ID, "message", f.delivery.MessageID,
			"event", f.delivery.Event.Name, "why", out.reason, "attempts", f.delivery.Attempts+1,
			"code", res.code, "status", res.status, "reason", res.sentence)
	}
}

// tellGone tells the gateway that the endpoint is gone for good.
func (r *runner) tellGone(f flight) {
	if r.d.gone == nil {
		return
	}
	r.mu.Lock()
	stale := r.telling || f.generation != r.generation || f.version != r.version
	if !stale {
		r.telling = true
	}
	r.mu.Unlock()
	if stale {
		return
	}
	r.d.log.Warn("webhook answered 410 Gone", "webhook", r.id)
	r.d.gone(r.d.settling, r.id)
	r.mu.Lock()
	r.telling = false
	r.mu.Unlock()
}

func (r *runner) snapshot() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		WebhookID: r.id, Enabled: r.active,
		Loaded: r.win.loaded, Behind: r.feed.behind, Lanes: len(r.win.lanes), Waiting: len(r.win.waiting),
		InFlight: r.inFlight, Delivered: r.delivered, Failed: r.failed,
		Failures: r.failures, LastSuccess: r.lastSuccess,
	}
}
