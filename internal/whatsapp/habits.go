package whatsapp

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo"
)

// follow does what the settings ask for when something has come. made is what was
// told of it, and is committed; settings are those from before that.
func (l *line) follow(evt any, made []pombo.Event, settings *pombo.Settings) {
	switch evt := evt.(type) {
	case *events.MediaRetry:
		l.s.uploads.answer(evt)
	case *events.Message:
		if l.marks(settings, evt.Info) && told(made, pombo.MessagesUpsert) {
			l.later("marking a message as read", func(ctx context.Context) { l.readMessage(ctx, evt.Info) })
		}
	case *events.CallOffer:
		if settings.RejectCall && l.s.calls.add(evt.CallID, evt.Timestamp) {
			l.later("rejecting a call", func(ctx context.Context) { l.rejectCall(ctx, evt.BasicCallMeta, settings.MsgCall) })
		}
	}
}

// marks tells whether a message is to be marked as read.
func (l *line) marks(s *pombo.Settings, info types.MessageInfo) bool {
	switch {
	case info.IsFromMe, info.Chat.Server == types.NewsletterServer:
		return false
	case info.Chat == types.StatusBroadcastJID:
		return s.ReadStatus
	}
	return s.ReadMessages
}

func told(made []pombo.Event, name pombo.EventName) bool {
	for _, e := range made {
		if e.Name == name {
			return true
		}
	}
	return false
}

func (l *line) readMessage(ctx context.Context, info types.MessageInfo) {
	err := l.client.MarkRead(ctx, []types.MessageID{info.ID}, time.Now(), info.Chat, info.Sender)
	if err != nil && l.why() == nil {
		l.log.Warn("marking a message as read failed", "err", err)
	}
}

// rejectCall rejects a call, and writes to the caller if there is something to say.
// A call of a group is answered by nobody in particular.
func (l *line) rejectCall(ctx context.Context, call types.BasicCallMeta, text string) {
	if err := l.client.RejectCall(ctx, call.From, call.CallID); err != nil {
		if l.why() == nil {
			l.log.Warn("rejecting a call failed", "err", err)
		}
		return
	}
	if strings.TrimSpace(text) == "" || !call.GroupJID.IsEmpty() {
		return
	}
	_, err := l.send(ctx, caller(call), &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String(text)}})
	if err != nil && l.why() == nil {
		l.log.Warn("writing to a caller failed", "err", err)
	}
}

// caller is who is written to about a call: the number, if the call names it, as
// sendText would.
func caller(call types.BasicCallMeta) types.JID {
	from := call.From.ToNonAD()
	if from.Server == types.HiddenUserServer && from == call.CallCreator.ToNonAD() && call.CallCreatorAlt.Server == types.DefaultUserServer {
		return call.CallCreatorAlt.ToNonAD()
	}
	return from
}

// callAge is how long after its beginning a call can be rejected: nobody wants an
// answer to one that was rung while the gateway was away.
const callAge = time.Minute

// calls remembers the calls that were rejected, since WhatsApp repeats itself.
type calls struct {
	mu   sync.Mutex
	seen map[string]time.Time // until when
}

// add tells whether a call that began at this time is to be rejected.
func (c *calls) add(id string, began time.Time) bool {
	now := time.Now()
	if now.Sub(began) > callAge {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for old, until := range c.seen {
		if now.After(until) {
			delete(c.seen, old)
		}
	}
	if _, seen := c.seen[id]; seen {
		return false
	}
	if c.seen == nil {
		c.seen = map[string]time.Time{}
	}
	c.seen[id] = now.Add(2 * callAge)
	return true
}
