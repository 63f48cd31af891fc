package whatsapp

import (
	"context"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"pombo"
	"pombo/internal/evolution"
	"pombo/internal/translate"
)

// MarkRead marks messages as read, so that who wrote them sees it. Our own are
// passed over, as in the original. Errors: Invalid if the instance is not connected
// or a key names no chat.
func (s *Session) MarkRead(ctx context.Context, keys []pombo.MessageKey) error {
	l, ctx, done, err := s.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	type place struct{ chat, author types.JID }
	var order []place
	ids := map[place][]types.MessageID{}
	for _, k := range keys {
		if k.FromMe {
			continue
		}
		var p place
		if p.chat, err = parseJID("remoteJid", k.RemoteJID); err != nil {
			return err
		}
		if k.Participant != "" {
			if p.author, err = parseJID("participant", k.Participant); err != nil {
				return err
			}
		}
		if ids[p] == nil {
			order = append(order, p)
		}
		ids[p] = append(ids[p], k.ID)
	}
	for _, p := range order {
		if err := l.client.MarkRead(ctx, ids[p], time.Now(), p.chat, p.author); err != nil {
			return unavailable("WhatsApp was not told that the messages were read", err)
		}
	}
	return nil
}

// parseJID reads a JID, or a number, that stands in a field of a request.
func parseJID(name, text string) (types.JID, error) {
	written, err := evolution.CreateJID(text)
	if err != nil {
		return types.EmptyJID, pombo.Errorf(pombo.Invalid, "%s: %w", name, err)
	}
	jid, err := types.ParseJID(written)
	if err != nil {
		return types.EmptyJID, pombo.Errorf(pombo.Invalid, "%s %q is not a JID: %w", name, text, err)
	}
	return jid, nil
}

// EditText gives a text that we sent another wording, and appends a
// SEND_MESSAGE_UPDATE. Errors: Invalid if the instance is not connected, or the
// message is of another chat, not a text, or too old; NotFound if it was not sent
// from here.
func (s *Session) EditText(ctx context.Context, e pombo.Edit) (pombo.Sent, error) {
	l, ctx, done, err := s.use(ctx)
	if err != nil {
		return pombo.Sent{}, err
	}
	defer done()
	to, err := l.recipient(ctx, e.Number)
	if err != nil {
		return pombo.Sent{}, err
	}
	named, err := parseJID("key.remoteJid", e.Key.RemoteJID)
	if err != nil {
		return pombo.Sent{}, err
	}
	kept, found, err := l.sent(e.Key.ID)
	switch {
	case err != nil:
		return pombo.Sent{}, unavailable("The message could not be looked up", err)
	case l.scope.Lane(named) != l.scope.Lane(to):
		return pombo.Sent{}, otherChat()
	case !found || !e.Key.FromMe:
		return pombo.Sent{}, hinted(pombo.NotFound, "Message not found", "Only what this instance sent itself can be edited: give the key that sendText answered with")
	case !l.isIn(kept, to):
		return pombo.Sent{}, otherChat()
	case time.Since(kept.At) > whatsmeow.EditWindow:
		return pombo.Sent{}, pombo.Errorf(pombo.Invalid, "The message is too old: WhatsApp takes edits for %d minutes", whatsmeow.EditWindow/time.Minute)
	}
	var m waE2E.Message
	if err := proto.Unmarshal(kept.Message, &m); err != nil {
		return pombo.Sent{}, err
	}
	if m.ExtendedTextMessage == nil && m.Conversation == nil {
		return pombo.Sent{}, hinted(pombo.Invalid, "Message not compatible", "Only texts can be edited")
	}
	edit := l.client.BuildEdit(to, e.Key.ID, &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String(e.Text)}})
	id, at, err := l.put(ctx, to, edit)
	if err != nil {
		return pombo.Sent{}, err
	}
	return l.tellSent(ctx, id)(l.scope.SentOrder(translate.Outgoing{ID: id, Chat: to, Message: edit, Time: at, Device: l.own}))
}

// isIn tells whether a message was sent to a chat.
func (l *line) isIn(m pombo.SentMessage, chat types.JID) bool {
	jid, err := types.ParseJID(m.Chat)
	return err == nil && l.scope.Lane(jid) == l.scope.Lane(chat)
}

func otherChat() error {
	return hinted(pombo.Invalid, "RemoteJid does not match", "The message is not in the chat that the request names")
}

// hinted is an error in the words of the original, and what to do about it.
func hinted(kind pombo.Kind, message, hint string) error {
	e := pombo.Errorf(kind, "%s", message)
	e.Detail = []string{message, hint}
	return e
}

// DeleteMessage deletes a message for everyone in its chat: one that this account
// sent, or in a group, as an admin, any. It appends a MESSAGES_DELETE. WhatsApp
// does not tell whether there was such a message, nor whether the phones did as
// they were asked: they do for some two days. Errors: Invalid if the instance is not
// connected, or the message is somebody else's and cannot be deleted.
func (s *Session) DeleteMessage(ctx context.Context, key pombo.MessageKey) (pombo.Sent, error) {
	l, ctx, done, err := s.use(ctx)
	if err != nil {
		return pombo.Sent{}, err
	}
	defer done()
	to, err := l.recipient(ctx, key.RemoteJID)
	if err != nil {
		return pombo.Sent{}, err
	}
	author := types.EmptyJID
	if !key.FromMe {
		if to.Server != types.GroupServer {
			return pombo.Sent{}, pombo.Errorf(pombo.Invalid, "fromMe is false: what others wrote can be deleted in groups only, by an admin")
		}
		if key.Participant == "" {
			return pombo.Sent{}, pombo.Errorf(pombo.Invalid, "participant is missing: say who wrote the message that is to be deleted")
		}
		if author, err = parseJID("participant", key.Participant); err != nil {
			return pombo.Sent{}, err
		}
	}
	kept, found, err := l.sent(key.ID)
	if err != nil {
		return pombo.Sent{}, unavailable("The message could not be looked up", err)
	}
	if found && key.FromMe && !l.isIn(kept, to) {
		return pombo.Sent{}, otherChat()
	}
	revoke := l.client.BuildRevoke(to, author, key.ID)
	id, at, err := l.put(ctx, to, revoke)
	if err != nil {
		return pombo.Sent{}, err
	}
	return l.tellSent(ctx, id)(l.scope.SentOrder(translate.Outgoing{ID: id, Chat: to, Message: revoke, Time: at, Device: l.own}))
}
