package translate

import (
	"encoding/json"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// FuzzMessage: whatever protobuf a sender puts together, the event is valid JSON
// and nothing panics; what cannot be translated has a raw form.
func FuzzMessage(f *testing.F) {
	for _, m := range []*waE2E.Message{
		{Conversation: proto.String("hi\xff")},
		{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("re"), ContextInfo: &waE2E.ContextInfo{
			StanzaID: proto.String("X"), QuotedMessage: &waE2E.Message{DocumentWithCaptionMessage: &waE2E.FutureProofMessage{
				Message: &waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{Caption: proto.String("c")}}}},
			MentionedJID: []string{"a@lid"}}}},
		{DeviceSentMessage: &waE2E.DeviceSentMessage{Message: &waE2E.Message{Conversation: proto.String("x")}},
			MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: []byte{1}}},
		{EphemeralMessage: &waE2E.FutureProofMessage{Message: &waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false, false)
		f.Add(b, true, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, fromMe, isGroup bool) {
		var m waE2E.Message
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		for _, keep := range []bool{false, true} {
			s := scope()
			s.KeepWrappers = keep
			evt := received(&m)
			evt.Info.IsFromMe, evt.Info.IsGroup = fromMe, isGroup
			before := proto.Clone(&m)
			out, err := s.Event(evt)
			if err != nil {
				raw, ok := s.Raw(evt, err)
				if !ok {
					t.Fatal("no raw form")
				}
				out = append(out, raw)
			}
			for _, e := range out {
				if !json.Valid(e.Data) || e.Key == "" {
					t.Fatalf("got %+v", e)
				}
			}
			if !proto.Equal(before, &m) {
				t.Fatal("the message was changed")
			}
		}
	})
}

// FuzzDecodeJSON: whatever a client sends as a quoted message, it is read or
// refused, and what was read can be shown again.
func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"conversation":"hi","imageMessage":{"fileSha256":{"0":1},"fileLength":{"low":-1,"high":2}}}`))
	f.Add([]byte(`{"messageContextInfo":{"deviceListMetadata":{"senderKeyIndexes":[1,"2",-3]}},"protocolMessage":{"type":"REVOKE"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m waE2E.Message
		if DecodeJSON(b, &m) != nil {
			return
		}
		if _, err := proto.Marshal(&m); err != nil {
			t.Fatal(err)
		}
		out, err := AppendJSON(nil, &m)
		if err == nil && !json.Valid(out) {
			t.Fatalf("got %s", out)
		}
	})
}
