package whatsapp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"pombo"
	"pombo/internal/translate"
)

// SendText sends a text message and returns when WhatsApp has taken it and its
// SEND_MESSAGE event is safe. Errors: Invalid if the instance is not connected,
// the number is none or not on WhatsApp (with the Evolution API's answer as
// Detail), or WhatsApp refuses the message; Unavailable if WhatsApp does not
// answer.
func (s *Session) SendText(ctx context.Context, t pombo.Text) (pombo.Sent, error) {
	if strings.TrimSpace(t.Text) == "" {
		return pombo.Sent{}, pombo.Errorf(pombo.Invalid, "Text is required")
	}
	l, err := s.live()
	if err != nil {
		return pombo.Sent{}, err
	}
	if !l.enter() {
		return pombo.Sent{}, unavailable("The message was not sent", errOver)
	}
	defer l.leave()
	ctx, cancel := l.bound(ctx)
	defer cancel()

	to, err := l.recipient(ctx, t.Number)
	if err != nil {
		return pombo.Sent{}, err
	}
	info, err := l.context(ctx, to, t)
	if err != nil {
		return pombo.Sent{}, err
	}
	if err := l.compose(ctx, to, t.Delay); err != nil {
		return pombo.Sent{}, err
	}
	// Texts go as extendedTextMessage, as the original sends them; only that can
	// carry a context.
	return l.send(ctx, to, &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{
		Text: proto.String(t.Text), ContextInfo: info,
	}})
}

// newMessageID makes an ID of the form that marks a message as sent from the web
// (translate.Source): 22 characters.
func newMessageID() string {
	b := make([]byte, 9)
	_, _ = rand.Read(b) // never fails
	return "3EB0" + strings.ToUpper(hex.EncodeToString(b))
}

// send hands a message to WhatsApp. It is kept before it goes out, so that a
// recipient who cannot read it gets it again also after a crash; if WhatsApp does
// not take it, what was kept is of no harm.
func (l *line) send(ctx context.Context, to types.JID, m *waE2E.Message) (pombo.Sent, error) {
	id := newMessageID()
	body, err := proto.Marshal(m)
	if err != nil {
		return pombo.Sent{}, pombo.Errorf(pombo.Invalid, "The message cannot be encoded: %w", err)
	}
	kept := pombo.SentMessage{Instance: l.s.id, ID: id, Chat: to.String(), Message: body, At: time.Now()}
	err = l.insist(ctx, "keep a sent message", func(ctx context.Context) error { return l.s.n.o.Sent.PutSent(ctx, kept) })
	if err != nil {
		return pombo.Sent{}, unavailable("The message was not sent", err)
	}
	resp, err := l.handOver(ctx, to, id, m)
	if err != nil {
		return pombo.Sent{}, sendError(err)
	}
	event, sent, err := l.scope.Sent(translate.Outgoing{ID: id, Chat: to, Message: m, Time: resp.Timestamp, Device: l.own})
	if err != nil {
		return pombo.Sent{}, err
	}
	event.Time = time.Now()
	l.appendSent(ctx, event)
	return sent, nil
}

// handOverTries is how often a message is encrypted anew because its chat's
// session has changed meanwhile. The change is that of a message that came; that
// it takes longer than turnLimit to encrypt is rare by itself.
const handOverTries = 3

// handOver encrypts and sends.
func (l *line) handOver(ctx context.Context, to types.JID, id string, m *waE2E.Message) (resp whatsmeow.SendResponse, err error) {
	ctx, end := l.sending(ctx)
	defer end()
	for range handOverTries {
		// whatsmeow adds to the message that it is given.
		resp, err = l.client.SendMessage(ctx, to, proto.Clone(m).(*waE2E.Message), whatsmeow.SendRequestExtra{ID: id})
		if !errors.Is(err, errTurnLost) {
			break
		}
	}
	return resp, err
}

// appendLimit bounds how long the answer to a send waits for the store.
const appendLimit = 30 * time.Second

// appendSent appends SEND_MESSAGE, also if the caller has gone or the line is
// over meanwhile: the message is sent. For the same reason a store that does not
// take it is no error for the caller, who would send again.
func (l *line) appendSent(ctx context.Context, event pombo.Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendLimit)
	defer cancel()
	if err := l.s.append(ctx, event); err != nil {
		l.log.Error("a message was sent, but its event could not be stored", "event", event.Name, "key", event.Key, "err", err)
	}
}

// sendError tells the caller why a message did not go out.
func sendError(err error) error {
	switch {
	case errors.Is(err, whatsmeow.ErrServerReturnedError):
		return pombo.Errorf(pombo.Invalid, "WhatsApp refused the message: %w", err)
	case errors.Is(err, whatsmeow.ErrMessageTimedOut):
		return pombo.Errorf(pombo.Unavailable, "WhatsApp did not confirm the message in time: it may have been sent")
	case errors.Is(err, whatsmeow.ErrNotInGroup), errors.Is(err, whatsmeow.ErrGroupNotFound):
		return pombo.Errorf(pombo.Invalid, "The group does not exist, or this instance is not in it: %w", err)
	}
	return unavailable("WhatsApp did not take the message", err)
}

// composeStep is how often "composing" is repeated: contacts stop showing it
// after some 25 s.
const composeStep = 20 * time.Second

// compose shows "composing" in a chat for as long as the caller asked for.
func (l *line) compose(ctx context.Context, to types.JID, delay time.Duration) error {
	if delay <= 0 {
		return nil
	}
	show := func(p types.ChatPresence) {
		if err := l.client.SendChatPresence(ctx, to, p, types.ChatPresenceMediaText); err != nil && ctx.Err() == nil {
			l.log.Debug("showing that a text is being written failed", "err", err)
		}
	}
	for left := delay; left > 0; left -= composeStep {
		show(types.ChatPresenceComposing)
		select {
		case <-time.After(min(left, composeStep)):
		case <-ctx.Done():
			return unavailable("The message was not sent", ctx.Err())
		}
	}
	show(types.ChatPresencePaused)
	return nil
}
