package translate

import (
	"strings"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// appendContent appends `,"message":{…}` and, where the rule asks for it,
// `,"contextInfo":…`, and returns the message's type and where the message ends.
// A url is put at its end as mediaUrl.
//
// contextInfo repeats what stands in the first content field. It is null if a
// message of that type could have one but has not, and left out if the type has
// none.
func (s Scope) appendContent(dst []byte, m *waE2E.Message, url string) (_ []byte, messageType string, end int, err error) {
	r := m.ProtoReflect()
	first := firstContent(r)
	messageType = "unknown"
	if first != nil {
		messageType = first.name
	}
	dst = append(dst, `,"message":`...)
	if s.KeepWrappers {
		dst, err = appendMessage(dst, r, 0)
	} else {
		dst, messageType, err = appendRewritten(dst, m, messageType)
	}
	if err != nil {
		return nil, "", 0, err
	}
	if url != "" {
		dst = append(appendString(append(dst[:len(dst)-1], `,"mediaUrl":`...), url), '}')
	}
	end = len(dst) - 1
	if first == nil || first.kind != protoreflect.MessageKind || first.fd.IsList() {
		return dst, messageType, end, nil
	}
	fd := first.fd.Message().Fields().ByName("contextInfo")
	if fd == nil || fd.Kind() != protoreflect.MessageKind {
		return dst, messageType, end, nil
	}
	dst = append(dst, `,"contextInfo":`...)
	value := r.Get(first.fd).Message()
	info, ok := value.Get(fd).Message().Interface().(*waE2E.ContextInfo)
	if !value.Has(fd) || !ok {
		return append(dst, "null"...), messageType, end, nil
	}
	dst, err = s.appendContextInfo(dst, info)
	return dst, messageType, end, err
}

// firstContent finds the field that names the message's type: the first that is
// "conversation" or has "Message" in its name and is not a key.
func firstContent(r protoreflect.Message) *field {
	fields := shapeOf(r.Descriptor()).fields
	for i := range fields {
		f := &fields[i]
		if f.name != "conversation" && !strings.Contains(f.name, "Message") || silent(f.name) {
			continue
		}
		if r.Has(f.fd) {
			return f
		}
	}
	return nil
}

// appendRewritten appends a message as 2.x shows it: an extended text as
// conversation, a document with caption as the document.
func appendRewritten(dst []byte, m *waE2E.Message, messageType string) ([]byte, string, error) {
	text := m.ExtendedTextMessage
	document := m.GetDocumentWithCaptionMessage().GetMessage().GetDocumentMessage()
	if text == nil && document == nil {
		dst, err := appendMessage(dst, m.ProtoReflect(), 0)
		return dst, messageType, err
	}
	start := len(dst) + 1
	dst, err := appendFields(append(dst, '{'), m.ProtoReflect(), 0, func(name string) bool {
		return name == "extendedTextMessage" && text != nil || name == "documentWithCaptionMessage" && document != nil ||
			name == "conversation" && text != nil
	})
	if err != nil {
		return nil, "", err
	}
	comma := func() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
	}
	if text != nil {
		comma()
		dst = appendString(append(dst, `"conversation":`...), text.GetText())
		if messageType == "extendedTextMessage" {
			messageType = "conversation"
		}
	}
	if document != nil {
		comma()
		dst = append(dst, `"documentMessage":`...)
		if dst, err = appendMessage(dst, document.ProtoReflect(), 1); err != nil {
			return nil, "", err
		}
		if messageType == "documentWithCaptionMessage" {
			messageType = "documentMessage"
		}
	}
	return append(dst, '}'), messageType, nil
}

// appendContextInfo appends the copy that stands beside the message. In it the
// quoted message is rewritten too; in the message itself it is not.
func (s Scope) appendContextInfo(dst []byte, info *waE2E.ContextInfo) ([]byte, error) {
	quoted := info.QuotedMessage
	if s.KeepWrappers || quoted == nil {
		return appendMessage(dst, info.ProtoReflect(), 0)
	}
	start := len(dst) + 1
	dst, err := appendFields(append(dst, '{'), info.ProtoReflect(), 0, func(name string) bool {
		return name == "quotedMessage"
	})
	if err != nil {
		return nil, err
	}
	if len(dst) > start {
		dst = append(dst, ',')
	}
	dst = append(dst, `"quotedMessage":`...)
	if dst, _, err = appendRewritten(dst, quoted, ""); err != nil {
		return nil, err
	}
	return append(dst, '}'), nil
}
