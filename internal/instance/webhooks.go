package instance

import (
	"context"

	"pombo"
)

// AddWebhook makes one more webhook for the instance called name. It is in force
// for the next event when AddWebhook returns.
func (m *Manager) AddWebhook(ctx context.Context, name string, c pombo.WebhookChange) (pombo.Webhook, error) {
	e, err := m.holdHook(name)
	if err != nil {
		return pombo.Webhook{}, err
	}
	defer e.hook.Unlock()
	w := apply(c, pombo.Webhook{Instance: e.instance().ID})
	w.ID, w.CreatedAt = newWebhookID(), now()
	if err := m.validate(w); err != nil {
		return pombo.Webhook{}, err
	}
	if w, err = m.o.WebhookList.AddWebhook(ctx, w); err != nil {
		return pombo.Webhook{}, err
	}
	m.o.Deliver.SetWebhook(w)
	return w, nil
}

// Webhooks returns all webhooks of the instance called name, the first one first.
func (m *Manager) Webhooks(ctx context.Context, name string) ([]pombo.Webhook, error) {
	e, err := m.entry(name)
	if err != nil {
		return nil, err
	}
	return m.o.WebhookList.InstanceWebhooks(ctx, e.instance().ID)
}

// ChangeWebhook changes the webhook of the instance called name that has this ID,
// be it the first or another; NotFound if there is none.
func (m *Manager) ChangeWebhook(ctx context.Context, name, id string, c pombo.WebhookChange) (pombo.Webhook, error) {
	e, err := m.holdHook(name)
	if err != nil {
		return pombo.Webhook{}, err
	}
	defer e.hook.Unlock()
	old, err := m.webhook(ctx, e, id)
	if err != nil {
		return pombo.Webhook{}, err
	}
	w := apply(c, old)
	if err := m.validate(w); err != nil {
		return pombo.Webhook{}, err
	}
	if w, err = m.o.Webhooks.PutWebhook(ctx, w); err != nil {
		return pombo.Webhook{}, err
	}
	m.o.Deliver.SetWebhook(w)
	return w, nil
}

// RemoveWebhook removes the webhook of the instance called name that has this ID,
// and gives up what is pending for it.
func (m *Manager) RemoveWebhook(ctx context.Context, name, id string) error {
	e, err := m.holdHook(name)
	if err != nil {
		return err
	}
	defer e.hook.Unlock()
	if err := m.o.WebhookList.RemoveWebhook(ctx, e.instance().ID, id); err != nil {
		return err
	}
	m.o.Deliver.RemoveWebhook(id)
	return nil
}

func (m *Manager) webhook(ctx context.Context, e *entry, id string) (pombo.Webhook, error) {
	ws, err := m.o.WebhookList.InstanceWebhooks(ctx, e.instance().ID)
	if err != nil {
		return pombo.Webhook{}, err
	}
	for _, w := range ws {
		if w.ID == id {
			return w, nil
		}
	}
	return pombo.Webhook{}, pombo.Errorf(pombo.NotFound, "The instance has no webhook %q: GET /webhook/list shows those that it has", id)
}
