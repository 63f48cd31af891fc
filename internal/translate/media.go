package translate

import (
	"math"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/reflect/protoreflect"

	"pombo"
)

// filePart is the part of a message that refers to a file.
type filePart interface {
	GetURL() string
	GetDirectPath() string
	GetMediaKey() []byte
	GetFileSHA256() []byte
	GetFileEncSHA256() []byte
	GetFileLength() uint64
	GetMimetype() string
}

// Media finds the file of a message: an image, video, audio, document or sticker,
// in whatever wrapper. It returns nil if there is none. Of the fields that do not
// stand in the message none is set.
func Media(m *waE2E.Message) *pombo.Media {
	for range maxDepth {
		name, part := filePartOf(m)
		if part != nil {
			return describe(name, part)
		}
		if m = wrapped(m); m == nil {
			return nil
		}
	}
	return nil
}

func filePartOf(m *waE2E.Message) (string, filePart) {
	switch {
	case m.GetImageMessage() != nil:
		return "imageMessage", m.ImageMessage
	case m.GetVideoMessage() != nil:
		return "videoMessage", m.VideoMessage
	case m.GetPtvMessage() != nil:
		return "ptvMessage", m.PtvMessage
	case m.GetAudioMessage() != nil:
		return "audioMessage", m.AudioMessage
	case m.GetDocumentMessage() != nil:
		return "documentMessage", m.DocumentMessage
	case m.GetStickerMessage() != nil:
		return "stickerMessage", m.StickerMessage
	}
	return "", nil
}

func describe(name string, part filePart) *pombo.Media {
	out := &pombo.Media{
		Type: name, URL: part.GetURL(), DirectPath: part.GetDirectPath(), Key: part.GetMediaKey(),
		SHA256: part.GetFileSHA256(), EncSHA256: part.GetFileEncSHA256(),
		Size: int64(min(part.GetFileLength(), math.MaxInt64/2)), Mimetype: part.GetMimetype(),
	}
	if p, ok := part.(interface{ GetCaption() string }); ok {
		out.Caption = p.GetCaption()
	}
	if p, ok := part.(interface{ GetFileName() string }); ok {
		out.FileName = p.GetFileName()
	}
	if p, ok := part.(interface {
		GetWidth() uint32
		GetHeight() uint32
	}); ok {
		out.Width, out.Height = p.GetWidth(), p.GetHeight()
	}
	return out
}

var wrapper = (&waE2E.FutureProofMessage{}).ProtoReflect().Descriptor().FullName()

// wrapped returns the message in m's wrapper, whichever of them it is; nil if
// there is none.
func wrapped(m *waE2E.Message) (inner *waE2E.Message) {
	if m.GetDeviceSentMessage() != nil {
		return m.DeviceSentMessage.GetMessage()
	}
	m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Kind() != protoreflect.MessageKind || fd.IsList() || fd.Message().FullName() != wrapper {
			return true
		}
		if w, ok := v.Message().Interface().(*waE2E.FutureProofMessage); ok {
			inner = w.GetMessage()
		}
		return inner == nil
	})
	return inner
}

// attach makes the attachment of a message and the address under which its file
// can be had, "" if there is none.
func (s Scope) attach(info types.MessageInfo, occurrence string, content *waE2E.Message) (a pombo.Attachment, url string) {
	if s.File == nil || content.Conversation != nil || content.ExtendedTextMessage != nil { // most messages
		return pombo.Attachment{}, ""
	}
	m := Media(content)
	if m == nil {
		return pombo.Attachment{}, ""
	}
	m.Message, m.FromMe, m.Group = info.ID, info.IsFromMe, info.IsGroup
	m.Chat, m.Sender = info.Chat.ToNonAD().String(), info.Sender.ToNonAD().String()
	a.Media = m
	a.ID, url = s.File(occurrence)
	return a, url
}
