package whatsapp

import (
	"context"
	"errors"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"

	"pombo"
)

// showStep is how often "composing" is repeated: contacts stop showing it after
// some 25 s.
const showStep = 20 * time.Second

// compose shows "composing" in a chat for as long as the caller asked for.
func (l *line) compose(ctx context.Context, to types.JID, delay time.Duration) error {
	if delay <= 0 {
		return nil
	}
	if err := l.show(ctx, to, types.ChatPresenceMediaText, delay); err != nil {
		return unavailable("The message was not sent", err)
	}
	return nil
}

// show shows that something is being written or recorded in a chat, and after the
// delay, if there is one, that it is not any more. The error is that of a context
// that ends meanwhile; that nobody is shown anything is none.
func (l *line) show(ctx context.Context, to types.JID, media types.ChatPresenceMedia, delay time.Duration) error {
	l.chatPresence(ctx, to, types.ChatPresenceComposing, media)
	if delay <= 0 {
		return nil
	}
	for left := delay; left > 0; left -= showStep {
		if left < delay {
			l.chatPresence(ctx, to, types.ChatPresenceComposing, media)
		}
		if err := wait(ctx, min(left, showStep)); err != nil {
			return err
		}
	}
	l.chatPresence(ctx, to, types.ChatPresencePaused, "")
	return nil
}

func (l *line) chatPresence(ctx context.Context, to types.JID, state types.ChatPresence, media types.ChatPresenceMedia) {
	if err := l.client.SendChatPresence(ctx, to, state, media); err != nil && ctx.Err() == nil {
		l.log.Debug("showing what is being done in a chat failed", "err", err)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ShowPresence shows what the account is doing, and returns after the delay. As in
// the original it also asks to be told of the contact's presence from now on.
// Errors: Invalid if the instance is not connected or the number is not on WhatsApp.
func (s *Session) ShowPresence(ctx context.Context, t pombo.Typing) error {
	l, ctx, done, err := s.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	to, err := l.recipient(ctx, t.Number)
	if err != nil {
		return err
	}
	if to.Server == types.DefaultUserServer || to.Server == types.HiddenUserServer {
		if err := l.client.SubscribePresence(ctx, to); err != nil && ctx.Err() == nil {
			l.log.Debug("asking for a presence failed", "err", err)
		}
	}
	switch t.Presence {
	case "composing":
		err = l.show(ctx, to, types.ChatPresenceMediaText, t.Delay)
	case "recording":
		err = l.show(ctx, to, types.ChatPresenceMediaAudio, t.Delay)
	case "paused":
		l.chatPresence(ctx, to, types.ChatPresencePaused, "")
		err = wait(ctx, t.Delay)
	case "available", "unavailable":
		if err = l.sendPresence(ctx, types.Presence(t.Presence)); errors.Is(err, whatsmeow.ErrNoPushName) {
			return pombo.Errorf(pombo.Conflict, "WhatsApp has not told the account's name yet, which it wants with its presence: try again later")
		}
		if err == nil {
			err = wait(ctx, t.Delay)
		}
	default:
		return pombo.Errorf(pombo.Invalid, "%q is no presence", t.Presence)
	}
	if err != nil {
		return unavailable("The presence was not shown to the end", err)
	}
	return nil
}
