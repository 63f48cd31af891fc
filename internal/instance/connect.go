package instance

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"pombo"
)

// Connect begins to log in or, for an instance without a phone, to pair, and
// answers with the state that is reached: a code to scan, or open. A number
// asks for a pairing code too. It waits at most 20 s.
func (m *Manager) Connect(ctx context.Context, name, number string) (pombo.InstanceView, error) {
	e, err := m.hold(name)
	if err != nil {
		return pombo.InstanceView{}, err
	}
	err = e.connect(ctx, number)
	e.op.Unlock()
	if err == nil {
		err = e.wait(ctx)
	}
	if err != nil {
		return pombo.InstanceView{}, err
	}
	return e.view(), nil
}

// connect starts e's session; the caller holds e.op.
func (e *entry) connect(ctx context.Context, number string) error {
	if number == "" {
		number = e.instance().Number
	}
	return e.session.Connect(ctx, number)
}

// wait waits for a code or for open. It is called without e.op, so that an
// instance can be logged out or deleted meanwhile.
func (e *entry) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstQR)
	defer cancel()
	_, _, err := e.session.Wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return pombo.Errorf(pombo.Unavailable,
			"WhatsApp did not answer within %d s: the connection is still being tried, ask again later", firstQR/time.Second)
	}
	return err
}

// Restart closes the connection and opens it anew.
func (m *Manager) Restart(ctx context.Context, name string) (pombo.InstanceView, error) {
	e, err := m.hold(name)
	if err != nil {
		return pombo.InstanceView{}, err
	}
	err = e.session.Close(ctx)
	if err == nil {
		err = e.connect(ctx, "")
	}
	e.op.Unlock()
	if err == nil {
		err = e.wait(ctx)
	}
	if err != nil {
		return pombo.InstanceView{}, err
	}
	return e.view(), nil
}

// Logout unlinks the instance's device at WhatsApp and forgets it. The
// instance stays, and can be paired again.
func (m *Manager) Logout(ctx context.Context, name string) error {
	e, err := m.hold(name)
	if err != nil {
		return err
	}
	defer e.op.Unlock()
	if state, _ := e.session.Snapshot(); state == pombo.StateClose && !e.instance().Paired() {
		return pombo.Errorf(pombo.Invalid, "The %q instance is not connected", name)
	}
	return e.logout(ctx)
}

// logout ends the pairing because it was asked for.
func (e *entry) logout(ctx context.Context) error {
	e.leaving.Store(true)
	defer e.leaving.Store(false)
	return e.session.Logout(ctx)
}

// logoutPatience is how long the deletion of an instance waits for WhatsApp to
// unlink its device. After that it is deleted all the same; the phone goes on
// listing a device that nobody holds the keys of.
const logoutPatience = 10 * time.Second

// Delete logs the instance out if it is linked and deletes it. Its name is free
// afterwards. What it had pending is given up; the events of the deletion
// itself, from the logout on, are still delivered.
func (m *Manager) Delete(ctx context.Context, name string) error {
	e, err := m.hold(name)
	if err != nil {
		return err
	}
	defer e.op.Unlock()
	if err := m.giveUp(ctx, e.instance().ID); err != nil {
		return err
	}
	e.endSession(ctx, m)
	e.hook.Lock()
	defer e.hook.Unlock()
	inst := e.instance()
	if err := m.o.Store.DeleteInstance(ctx, inst.ID, deleted(inst)...); err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.byName, name)
	delete(m.byID, inst.ID)
	m.mu.Unlock()
	e.gone.Store(true)
	m.log.Info("instance deleted", "instance", name)
	return nil
}

// giveUp ends what an instance has pending. It comes before the logout, whose
// events are still to be delivered.
func (m *Manager) giveUp(ctx context.Context, id pombo.InstanceID) error {
	ws, err := m.o.WebhookList.InstanceWebhooks(ctx, id)
	if err != nil || len(ws) == 0 {
		return err
	}
	if err := m.o.Webhooks.GiveUp(ctx, id); err != nil {
		return err
	}
	for _, w := range ws {
		off := w
		off.Enabled = false
		m.o.Deliver.SetWebhook(off) // what it holds of them is dropped
		m.o.Deliver.SetWebhook(w)
	}
	return nil
}

// endSession logs out, or at least disconnects. It cannot fail: nothing that
// WhatsApp does may keep an instance from being deleted.
func (e *entry) endSession(ctx context.Context, m *Manager) {
	if e.instance().Paired() {
		lctx, cancel := context.WithTimeout(ctx, logoutPatience)
		err := e.logout(lctx)
		cancel()
		if err != nil {
			m.log.Warn("WhatsApp did not unlink a deleted instance: unlink it on the phone", "instance", e.instance().Name, "err", err)
		}
	}
	if err := e.session.Close(ctx); err != nil {
		m.log.Warn("closing the session of a deleted instance", "instance", e.instance().Name, "err", err)
	}
}

// stagger is the pause between two instances that connect at start: twenty a
// second keep a server with a thousand instances from looking like an attack,
// and its processor free for the messages that wait.
const stagger = 50 * time.Millisecond

// Restore connects every paired instance, one after the other with a short
// pause, the first at once. It returns when all have begun or ctx ends.
func (m *Manager) Restore(ctx context.Context) {
	for _, v := range m.List() {
		if !v.Paired() {
			continue
		}
		if e, err := m.hold(v.Name); err == nil {
			if err := e.session.Connect(ctx, ""); err != nil {
				m.log.Error("connecting at start", "instance", v.Name, "err", err)
			}
			e.op.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(stagger/2 + rand.N(stagger)):
		}
	}
}

// Close disconnects all sessions and keeps their devices. It returns when all
// are closed or ctx ends.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.RLock()
	entries := make([]*entry, 0, len(m.byName))
	for _, e := range m.byName {
		entries = append(entries, e)
	}
	m.mu.RUnlock()
	errs := make(chan error, len(entries))
	for _, e := range entries {
		go func() { errs <- e.session.Close(ctx) }()
	}
	var err error
	for range entries {
		err = errors.Join(err, <-errs)
	}
	return err
}
