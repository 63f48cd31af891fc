package store

import (
	"maps"
	"slices"
	"time"

	"pombo"
)

// registry is the copy in memory of the webhooks that get new events: those of
// living instances and the global one. It is never changed, only replaced after
// the commit that changed the rows, so that a webhook is in force for exactly
// the events that are appended after it was set.
type registry struct {
	global     *pombo.Webhook // nil: none
	byInstance map[pombo.InstanceID]pombo.Webhook
	// deadThrough has the webhooks (also of deleted instances) whose column of
	// that name is not 0.
	deadThrough map[string]int64
}

// wanting appends to ids the webhooks that want e.
func (r *registry) wanting(e *pombo.Event, ids []string) []string {
	if w, ok := r.byInstance[e.Instance]; ok && w.Wants(e.Name) {
		ids = append(ids, w.ID)
	}
	if r.global != nil && r.global.Wants(e.Name) {
		ids = append(ids, r.global.ID)
	}
	return ids
}

// wantsFile tells whether one of the webhooks that want e wants its file with it.
func (r *registry) wantsFile(e *pombo.Event) bool {
	if w, ok := r.byInstance[e.Instance]; ok && w.Base64 && w.Wants(e.Name) {
		return true
	}
	return r.global != nil && r.global.Base64 && r.global.Wants(e.Name)
}

func (r *registry) copy() *registry {
	return &registry{global: r.global, byInstance: maps.Clone(r.byInstance), deadThrough: maps.Clone(r.deadThrough)}
}

// dead marks a webhook's deliveries up to through; 0 takes the mark away.
func (r *registry) dead(webhook string, through int64) *registry {
	next := r.copy()
	if through == 0 {
		delete(next.deadThrough, webhook)
	} else {
		next.deadThrough[webhook] = through
	}
	return next
}

// judge makes d what it is: a mark may not have been written down yet.
func (r *registry) judge(d *pombo.Delivery) {
	if d.State == pombo.Pending && d.ID <= r.deadThrough[d.WebhookID] {
		d.State, d.Reason, d.Parked, d.NextAttempt = pombo.Dead, pombo.Disabled, false, time.Time{}
	}
}

func (r *registry) with(w pombo.Webhook) *registry {
	next := r.copy()
	if w.Instance == "" {
		next.global = &w
	} else {
		next.byInstance[w.Instance] = w
	}
	return next
}

func (r *registry) without(id pombo.InstanceID) *registry {
	next := r.copy()
	delete(next.byInstance, id)
	return next
}

// copyWebhook returns w with slices and maps of its own.
func copyWebhook(w pombo.Webhook) pombo.Webhook {
	w.Events = slices.Clone(w.Events)
	w.Headers = maps.Clone(w.Headers)
	return w
}
