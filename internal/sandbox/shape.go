package sandbox

import (
	"go.mau.fi/whatsmeow/proto/waE2E"
)

// shape is what a stanza tells about the message that it carries encrypted (whatsmeow send.go, getTypeFromMessage,
// getMediaTypeFromMessage, getEditAttribute).
type shape struct {
	kind  string // text, media, reaction or poll
	media string // image, video, ptt, …
	edit  string // 1: an edit, 7: taken back by its sender, 8: by a group's admin
	hide  bool   // a client that cannot decrypt it shows nothing
}

func shapeOf(m *waE2E.Message) shape {
	inner := unwrap(m)
	s := shape{kind: "text", media: mediaOf(inner)}
	switch {
	case inner.ReactionMessage != nil, inner.EncReactionMessage != nil:
		s.kind, s.hide = "reaction", true
		if inner.ReactionMessage != nil && inner.GetReactionMessage().GetText() == "" {
			s.edit = "7"
		}
	case inner.PollUpdateMessage != nil:
		s.kind, s.hide = "poll", true
	case inner.PollCreationMessage != nil, inner.PollCreationMessageV2 != nil, inner.PollCreationMessageV3 != nil:
		s.kind = "poll"
	case s.media != "":
		s.kind = "media"
	}
	if p := inner.GetProtocolMessage(); p.GetKey() != nil {
		switch p.GetType() {
		case waE2E.ProtocolMessage_REVOKE:
			s.edit, s.hide = "7", true
			if p.GetKey().GetParticipant() != "" && !p.GetKey().GetFromMe() {
				s.edit = "8"
			}
		case waE2E.ProtocolMessage_MESSAGE_EDIT:
			s.edit, s.hide = "1", true
		}
	}
	return s
}

// unwrap takes a message out of the envelopes that only mark it.
func unwrap(m *waE2E.Message) *waE2E.Message {
	for range 4 {
		var inner *waE2E.Message
		for _, envelope := range []*waE2E.FutureProofMessage{
			m.GetViewOnceMessage(), m.GetViewOnceMessageV2(), m.GetViewOnceMessageV2Extension(), m.GetEphemeralMessage(),
			m.GetDocumentWithCaptionMessage(), m.GetLottieStickerMessage(), m.GetEditedMessage(),
		} {
			if envelope.GetMessage() != nil {
				inner = envelope.GetMessage()
			}
		}
		if inner == nil {
			return m
		}
		m = inner
	}
	return m
}

func mediaOf(m *waE2E.Message) string {
	switch {
	case m.ExtendedTextMessage != nil && m.GetExtendedTextMessage().Title != nil:
		return "url"
	case m.ImageMessage != nil:
		return "image"
	case m.StickerMessage != nil:
		return "sticker"
	case m.DocumentMessage != nil:
		return "document"
	case m.AudioMessage != nil && m.GetAudioMessage().GetPTT():
		return "ptt"
	case m.AudioMessage != nil:
		return "audio"
	case m.VideoMessage != nil && m.GetVideoMessage().GetGifPlayback():
		return "gif"
	case m.VideoMessage != nil:
		return "video"
	case m.ContactMessage != nil:
		return "vcard"
	case m.ContactsArrayMessage != nil:
		return "contact_array"
	case m.ListMessage != nil:
		return "list"
	case m.ListResponseMessage != nil:
		return "list_response"
	case m.ButtonsResponseMessage != nil:
		return "buttons_response"
	case m.OrderMessage != nil:
		return "order"
	case m.ProductMessage != nil:
		return "product"
	case m.InteractiveResponseMessage != nil:
		return "native_flow_response"
	}
	return ""
}

// textOf is the text that a person would read in a message, or "".
func textOf(m *waE2E.Message) string {
	m = unwrap(m)
	for _, text := range []string{
		m.GetConversation(), m.GetExtendedTextMessage().GetText(), m.GetImageMessage().GetCaption(),
		m.GetVideoMessage().GetCaption(), m.GetDocumentMessage().GetCaption(), m.GetReactionMessage().GetText(),
		m.GetButtonsMessage().GetContentText(), m.GetListMessage().GetDescription(),
	} {
		if text != "" {
			return text
		}
	}
	if edited := m.GetProtocolMessage().GetEditedMessage(); edited != nil {
		return textOf(edited)
	}
	return ""
}
