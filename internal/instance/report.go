package instance

import (
	"context"

	"pombo"
)

// Paired records which device a phone has linked to the instance. A session
// reports it before it stores the device: an instance whose device is missing
// counts as not paired, while a device without an instance would be lost.
func (m *Manager) Paired(ctx context.Context, id pombo.InstanceID, jid, lid string) error {
	return m.update(ctx, id, func(e *entry, i *pombo.Instance) {
		i.JID, i.LID = jid, lid
		i.Disconnection = pombo.Disconnection{}
		e.unlinked.Store(false)
	})
}

// Profile records the account's name and picture as WhatsApp knows them.
func (m *Manager) Profile(ctx context.Context, id pombo.InstanceID, name, pictureURL string) error {
	return m.update(ctx, id, func(_ *entry, i *pombo.Instance) {
		i.ProfileName, i.ProfilePictureURL = name, pictureURL
	})
}

// LoggedOut records that the instance has no device any more, and why.
func (m *Manager) LoggedOut(ctx context.Context, id pombo.InstanceID, d pombo.Disconnection) error {
	return m.update(ctx, id, func(e *entry, i *pombo.Instance) {
		e.unlinked.Store(i.Paired() && !e.leaving.Load())
		i.JID, i.LID = "", ""
		i.Disconnection = d
	})
}

// update changes the record of an instance, in the store first. An instance
// that is gone needs no record.
func (m *Manager) update(ctx context.Context, id pombo.InstanceID, change func(*entry, *pombo.Instance)) error {
	m.mu.RLock()
	e := m.byID[id]
	m.mu.RUnlock()
	if e == nil {
		return pombo.Errorf(pombo.NotFound, "the instance %s does not exist", id)
	}
	return m.change(ctx, e, func(i *pombo.Instance) { change(e, i) })
}

// change changes the record of e, and lets its session know of new settings.
func (m *Manager) change(ctx context.Context, e *entry, change func(*pombo.Instance)) error {
	e.data.Lock()
	defer e.data.Unlock()
	inst := e.inst
	change(&inst)
	if inst == e.inst {
		return nil
	}
	inst.UpdatedAt = now()
	if err := m.o.Store.UpdateInstance(ctx, inst); err != nil {
		return err
	}
	if t, ok := e.session.(Tuner); ok && inst.Settings != e.inst.Settings {
		t.SetSettings(inst.Settings)
	}
	e.inst = inst
	return nil
}
