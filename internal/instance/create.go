package instance

import (
	"context"
	"crypto/subtle"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"pombo"
)

// firstQR is how long Create and Connect wait for a code to scan. WhatsApp
// gives the first one within a second or two; a server that cannot reach it
// answers without one after this time, and goes on trying.
const firstQR = 20 * time.Second

// integrationWeb is the one kind of connection that is served, by the name
// that the clients of the Evolution API use for it.
const integrationWeb = "WHATSAPP-BAILEYS"

// Create makes an instance. Either all of it exists afterwards (the instance,
// its webhook, its first events) or nothing. With n.QRCode pairing begins, and
// the first code is a part of the answer if it comes within 20 s.
//
// Errors: Invalid for a bad name or a taken token, Forbidden for a taken name.
func (m *Manager) Create(ctx context.Context, n pombo.NewInstance) (pombo.InstanceView, error) {
	if err := pombo.ValidateInstanceName(n.Name); err != nil {
		return pombo.InstanceView{}, err
	}
	if err := m.reserve(n); err != nil {
		return pombo.InstanceView{}, err
	}
	e, err := m.create(ctx, n)
	m.mu.Lock()
	delete(m.reserved, n.Name)
	if err == nil {
		m.byName[n.Name], m.byID[e.inst.ID] = e, e
	}
	m.mu.Unlock()
	if err != nil {
		return pombo.InstanceView{}, err
	}
	m.log.Info("instance created", "instance", n.Name)
	if n.QRCode {
		if _, err := m.Connect(ctx, n.Name, n.Number); err != nil {
			// The instance exists; its pairing goes on without this caller.
			m.log.Warn("a new instance has no code to scan yet", "instance", n.Name, "err", err)
		}
	}
	return e.view(), nil
}

// reserve takes the name for a creation under way.
func (m *Manager) reserve(n pombo.NewInstance) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.reserved[n.Name]; taken || m.byName[n.Name] != nil {
		return pombo.Errorf(pombo.Forbidden, "This name %q is already in use.", n.Name)
	}
	if n.Token != "" {
		taken := slices.Collect(maps.Values(m.reserved))
		for _, e := range m.byName {
			taken = append(taken, e.instance().Token)
		}
		for _, token := range taken {
			if subtle.ConstantTimeCompare([]byte(token), []byte(n.Token)) == 1 {
				return pombo.Errorf(pombo.Invalid, "Token already exists: give each instance a token of its own")
			}
		}
	}
	m.reserved[n.Name] = n.Token
	return nil
}

func (m *Manager) create(ctx context.Context, n pombo.NewInstance) (*entry, error) {
	t := now()
	inst := pombo.Instance{
		ID:          pombo.InstanceID(uuid.NewString()),
		Name:        n.Name,
		Token:       n.Token,
		Integration: n.Integration,
		Number:      n.Number,
		Settings:    n.Settings,
		CreatedAt:   t,
		UpdatedAt:   t,
	}
	if inst.Token == "" {
		inst.Token = newToken()
	}
	if inst.Integration == "" {
		inst.Integration = integrationWeb
	}
	var hook *pombo.Webhook
	if n.Webhook != nil {
		w := apply(*n.Webhook, pombo.Webhook{Instance: inst.ID})
		if err := m.validate(w); err != nil {
			return nil, err
		}
		w.ID, w.CreatedAt, w.UpdatedAt = newWebhookID(), t, t
		hook = &w
	}
	if err := m.o.Store.CreateInstance(ctx, inst, hook, created(inst)...); err != nil {
		return nil, err
	}
	if hook != nil {
		m.o.Deliver.SetWebhook(*hook)
	}
	return &entry{inst: inst, session: m.o.NewSession(inst)}, nil
}
