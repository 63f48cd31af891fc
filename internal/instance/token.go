package instance

import (
	"context"
	"crypto/subtle"

	"pombo"
	"pombo/internal/evolution"
)

// RenewToken exchanges the JWT of the instance called name for the one that is made
// of newID: from now on, that is the only one to be exchanged. NEW_JWT_TOKEN is
// appended with it. oldID is "" for the first.
//
// Errors: NotFound; Invalid if oldID is not that of the latest.
func (m *Manager) RenewToken(ctx context.Context, name, oldID, newID, token string) error {
	e, err := m.entry(name)
	if err != nil {
		return err
	}
	e.data.Lock()
	defer e.data.Unlock()
	if e.gone.Load() {
		return notFound(name)
	}
	if subtle.ConstantTimeCompare([]byte(e.inst.JWTID), []byte(oldID)) != 1 {
		return pombo.Errorf(pombo.Invalid, "Invalid \"oldToken\"")
	}
	inst := e.inst
	inst.JWTID, inst.UpdatedAt = newID, now()
	var events []pombo.Event
	if oldID != "" {
		events = append(events, event(inst, pombo.NewJWTToken, evolution.NewJWT(token, name)))
	}
	if err := m.o.Store.UpdateInstance(ctx, inst, events...); err != nil {
		return err
	}
	e.inst = inst
	return nil
}
