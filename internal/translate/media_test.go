package translate

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// wrappers put a message into each kind of wrapper.
var wrappers = map[string]func(*waE2E.Message) *waE2E.Message{
	"none":      func(m *waE2E.Message) *waE2E.Message { return m },
	"ephemeral": func(m *waE2E.Message) *waE2E.Message { return &waE2E.Message{EphemeralMessage: future(m)} },
	"view once": func(m *waE2E.Message) *waE2E.Message { return &waE2E.Message{ViewOnceMessage: future(m)} },
	"view once 2": func(m *waE2E.Message) *waE2E.Message {
		return &waE2E.Message{EphemeralMessage: future(&waE2E.Message{ViewOnceMessageV2: future(m)})}
	},
	"view once of a voice": func(m *waE2E.Message) *waE2E.Message { return &waE2E.Message{ViewOnceMessageV2Extension: future(m)} },
	"captioned":            func(m *waE2E.Message) *waE2E.Message { return &waE2E.Message{DocumentWithCaptionMessage: future(m)} },
	"album":                func(m *waE2E.Message) *waE2E.Message { return &waE2E.Message{AssociatedChildMessage: future(m)} },
	"group status":         func(m *waE2E.Message) *waE2E.Message { return &waE2E.Message{GroupStatusMessageV2: future(m)} },
	"edited":               func(m *waE2E.Message) *waE2E.Message { return &waE2E.Message{EditedMessage: future(m)} },
	"device sent": func(m *waE2E.Message) *waE2E.Message {
		return &waE2E.Message{DeviceSentMessage: &waE2E.DeviceSentMessage{Message: m}}
	},
}

func future(m *waE2E.Message) *waE2E.FutureProofMessage { return &waE2E.FutureProofMessage{Message: m} }

// A message with a file names it, in whatever wrapper, and there is room for it at
// the end of the message.
func TestFiles(t *testing.T) {
	kinds := map[string]func() *waE2E.Message{
		"imageMessage": func() *waE2E.Message {
			return &waE2E.Message{ImageMessage: &waE2E.ImageMessage{Caption: proto.String("c")}}
		},
		"videoMessage": func() *waE2E.Message { return &waE2E.Message{VideoMessage: &waE2E.VideoMessage{}} },
		"ptvMessage":   func() *waE2E.Message { return &waE2E.Message{PtvMessage: &waE2E.VideoMessage{}} },
		"audioMessage": func() *waE2E.Message { return &waE2E.Message{AudioMessage: &waE2E.AudioMessage{}} },
		"documentMessage": func() *waE2E.Message {
			return &waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{FileName: proto.String("f")}}
		},
		"stickerMessage": func() *waE2E.Message { return &waE2E.Message{StickerMessage: &waE2E.StickerMessage{}} },
	}
	s := scope()
	var asked string
	s.File = func(key string) (string, string) { asked = key; return "1f", "http://p/media/1f" }
	for wrapper, wrap := range wrappers {
		for kind, example := range kinds {
			e := upsertOf(t, s, received(wrap(example())))
			a := e.Attachment
			if a.ID != "1f" || asked != e.Key || a.Media == nil || a.Media.Type != kind || a.Media.Message != "3A001122334455667788" ||
				a.Media.Chat != ana.String() || a.Media.Sender != ana.String() {
				t.Errorf("%s in %s: %+v %+v", kind, wrapper, a, a.Media)
				continue
			}
			spliced := slices.Concat(e.Data[:a.Offset], []byte(`,"base64":"AAAA"`), e.Data[a.Offset:])
			var got struct {
				Message struct{ MediaURL, Base64 string }
			}
			if err := json.Unmarshal(spliced, &got); err != nil || got.Message.Base64 != "AAAA" || got.Message.MediaURL != "http://p/media/1f" {
				t.Errorf("%s in %s: %v in %s", kind, wrapper, err, spliced)
			}
			s.File = func(key string) (string, string) { asked = key; return "1f", "" }
			if e := upsertOf(t, s, received(wrap(example()))); strings.Contains(string(e.Data), "mediaUrl") || e.Attachment.ID != "1f" {
				t.Errorf("%s in %s, without an address: %s", kind, wrapper, e.Data)
			}
			s.File = func(key string) (string, string) { asked = key; return "1f", "http://p/media/1f" }
		}
	}
	text := upsertOf(t, s, received(&waE2E.Message{Conversation: proto.String("hi")}))
	location := upsertOf(t, s, received(&waE2E.Message{LocationMessage: &waE2E.LocationMessage{}}))
	if text.Attachment.ID != "" || location.Attachment.ID != "" {
		t.Error("what has no file has an attachment")
	}
}

// What a caller gives as a message is read like one that came.
func TestMediaOfJSON(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	var m waE2E.Message
	err := DecodeJSON([]byte(`{"documentMessage":{"url":"https://mmg.whatsapp.net/v/1","directPath":"/v/1","mediaKey":"`+key+`",
		"fileLength":{"low":7,"high":0,"unsigned":true},"fileName":"a.pdf","caption":"c"},"base64":"AAAA","mediaUrl":"x"}`), &m)
	if err != nil {
		t.Fatal(err)
	}
	got := Media(&m)
	if got == nil || got.FileName != "a.pdf" || got.Size != 7 || got.Caption != "c" || len(got.Key) != 32 {
		t.Errorf("got %+v", got)
	}
}
