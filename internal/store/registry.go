package store

import (
	"maps"
	"slices"

	"pombo"
)

// registry is the copy in memory of the webhooks that get new events: those of
// living instances and the global one. It is never changed, only replaced after
// the commit that changed the rows, so that a webhook is in force for exactly
// the events that are appended after it was set.
type registry struct {
	global     *pombo.Webhook // nil: none
	byInstance map[pombo.InstanceID]pombo.Webhook
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

func (r *registry) with(w pombo.Webhook) *registry {
	next := &registry{global: r.global, byInstance: maps.Clone(r.byInstance)}
	if w.Instance == "" {
		next.global = &w
	} else {
		next.byInstance[w.Instance] = w
	}
	return next
}

func (r *registry) without(id pombo.InstanceID) *registry {
	next := &registry{global: r.global, byInstance: maps.Clone(r.byInstance)}
	delete(next.byInstance, id)
	return next
}

// copyWebhook returns w with slices and maps of its own.
func copyWebhook(w pombo.Webhook) pombo.Webhook {
	w.Events = slices.Clone(w.Events)
	w.Headers = maps.Clone(w.Headers)
	return w
}
