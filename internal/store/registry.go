package store

import (
	"maps"
	"slices"
	"time"

	"pombo"
	"pombo/internal/filter"
)

// registry is the copy in memory of the webhooks that get new events: those of
// living instances and the global one. It is never changed, only replaced after
// the commit that changed the rows, so that a webhook is in force for exactly
// the events that are appended after it was set.
type registry struct {
	global     *hook                        // nil: none
	byInstance map[pombo.InstanceID][]*hook // by position
	// deadThrough has the webhooks (also of deleted instances) whose column of
	// that name is not 0.
	deadThrough map[string]int64
}

// hook is a webhook with what matching needs. It is never changed.
type hook struct {
	pombo.Webhook
	filter   *filter.Filter // nil: all events pass
	instance string         // the instance's name
}

// first returns the webhook of POST /webhook/set.
func (r *registry) first(id pombo.InstanceID) (*hook, bool) {
	if hooks := r.byInstance[id]; len(hooks) > 0 && hooks[0].Position == 0 {
		return hooks[0], true
	}
	return nil, false
}

// find returns an instance's webhook by its ID; with "" for the instance, the
// global one.
func (r *registry) find(instance pombo.InstanceID, id string) (*hook, bool) {
	if instance == "" {
		return r.global, r.global != nil && r.global.ID == id
	}
	for _, h := range r.byInstance[instance] {
		if h.ID == id {
			return h, true
		}
	}
	return nil, false
}

// wanting appends to ids the webhooks that want e.
func (r *registry) wanting(e *arrival, ids []string) []string {
	for _, h := range r.byInstance[e.Instance] {
		if h.Wants(e.Name) && e.passes(h) {
			ids = append(ids, h.ID)
		}
	}
	if r.global != nil && r.global.Wants(e.Name) {
		ids = append(ids, r.global.ID)
	}
	return ids
}

// wantsFile tells whether one of the webhooks with these IDs, which want e, wants
// its file with it.
func (r *registry) wantsFile(e *pombo.Event, ids []string) bool {
	for _, id := range ids {
		h, ok := r.find(e.Instance, id)
		if !ok {
			h, ok = r.find("", id)
		}
		if ok && h.Base64 {
			return true
		}
	}
	return false
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

func (r *registry) with(h *hook) *registry {
	next := r.copy()
	if h.Instance == "" {
		next.global = h
		return next
	}
	hooks := slices.DeleteFunc(slices.Clone(next.byInstance[h.Instance]), func(old *hook) bool { return old.ID == h.ID })
	hooks = append(hooks, h)
	slices.SortFunc(hooks, func(a, b *hook) int { return a.Position - b.Position })
	next.byInstance[h.Instance] = hooks
	return next
}

func (r *registry) without(id pombo.InstanceID) *registry {
	next := r.copy()
	delete(next.byInstance, id)
	return next
}

// withoutHook takes one webhook of an instance out of force.
func (r *registry) withoutHook(instance pombo.InstanceID, id string) *registry {
	next := r.copy()
	next.byInstance[instance] = slices.DeleteFunc(slices.Clone(next.byInstance[instance]), func(h *hook) bool { return h.ID == id })
	return next
}

// copyWebhook returns w with slices and maps of its own.
func copyWebhook(w pombo.Webhook) pombo.Webhook {
	w.Events = slices.Clone(w.Events)
	w.Headers = maps.Clone(w.Headers)
	w.Secrets = slices.Clone(w.Secrets)
	return w
}
