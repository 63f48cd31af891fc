package translate

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo"
)

// What cannot be translated comes out as it came, under the key that it would
// have had.
func TestRaw(t *testing.T) {
	evt := received(&waE2E.Message{Conversation: proto.String("hi")})
	s := scope()
	want := one(t, s, evt)
	s.Alt = func(types.JID) types.JID { panic("broken") }
	evt.Info.SenderAlt = types.EmptyJID

	_, err := s.Event(evt)
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Fatalf("a panic came back as %v", err)
	}
	raw, ok := s.Raw(evt, err)
	if !ok {
		t.Fatal("there is no raw form of a message")
	}
	if raw.Key != want.Key || raw.Name != want.Name || raw.Chat != want.Chat || raw.Instance != want.Instance {
		t.Errorf("got %+v\nwant the key, name and lane of %+v", raw, want)
	}
	var data struct {
		MessageType string
		Raw         struct{ Error, Type, Protobuf string }
	}
	if err := json.Unmarshal(raw.Data, &data); err != nil {
		t.Fatalf("%v in %s", err, raw.Data)
	}
	b, err := base64.StdEncoding.DecodeString(data.Raw.Protobuf)
	if err != nil {
		t.Fatal(err)
	}
	var m waE2E.Message
	if err := proto.Unmarshal(b, &m); err != nil || m.GetConversation() != "hi" {
		t.Errorf("the protobuf holds %v, %v", &m, err)
	}
	if data.MessageType != "unknown" || data.Raw.Type != "WAWebProtobufsE2E.Message" ||
		!strings.Contains(data.Raw.Error, "broken") || strings.Contains(string(raw.Data), "goroutine") {
		t.Errorf("got %s", raw.Data)
	}
}

func TestRawReceipt(t *testing.T) {
	raw, ok := scope().Raw(receiptOf(types.ReceiptTypeRead, "A", "B"), errors.New("broken"))
	if !ok || raw.Name != pombo.MessagesUpdate || !json.Valid(raw.Data) || raw.Key == "" {
		t.Errorf("got %+v", raw)
	}
	if _, ok := scope().Raw(&events.Connected{}, errors.New("x")); ok {
		t.Error("an event without a message has a raw form")
	}
}

// A message of a type that is newer than this version is stored raw.
func TestUnknownContent(t *testing.T) {
	var m waE2E.Message
	if err := proto.Unmarshal([]byte{0xfa, 0x3e, 0x02, 'h', 'i'}, &m); err != nil { // field 1007
		t.Fatal(err)
	}
	if _, err := scope().Event(received(&m)); !errors.Is(err, errUnknownContent) {
		t.Errorf("got %v", err)
	}
}

func TestTooDeepIsAnError(t *testing.T) {
	m := &waE2E.Message{Conversation: proto.String("core")}
	for range 200 {
		m = &waE2E.Message{EphemeralMessage: &waE2E.FutureProofMessage{Message: m}}
	}
	evt := received(m)
	_, err := scope().Event(evt)
	if err == nil {
		t.Fatal("no error")
	}
	if raw, ok := scope().Raw(evt, err); !ok || !json.Valid(raw.Data) {
		t.Errorf("got %s", raw.Data)
	}
}
