package instance

import (
	"context"

	"pombo"
	"pombo/internal/evolution"
)

// SetWebhook changes the webhook of the instance called name, or makes it. It
// is in force for the next event when SetWebhook returns.
func (m *Manager) SetWebhook(ctx context.Context, name string, c pombo.WebhookChange) (pombo.Webhook, error) {
	e, err := m.entry(name)
	if err != nil {
		return pombo.Webhook{}, err
	}
	e.hook.Lock()
	defer e.hook.Unlock()
	if e.gone.Load() {
		return pombo.Webhook{}, notFound(name)
	}
	id := e.instance().ID
	old, ok, err := m.o.Webhooks.Webhook(ctx, id)
	if err != nil {
		return pombo.Webhook{}, err
	}
	if !ok {
		old = pombo.Webhook{Instance: id}
	}
	w := apply(c, old)
	if err := evolution.ValidateWebhook(w); err != nil {
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
	e, err := m.entry(name)
	if err != nil {
		return pombo.Sent{}, err
	}
	s, ok := e.session.(Sender)
	if !ok {
		return pombo.Sent{}, pombo.Errorf(pombo.Invalid, "The %q instance cannot send messages", name)
	}
	return s.SendText(ctx, t)
}
