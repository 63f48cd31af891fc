package instance

import (
	"context"
	"net/url"

	"pombo"
	"pombo/internal/evolution"
)

// SetWebhook changes the webhook of the instance called name, or makes it. It
// is in force for the next event when SetWebhook returns.
func (m *Manager) SetWebhook(ctx context.Context, name string, c pombo.WebhookChange) (pombo.Webhook, error) {
	e, err := m.holdHook(name)
	if err != nil {
		return pombo.Webhook{}, err
	}
	defer e.hook.Unlock()
	id := e.instance().ID
	old, ok, err := m.o.Webhooks.Webhook(ctx, id)
	if err != nil {
		return pombo.Webhook{}, err
	}
	if !ok {
		old = pombo.Webhook{Instance: id}
	}
	w := apply(c, old)
	if err := m.validate(w); err != nil {
		return pombo.Webhook{}, err
	}
	w.UpdatedAt = now()
	if !ok {
		w.ID, w.CreatedAt = newWebhookID(), w.UpdatedAt
	}
	w, err = m.o.Webhooks.PutWebhook(ctx, w)
	if err != nil {
		return pombo.Webhook{}, err
	}
	m.o.Deliver.SetWebhook(w)
	return w, nil
}

// validate returns an Invalid error if w is enabled but cannot be posted to.
func (m *Manager) validate(w pombo.Webhook) error {
	if err := evolution.ValidateWebhook(w); err != nil || !w.Enabled || m.o.BlockedHost == nil {
		return err
	}
	u, err := url.Parse(w.URL)
	if err != nil { // ValidateWebhook parsed it
		return pombo.Errorf(pombo.Invalid, "the webhook's url is not valid")
	}
	if reason, blocked := m.o.BlockedHost(u.Hostname()); blocked {
		return pombo.Errorf(pombo.Invalid, "url: the host %q %s: choose another address", u.Hostname(), reason)
	}
	return nil
}

// DisableGone switches w off because its endpoint answered that it is gone for
// good, unless it was changed meanwhile. It tells whether it did. The global
// webhook is not switched off: the environment wants it.
func (m *Manager) DisableGone(ctx context.Context, w pombo.Webhook) (bool, error) {
	if w.Instance == "" {
		return false, nil
	}
	m.mu.RLock()
	e := m.byID[w.Instance]
	m.mu.RUnlock()
	if e != nil { // otherwise it is of an instance that was deleted
		e.hook.Lock()
		defer e.hook.Unlock()
	}
	done, err := m.o.Webhooks.DisableWebhook(ctx, w.ID, w.URL)
	if err != nil || !done {
		return false, err
	}
	w.Enabled = false
	m.o.Deliver.SetWebhook(w)
	return true, nil
}

// Webhook returns the webhook of the instance called name; ok is false if none
// was ever set.
func (m *Manager) Webhook(ctx context.Context, name string) (w pombo.Webhook, ok bool, err error) {
	e, err := m.entry(name)
	if err != nil {
		return pombo.Webhook{}, false, err
	}
	return m.o.Webhooks.Webhook(ctx, e.instance().ID)
}

// apply makes a change, its secret included.
func apply(c pombo.WebhookChange, w pombo.Webhook) pombo.Webhook {
	w = c.Apply(w)
	if c.Secret != nil {
		key := *c.Secret
		if key == pombo.GenerateSecret {
			key = pombo.NewSecret()
		}
		w.Secrets = pombo.Rotate(w.Secrets, key, now())
	}
	return w
}

// SendText sends a text message from the instance called name.
func (m *Manager) SendText(ctx context.Context, name string, t pombo.Text) (pombo.Sent, error) {
	s, err := able[Sender](m, name, "send messages")
	if err != nil {
		return pombo.Sent{}, err
	}
	return s.SendText(ctx, t)
}
