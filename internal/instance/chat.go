package instance

import (
	"context"

	"pombo"
)

// Chatter is the part of a session that does things in chats beside sending.
type Chatter interface {
	MarkRead(ctx context.Context, keys []pombo.MessageKey) error
	ShowPresence(ctx context.Context, t pombo.Typing) error
	EditText(ctx context.Context, e pombo.Edit) (pombo.Sent, error)
	DeleteMessage(ctx context.Context, key pombo.MessageKey) (pombo.Sent, error)
}

func (m *Manager) chatter(name string) (Chatter, error) {
	return able[Chatter](m, name, "send messages")
}

// MarkRead marks messages that came to the instance called name as read.
func (m *Manager) MarkRead(ctx context.Context, name string, keys []pombo.MessageKey) error {
	c, err := m.chatter(name)
	if err != nil {
		return err
	}
	return c.MarkRead(ctx, keys)
}

// ShowPresence shows what the instance called name is doing.
func (m *Manager) ShowPresence(ctx context.Context, name string, t pombo.Typing) error {
	c, err := m.chatter(name)
	if err != nil {
		return err
	}
	return c.ShowPresence(ctx, t)
}

// EditText changes a text that the instance called name sent.
func (m *Manager) EditText(ctx context.Context, name string, e pombo.Edit) (pombo.Sent, error) {
	c, err := m.chatter(name)
	if err != nil {
		return pombo.Sent{}, err
	}
	return c.EditText(ctx, e)
}

// DeleteMessage deletes a message for everyone, in the name of the instance called
// name.
func (m *Manager) DeleteMessage(ctx context.Context, name string, key pombo.MessageKey) (pombo.Sent, error) {
	c, err := m.chatter(name)
	if err != nil {
		return pombo.Sent{}, err
	}
	return c.DeleteMessage(ctx, key)
}
