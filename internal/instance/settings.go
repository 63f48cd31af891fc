package instance

import (
	"context"

	"pombo"
)

// SetSettings changes the settings of the instance called name. They are in force
// when SetSettings returns; what it returns is all of them.
func (m *Manager) SetSettings(ctx context.Context, name string, c pombo.SettingsChange) (pombo.Settings, error) {
	e, err := m.entry(name)
	if err != nil {
		return pombo.Settings{}, err
	}
	err = m.change(ctx, e, func(i *pombo.Instance) { i.Settings = c.Apply(i.Settings) })
	if e.gone.Load() {
		return pombo.Settings{}, notFound(name)
	}
	return e.instance().Settings, err
}
