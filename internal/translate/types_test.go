package translate

import (
	"encoding/json"
	"os"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// messageTypes reads testdata/types.json: messages as JSON, one or more of each
// type and wrapper that WhatsApp has.
func messageTypes(t testing.TB) map[string]*waE2E.Message {
	t.Helper()
	text, err := os.ReadFile("testdata/types.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]*waE2E.Message, len(all))
	for name, m := range all {
		out[name] = new(waE2E.Message)
		if err := DecodeJSON(m, out[name]); err != nil {
			t.Fatal(err)
		}
		if got := encode(t, out[name]); !sameJSON(t, []byte(got), m) {
			t.Errorf("%s: the example has what no message has: it is read as\n%s", name, got)
		}
	}
	return out
}

// Every message type comes as a MESSAGES_UPSERT in the form that was reviewed.
func TestMessageTypes(t *testing.T) {
	for name, m := range messageTypes(t) {
		t.Run(name, func(t *testing.T) {
			evt := received(m)
			shownIn := scope()
			shownIn.File = func(string) (string, string) { return "1f", "https://pombo.example/media/1f" }
			goldenIn(t, "types", name, upsertOf(t, shownIn, evt).Data)
			kept := scope()
			kept.KeepWrappers = true
			shown := parse(t, upsertOf(t, kept, evt).Data)
			if m.DeviceSentMessage == nil && innermost(m).ReactionMessage == nil && !sameJSON(t, shown["message"], []byte(encode(t, m))) {
				t.Errorf("with wrappers kept, message is %s", shown["message"])
			}
		})
	}
}

// No type of message is without an example, save those that are no messages.
func TestNoTypeIsMissing(t *testing.T) {
	have := map[string]bool{
		"messageContextInfo": true, "senderKeyDistributionMessage": true, "fastRatchetKeySenderKeyDistributionMessage": true,
		"protocolMessage": true,
	}
	for _, m := range messageTypes(t) {
		m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			have[jsonName(string(fd.Name()))] = true
			return true
		})
	}
	// Those that the examples of both versions have.
	for _, name := range []string{
		"conversation", "extendedTextMessage", "imageMessage", "audioMessage", "videoMessage", "documentMessage",
		"documentWithCaptionMessage", "locationMessage", "contactMessage", "contactsArrayMessage", "stickerMessage",
		"pollCreationMessageV3", "viewOnceMessageV2", "buttonsResponseMessage", "templateButtonReplyMessage",
		"listResponseMessage", "interactiveResponseMessage", "editedMessage",
	} {
		have[name] = true
	}
	for _, f := range shapeOf((&waE2E.Message{}).ProtoReflect().Descriptor()).fields {
		if !have[f.name] {
			t.Errorf("%s has no example in testdata/types.json", f.name)
		}
	}
}
