package translate

import (
	"encoding/base64"
	"strconv"
	"strings"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo"
)

// Raw makes an event of what Event could not translate, so that it is delivered
// rather than lost. A message's is a MESSAGES_UPSERT, a receipt's a
// MESSAGES_UPDATE, with the key that the translation would have had,
// "messageType":"unknown", an empty "message", and beside the usual fields
//
//	"raw": {"error": "…", "type": "WAWebProtobufsE2E.Message", "protobuf": "<base64>"}
//
// from which a receiver, or a later version, can get the message. Events that
// carry no message give ok false: there is nothing in them to keep. So do messages
// between the account's own devices, which hold keys.
func (s Scope) Raw(evt any, cause error) (out pombo.Event, ok bool) {
	switch evt := evt.(type) {
	case *events.Message:
		if betweenDevices(evt) {
			return pombo.Event{}, false
		}
		return s.rawMessage(evt, cause), true
	case *events.Receipt:
		return s.rawReceipt(evt, cause), true
	}
	return pombo.Event{}, false
}

// rawMessage uses nothing of what translates messages, since that just failed.
func (s Scope) rawMessage(evt *events.Message, cause error) pombo.Event {
	info := evt.Info
	chat := info.Chat.ToNonAD().String()
	data := appendString([]byte(`{"key":{"remoteJid":`), chat)
	data = strconv.AppendBool(append(data, `,"fromMe":`...), info.IsFromMe)
	data = appendString(append(data, `,"id":`...), info.ID)
	data = appendString(append(data, `,"participant":`...), groupSender(info.MessageSource))
	data = appendString(append(data, `,"addressingMode":`...), mode(info.Sender))
	data = appendString(append(data, `},"pushName":`...), info.PushName)
	data = append(data, `,"message":{},"messageType":"unknown","messageTimestamp":`...)
	data = strconv.AppendInt(data, info.Timestamp.Unix(), 10)
	data = s.appendOwner(data)
	data = appendString(append(data, `,"source":`...), Source(info.ID))
	raw := evt.RawMessage
	if raw == nil {
		raw = evt.Message
	}
	data = appendRaw(data, raw, cause)
	return s.upsert(evt, s.laneOrRaw(info.Chat), append(data, '}'))
}

func (s Scope) rawReceipt(evt *events.Receipt, cause error) pombo.Event {
	data := []byte(`{"keyIds":[`)
	for i, id := range evt.MessageIDs {
		if i > 0 {
			data = append(data, ',')
		}
		data = appendString(data, id)
	}
	data = appendString(append(data, `],"remoteJid":`...), evt.Chat.ToNonAD().String())
	data = strconv.AppendBool(append(data, `,"fromMe":`...), !evt.IsFromMe)
	data = appendString(append(data, `,"participant":`...), groupSender(evt.MessageSource))
	data = appendString(append(data, `,"status":`...), string(evt.Type))
	data = strconv.AppendInt(append(data, `,"datetime":`...), evt.Timestamp.UnixMilli(), 10)
	data = s.appendOwner(data)
	data = appendRaw(data, nil, cause)
	return pombo.Event{
		Instance: s.Instance, Name: pombo.MessagesUpdate, Chat: s.laneOrRaw(evt.Chat),
		Key:    "raw|" + evt.Chat.String() + "|" + evt.Sender.String() + "|" + string(evt.Type) + "|" + strings.Join(evt.MessageIDs, ","),
		Sender: s.sender(), Time: evt.Timestamp, Data: append(data, '}'),
	}
}

func groupSender(src types.MessageSource) string {
	if src.IsGroup {
		return src.Sender.ToNonAD().String()
	}
	return ""
}

// laneOrRaw is Lane, or the JID as it came if looking up its other form is what
// failed.
func (s Scope) laneOrRaw(jid types.JID) (lane string) {
	defer func() {
		if recover() != nil {
			lane = jid.ToNonAD().String()
		}
	}()
	return s.Lane(jid)
}

func appendRaw(dst []byte, m proto.Message, cause error) []byte {
	reason, _, _ := strings.Cut(cause.Error(), "\n") // without a panic's stack
	dst = appendString(append(dst, `,"raw":{"error":`...), reason)
	if m != nil && m.ProtoReflect().IsValid() {
		dst = appendString(append(dst, `,"type":`...), string(m.ProtoReflect().Descriptor().FullName()))
		b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
		if err != nil {
			dst = appendString(append(dst, `,"marshalError":`...), err.Error())
		} else {
			dst = append(append(dst, `,"protobuf":"`...), base64.StdEncoding.EncodeToString(b)...)
			dst = append(dst, '"')
		}
	}
	return append(dst, '}')
}
