package instance

import (
	"context"

	"pombo"
)

// Asker is the part of a session that asks WhatsApp about people.
type Asker interface {
	CheckNumbers(ctx context.Context, numbers []string) ([]pombo.NumberCheck, error)
	Picture(ctx context.Context, number string) (jid, url string, err error)
}

func (m *Manager) asker(name string) (Asker, error) {
	return able[Asker](m, name, "ask WhatsApp")
}

// CheckNumbers tells, as the instance called name, which numbers are on WhatsApp.
func (m *Manager) CheckNumbers(ctx context.Context, name string, numbers []string) ([]pombo.NumberCheck, error) {
	a, err := m.asker(name)
	if err != nil {
		return nil, err
	}
	return a.CheckNumbers(ctx, numbers)
}

// Picture returns the picture of a number as the instance called name sees it.
func (m *Manager) Picture(ctx context.Context, name, number string) (jid, url string, err error) {
	a, err := m.asker(name)
	if err != nil {
		return "", "", err
	}
	return a.Picture(ctx, number)
}
