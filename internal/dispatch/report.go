package dispatch

import (
	"net/http"
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
	if r.failures == 1 && f.parked == nil && out.state == pombo.Pending {
		r.d.log.Warn("webhook fails; its events wait", "webhook", r.id, "instance", f.delivery.Event.Instance,
			"code", res.code, "status", res.status, "reason", res.sentence)
	}
	if out.state == pombo.Dead {
		r.d.log.Warn("delivery given up", "webhook", r.id, "delivery", f.delivery.ID, "message", f.delivery.MessageID,
			"event", f.delivery.Event.Name, "why", out.reason, "attempts", f.delivery.Attempts+1,
			"code", res.code, "status", res.status, "reason", res.sentence)
	}
	if out.state == pombo.Dead && out.reason != pombo.Disabled { // otherwise someone wanted it so
		r.d.report(Report{Kind: Died, Webhook: r.webhook, Event: f.delivery.Event.Name, Message: f.delivery.MessageID,
			Dead: out.reason, Code: res.code, Status: res.status, Reason: res.sentence})
	}
}

// tellGone tells the gateway that the endpoint is gone for good, if it says so.
func (r *runner) tellGone(l leg) {
	f := l.f
	if r.d.gone == nil || l.a.Status != http.StatusGone {
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
	r.d.gone(r.d.settling, f.webhook)
	r.mu.Lock()
	r.telling = false
	r.mu.Unlock()
}
