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
	l, ctx, done, err := s.use(ctx)
	if err != nil {
		return pombo.Sent{}, err
	}
	defer done()

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

// use enters the open line, and makes a context that its end ends; done leaves it.
// Errors: Invalid if the instance is not connected.
func (s *Session) use(ctx context.Context) (l *line, bound context.Context, done func(), err error) {
	if l, err = s.live(); err != nil {
		return nil, nil, nil, err
	}
	if !l.enter() {
		return nil, nil, nil, unavailable("Nothing was sent", errOver)
	}
	bound, cancel := l.lend(ctx)
	return l, bound, func() { cancel(); l.leave() }, nil
}

// newMessageID makes an ID of the form that marks a message as sent from the web
// (translate.Source): 22 characters.
func newMessageID() string {
	b := make([]byte, 9)
	_, _ = rand.Read(b) // never fails
	return "3EB0" + strings.ToUpper(hex.EncodeToString(b))
}

// send hands a message to WhatsApp and appends its SEND_MESSAGE.
func (l *line) send(ctx context.Context, to types.JID, m *waE2E.Message) (pombo.Sent, error) {
	id, at, err := l.put(ctx, to, m)
	if err != nil {
		return pombo.Sent{}, err
	}
	return l.tellSent(ctx, id)(l.scope.Sent(translate.Outgoing{ID: id, Chat: to, Message: m, Time: at, Device: l.own}))
}

// tellSent returns a function that appends the event of what put has sent.
func (l *line) tellSent(ctx context.Context, id string) func(pombo.Event, pombo.Sent, error) (pombo.Sent, error) {
	return func(event pombo.Event, sent pombo.Sent, err error) (pombo.Sent, error) {
		defer l.s.outgoing.end(id)
		if err != nil {
			return pombo.Sent{}, err
		}
		event.Time = time.Now()
		l.appendSent(ctx, event)
		return sent, nil
	}
}

// put hands a message to WhatsApp. It is kept before it goes out, so that a
// recipient who cannot read it gets it again also after a crash; if WhatsApp does
// not take it, what was kept is of no harm. at is WhatsApp's time. Without an error
// tellSent must follow: what phones say of the message waits for it.
func (l *line) put(ctx context.Context, to types.JID, m *waE2E.Message) (id string, at time.Time, err error) {
	id = newMessageID()
	body, err := proto.Marshal(m)
	if err != nil {
		return "", at, pombo.Errorf(pombo.Invalid, "The message cannot be encoded: %w", err)
	}
	kept := pombo.SentMessage{Instance: l.s.id, ID: id, Chat: to.String(), Message: body, At: time.Now()}
	if err := l.keep(ctx, kept); err != nil {
		return "", at, err
	}
	l.s.outgoing.begin(id)
	resp, err := l.handOver(ctx, to, id, m)
	if err != nil {
		l.s.outgoing.end(id)
		return "", at, sendError(err)
	}
	return id, resp.Timestamp, nil
}

// keep stores a message that is about to go out. A store that fails is waited for, but not
// as long as elsewhere: nothing was sent, and somebody waits for an answer.
func (l *line) keep(ctx context.Context, m pombo.SentMessage) error {
	short, cancel := context.WithTimeout(ctx, l.s.n.timing.keep)
	defer cancel()
	failure := errors.New("the database does not answer")
	err := l.insist(short, "keep a sent message", func(ctx context.Context) error {
		err := l.s.n.o.Sent.PutSent(ctx, m)
		if err != nil && ctx.Err() == nil {
			failure = err
		}
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return pombo.Errorf(pombo.Unavailable, "The message was not sent, since it cannot be stored now: %w", failure)
	}
	if err != nil {
		return unavailable("The message was not sent", err)
	}
	return nil
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

// appendSent appends the event of what was sent, also if the caller has gone or the line is
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
