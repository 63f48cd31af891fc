package translate

import (
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// target describes, as this account sees it, the message that a key in a
// stanza names. The sender wrote the key as they see it: their own messages are
// "fromMe", and the chat is us. info is the stanza's. Source of the rule: Baileys,
// cleanMessage.
func (s Scope) target(info types.MessageInfo, key *waCommon.MessageKey) types.MessageInfo {
	out := types.MessageInfo{ID: key.GetID()}
	out.Chat, out.IsGroup, out.AddressingMode = info.Chat, info.IsGroup, info.AddressingMode
	author := parsed(key.GetParticipant())
	switch {
	case info.IsFromMe:
		out.IsFromMe = key.GetFromMe()
	case key.GetFromMe():
		author = info.Sender
	case author.IsEmpty():
		out.IsFromMe = s.isOwn(parsed(key.GetRemoteJID()))
	default:
		out.IsFromMe = s.isOwn(author)
	}
	if !info.IsGroup {
		// Both fields say what the chat's other form is.
		out.SenderAlt = info.SenderAlt
		if info.IsFromMe {
			out.SenderAlt = info.RecipientAlt
		}
		out.RecipientAlt = out.SenderAlt
		out.Sender = info.Chat
		return out
	}
	switch {
	case out.IsFromMe:
		author = s.Own
	case author.IsEmpty():
		author = info.Sender
	}
	out.Sender = author
	if plain(author) == plain(info.Sender) {
		out.SenderAlt = info.SenderAlt
	}
	return out
}

func (s Scope) isOwn(jid types.JID) bool {
	jid = plain(jid)
	return !jid.IsEmpty() && (jid == plain(s.Own) || jid == plain(s.OwnLID))
}

// parsed returns an empty JID for what is none.
func parsed(text string) types.JID {
	if text == "" {
		return types.EmptyJID
	}
	jid, err := types.ParseJID(text)
	if err != nil {
		return types.EmptyJID
	}
	return jid
}

// ownReaction returns content, or a copy of it in which the key of a reaction
// is as this account sees it.
func (s Scope) ownReaction(info types.MessageInfo, content *waE2E.Message) *waE2E.Message {
	if innermost(content).GetReactionMessage().GetKey() == nil {
		return content
	}
	content = proto.CloneOf(content)
	key := innermost(content).ReactionMessage.Key
	target := s.target(info, key)
	chat, _ := s.forms(target.Chat, target.SenderAlt)
	key.RemoteJID = proto.String(plainOrRaw(chat, key.GetRemoteJID()))
	key.FromMe = proto.Bool(target.IsFromMe)
	if target.IsGroup {
		participant, _ := s.forms(target.Sender, target.SenderAlt)
		key.Participant = proto.String(participant.String())
	}
	return content
}

func plainOrRaw(jid types.JID, raw string) string {
	if jid.IsEmpty() {
		return raw
	}
	return jid.String()
}

// innermost is the message in all wrappers that Baileys looks into
// (normalizeMessageContent). It may be nil.
func innermost(m *waE2E.Message) *waE2E.Message {
	for range maxDepth {
		var next *waE2E.Message
		for _, w := range [...]*waE2E.FutureProofMessage{
			m.GetEphemeralMessage(), m.GetViewOnceMessage(), m.GetDocumentWithCaptionMessage(),
			m.GetViewOnceMessageV2(), m.GetViewOnceMessageV2Extension(), m.GetEditedMessage(),
		} {
			if inner := w.GetMessage(); inner != nil {
				next = inner
				break
			}
		}
		if next == nil {
			return m
		}
		m = next
	}
	return m
}
