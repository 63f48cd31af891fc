package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
	"pombo/internal/translate"
)

// handle is the ack rule. whatsmeow confirms a stanza to WhatsApp when this
// returns true, so it returns true only when everything that was made of the
// stanza is committed. If it leaves the confirmation to the line's confirmer, which
// waits for the same, it returns false.
//
// In every other case the line is over before it returns false. That is needed because false by
// itself does little: later stanzas would still be handled, the one that failed
// would come again only after a reconnect, and some kinds (calls, receipts that
// name several messages, pictures, answers of the phone to a request for a lost
// message) are confirmed whatever is returned. On a line that is over no
// confirmation gets out.
//
// A panic must not get back to whatsmeow either: it counts it as success.
func (l *line) handle(evt any) (committed bool) {
	if !l.enter() {
		return false
	}
	defer l.leave()
	defer func() {
		if p := recover(); p != nil {
			l.panicked(fmt.Sprintf("handling %T", evt), p)
			committed = false
		}
	}()
	if isMessage(evt) {
		l.turn.work()
	}
	if l.isSignal(evt) {
		l.signal(evt)
		return true
	}
	if err := l.keepPoll(evt); err != nil {
		l.end(err)
		return false
	}
	// Before it is told: a setting counts from the next message on, also if it is made
	// by who was told of this one.
	settings := l.s.settings.Load()
	made := l.translate(evt)
	if err := l.readableForRetry(evt); err != nil {
		return false
	}
	l.s.outgoing.settle(l.ctx, evt)
	if l.confirmLater(evt, made, settings) {
		return false
	}
	err := l.keepPeer(evt)
	if err == nil {
		err = l.commit(evt, made)
	}
	if err != nil {
		l.end(err)
		return false
	}
	l.trouble.passed()
	l.follow(evt, made, settings)
	l.followPeer(evt)
	return true
}

// panicked makes the line over after a panic. It is called by the function that
// has recovered.
func (l *line) panicked(doing string, p any) {
	l.log.Error("a panic: starting over", "doing", doing, "panic", p, "stack", string(debug.Stack()))
	l.end(fmt.Errorf("%s panicked: %v", doing, p))
}

// commit returns when all that was made of evt is on the disk, and all that
// whatsmeow wrote to read it.
func (l *line) commit(evt any, made []pombo.Event) error {
	u := l.units()
	switch {
	case u != nil && (isMessage(evt) || len(made) > 0):
		l.add(u, evt, made)
		return l.insist(l.ctx, "append events", u.Flush)
	case len(made) == 0:
		return nil
	}
	stamp(made)
	return l.insist(l.ctx, "append events", func(ctx context.Context) error {
		return l.s.n.o.Sink.Append(ctx, made...)
	})
}

// add lets the events that were made of evt go with the next commit, and with them
// what whatsmeow wrote to read it. From then on others may read that.
func (l *line) add(u unit, evt any, made []pombo.Event) {
	stamp(made)
	if !isMessage(evt) {
		u.Add(made...)
		return
	}
	u.End(true, made...)
	l.turn.release()
}

// stamp notes when events got here; a message has its own time in it.
func stamp(made []pombo.Event) {
	now := time.Now()
	for i := range made {
		made[i].Time = now
	}
}

// translate never loses an event: what cannot be translated, it gives as it
// came.
func (l *line) translate(evt any) []pombo.Event {
	scope := l.scope
	scope.Settings = *l.s.settings.Load()
	votes := &votes{l: l}
	scope.DecryptPollVote, scope.PollOptions = votes.decrypt, votes.options
	made, err := l.translated(scope, evt)
	if err == nil {
		return made
	}
	l.log.Error("an event could not be translated: it is sent as it came", "event", fmt.Sprintf("%T", evt), "err", err)
	if raw, ok := scope.Raw(evt, err); ok {
		return []pombo.Event{raw}
	}
	return nil
}

func (l *line) translated(scope translate.Scope, evt any) (made []pombo.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			made, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	if hook := l.s.n.o.OnEvent; hook != nil {
		hook(evt)
	}
	return scope.Event(evt)
}

// readableForRetry holds back the confirmation of a request to send a message
// again until the store can give that message: whatsmeow answers the request
// beside the handler, and would find nothing while the store is down.
func (l *line) readableForRetry(evt any) error {
	r, ok := evt.(*events.Receipt)
	if !ok || r.Type != types.ReceiptTypeRetry {
		return nil
	}
	for _, id := range r.MessageIDs {
		if _, _, err := l.sent(id); err != nil {
			l.end(err)
			return err
		}
	}
	return nil
}

// sent reads a sent message, insisting.
func (l *line) sent(id string) (m pombo.SentMessage, found bool, err error) {
	err = l.insist(l.ctx, "read a sent message", func(ctx context.Context) (err error) {
		m, found, err = l.s.n.o.Sent.Sent(ctx, l.s.id, id)
		return err
	})
	if errors.Is(err, context.Canceled) {
		err = errOver
	}
	return m, found, err
}

// isSignal tells whether evt is for the run: about the connection, not about
// what people do.
func (l *line) isSignal(evt any) bool {
	switch evt.(type) {
	case *events.QR, *events.PairSuccess, *events.PairError, *events.QRScannedWithoutMultidevice,
		*events.Connected, *events.Disconnected, *events.ManualLoginReconnect,
		*events.LoggedOut, *events.StreamReplaced, *events.TemporaryBan, *events.ConnectFailure,
		*events.ClientOutdated, *events.StreamError, *events.KeepAliveTimeout, *events.PushNameSetting:
		return true
	}
	return false
}
