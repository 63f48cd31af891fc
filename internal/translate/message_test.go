package translate

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"pombo"
)

func findType(name protoreflect.FullName) (protoreflect.MessageType, error) {
	return protoregistry.GlobalTypes.FindMessageByName(name)
}

var (
	own    = types.NewJID("5511888880000", types.DefaultUserServer)
	ownLID = types.NewJID("999999999999999", types.HiddenUserServer)
	ana    = types.NewJID("5511999990000", types.DefaultUserServer)
	anaLID = types.NewJID("123456789012345", types.HiddenUserServer)
	group  = types.NewJID("120363000000000000", types.GroupServer)
)

func scope() Scope {
	return Scope{
		Instance: "7b1f6c1e-0000-4000-8000-000000000001", Name: "my-instance", Own: own, OwnLID: ownLID,
	}
}

func received(m *waE2E.Message) *events.Message {
	evt := &events.Message{RawMessage: m, Info: types.MessageInfo{
		MessageSource: types.MessageSource{Chat: ana, Sender: ana, SenderAlt: anaLID, AddressingMode: types.AddressingModePN},
		ID:            "3A001122334455667788", PushName: "Ana", Timestamp: time.Unix(1751300002, 0),
	}}
	return evt.UnwrapRaw()
}

func one(t *testing.T, s Scope, evt any) pombo.Event {
	t.Helper()
	out, err := s.Event(evt)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 {
		t.Fatalf("got %d events, want 1", len(out))
	}
	if !json.Valid(out[0].Data) {
		t.Fatalf("not valid JSON: %s", out[0].Data)
	}
	return out[0]
}

// upsertOf returns the one MESSAGES_UPSERT among what evt makes.
func upsertOf(t *testing.T, s Scope, evt any) pombo.Event {
	t.Helper()
	out, err := s.Event(evt)
	if err != nil {
		t.Fatal(err)
	}
	out = slices.DeleteFunc(out, func(e pombo.Event) bool { return e.Name != pombo.MessagesUpsert })
	if len(out) != 1 {
		t.Fatalf("got %d MESSAGES_UPSERT, want 1", len(out))
	}
	return out[0]
}

func none(t *testing.T, s Scope, evt any) {
	t.Helper()
	if out, err := s.Event(evt); err != nil || len(out) > 0 {
		t.Errorf("got %v, %v; want nothing", out, err)
	}
}

type object map[string]json.RawMessage

func parse(t *testing.T, data []byte) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return o
}

// The examples are the payloads that versions 1.8.2 and 2.3.6 made of the same
// messages. Ours carries every field of both; where 2.3.6 shows bytes, integers and
// enums in a form of its own, ours has that of 1.8.2.
func TestExamples(t *testing.T) {
	text, err := os.ReadFile("testdata/examples.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples map[string]map[string]object
	if err := json.Unmarshal(text, &examples); err != nil {
		t.Fatal(err)
	}
	for name, versions := range examples {
		t.Run(name, func(t *testing.T) {
			v1, v2 := versions["v182"], versions["v236"]
			var m waE2E.Message
			if err := DecodeJSON(v1["message"], &m); err != nil {
				t.Fatal(err)
			}
			evt := received(&m)
			var key struct{ ID string }
			var ts int64
			if err := json.Unmarshal(v1["key"], &key); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(v1["messageTimestamp"], &ts); err != nil {
				t.Fatal(err)
			}
			evt.Info.ID, evt.Info.Timestamp = key.ID, time.Unix(ts, 0)
			golden(t, name, upsertOf(t, scope(), evt).Data)

			kept := scope()
			kept.KeepWrappers = true
			for _, c := range []struct {
				version string
				scope   Scope
				want    object
			}{{"1.8.2", kept, v1}, {"2.3.6", scope(), v2}} {
				if c.want == nil {
					continue
				}
				got := parse(t, upsertOf(t, c.scope, evt).Data)
				compare(t, c.version, got, c.want)
			}
		})
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a payload with the one that was reviewed, byte for byte.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	goldenIn(t, "golden", name, data)
}

func goldenIn(t *testing.T, folder, name string, data []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	path := filepath.Join("testdata", folder, strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)+".json")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%s changed (go test -update writes it anew):\n%s", path, out.Bytes())
	}
}

func compare(t *testing.T, version string, got, want object) {
	t.Helper()
	for field, value := range want {
		switch field {
		case "key":
			gotKey := parse(t, got["key"])
			for k, v := range parse(t, value) {
				if !sameJSON(t, gotKey[k], v) {
					t.Errorf("%s: key.%s is %s, want %s", version, k, gotKey[k], v)
				}
			}
		case "message", "contextInfo":
			if string(value) == "null" {
				if string(got[field]) != "null" {
					t.Errorf("%s: %s is %s, want null", version, field, got[field])
				}
				continue
			}
			if !sameJSON(t, got[field], normal(t, field, value)) {
				t.Errorf("%s: %s is\n%s\nwant\n%s", version, field, got[field], normal(t, field, value))
			}
		default:
			if !sameJSON(t, got[field], value) {
				t.Errorf("%s: %s is %s, want %s", version, field, got[field], value)
			}
		}
	}
	if _, has := want["contextInfo"]; !has && got["contextInfo"] != nil {
		t.Errorf("%s: contextInfo is %s, want it left out", version, got["contextInfo"])
	}
}

// normal brings a part of an example to the form of 1.8.2, through the protobuf.
func normal(t *testing.T, field string, value []byte) []byte {
	t.Helper()
	var m proto.Message = &waE2E.Message{}
	if field == "contextInfo" {
		m = &waE2E.ContextInfo{}
	}
	if err := DecodeJSON(value, m); err != nil {
		t.Fatal(err)
	}
	// 2.3.6 names the empty participant of a reaction's key; 1.8.2 leaves it out.
	if r := m.(interface{ ProtoReflect() protoreflect.Message }); r != nil {
		if e, ok := m.(*waE2E.Message); ok && e.GetReactionMessage().GetKey() != nil {
			e.ReactionMessage.Key.Participant = nil
		}
	}
	return []byte(encode(t, m))
}

func TestKeyForms(t *testing.T) {
	known := map[types.JID]types.JID{ana: anaLID, anaLID: ana}
	for name, c := range map[string]struct {
		src  types.MessageSource
		alt  bool
		want string
		lane string
	}{
		"number, hidden form told": {types.MessageSource{Chat: ana, Sender: ana, SenderAlt: anaLID}, false,
			`{"remoteJid":"5511999990000@s.whatsapp.net","remoteJidAlt":"123456789012345@lid","fromMe":false,"id":"ID","participant":"","addressingMode":"pn"}`, ana.String()},
		"hidden, number told": {types.MessageSource{Chat: anaLID, Sender: device(anaLID, 3), SenderAlt: device(ana, 3), AddressingMode: types.AddressingModeLID}, false,
			`{"remoteJid":"5511999990000@s.whatsapp.net","remoteJidAlt":"123456789012345@lid","fromMe":false,"id":"ID","participant":"","addressingMode":"pn"}`, ana.String()},
		"hidden, number looked up": {types.MessageSource{Chat: anaLID, Sender: anaLID}, true,
			`{"remoteJid":"5511999990000@s.whatsapp.net","remoteJidAlt":"123456789012345@lid","fromMe":false,"id":"ID","participant":"","addressingMode":"pn"}`, ana.String()},
		"hidden, number unknown": {types.MessageSource{Chat: anaLID, Sender: anaLID}, false,
			`{"remoteJid":"123456789012345@lid","fromMe":false,"id":"ID","participant":"","addressingMode":"lid"}`, anaLID.String()},
		"from another device of ours": {types.MessageSource{Chat: anaLID, Sender: device(ownLID, 0), IsFromMe: true, RecipientAlt: ana}, false,
			`{"remoteJid":"5511999990000@s.whatsapp.net","remoteJidAlt":"123456789012345@lid","fromMe":true,"id":"ID","participant":"","addressingMode":"pn"}`, ana.String()},
		"to ourselves": {types.MessageSource{Chat: ownLID, Sender: ownLID, IsFromMe: true}, false,
			`{"remoteJid":"5511888880000@s.whatsapp.net","remoteJidAlt":"999999999999999@lid","fromMe":true,"id":"ID","participant":"","addressingMode":"pn"}`, own.String()},
		"group by number": {types.MessageSource{Chat: group, Sender: device(ana, 2), IsGroup: true}, false,
			`{"remoteJid":"120363000000000000@g.us","fromMe":false,"id":"ID","participant":"5511999990000@s.whatsapp.net","addressingMode":"pn"}`, group.String()},
		"group by hidden form": {types.MessageSource{Chat: group, Sender: anaLID, SenderAlt: ana, IsGroup: true, AddressingMode: types.AddressingModeLID}, false,
			`{"remoteJid":"120363000000000000@g.us","fromMe":false,"id":"ID","participant":"5511999990000@s.whatsapp.net","participantAlt":"123456789012345@lid","addressingMode":"pn"}`, group.String()},
		"group, number unknown": {types.MessageSource{Chat: group, Sender: anaLID, IsGroup: true}, false,
			`{"remoteJid":"120363000000000000@g.us","fromMe":false,"id":"ID","participant":"123456789012345@lid","addressingMode":"lid"}`, group.String()},
	} {
		t.Run(name, func(t *testing.T) {
			s := scope()
			if c.alt {
				s.Alt = func(j types.JID) types.JID { return known[j] }
			}
			evt := received(&waE2E.Message{Conversation: proto.String("hi")})
			evt.Info.MessageSource, evt.Info.ID = c.src, "ID"
			e := one(t, s, evt)
			if got := string(parse(t, e.Data)["key"]); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if e.Chat != c.lane {
				t.Errorf("lane is %s, want %s", e.Chat, c.lane)
			}
			if e.Sender != own.String() {
				t.Errorf("sender is %s", e.Sender)
			}
		})
	}
}

func device(j types.JID, n uint16) types.JID { j.Device = n; return j }

// A stanza that comes again gives the same key, even if the other form of its
// chat has become known; another sender's message of the same ID another one.
func TestOccurrence(t *testing.T) {
	evt := received(&waE2E.Message{Conversation: proto.String("hi")})
	evt.Info.Chat, evt.Info.Sender, evt.Info.SenderAlt = anaLID, device(anaLID, 1), types.EmptyJID
	first := one(t, scope(), evt)
	s := scope()
	s.Alt = func(types.JID) types.JID { return ana }
	if again := one(t, s, evt); again.Key != first.Key {
		t.Errorf("the key changed from %q to %q", first.Key, again.Key)
	}
	evt.Info.Chat, evt.Info.Sender, evt.Info.IsGroup = group, ana, true
	inGroup := one(t, scope(), evt)
	evt.Info.Sender = own
	if other := one(t, scope(), evt); other.Key == inGroup.Key || inGroup.Key == first.Key {
		t.Errorf("different messages have the key %q", other.Key)
	}
	evt.NewsletterMeta = &events.NewsletterMessageMeta{EditTS: time.UnixMilli(7)}
	if edit := one(t, scope(), evt); !strings.HasSuffix(edit.Key, "|7") {
		t.Errorf("the edit of a newsletter has the key %q", edit.Key)
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	for name, m := range map[string]*waE2E.Message{
		"nothing":      {},
		"context only": {MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: []byte{1}}},
		"sender key":   {SenderKeyDistributionMessage: &waE2E.SenderKeyDistributionMessage{GroupID: proto.String("g")}},
		"protocol":     {ProtocolMessage: &waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE.Enum()}},
		"own protocol": {DeviceSentMessage: &waE2E.DeviceSentMessage{Message: &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{}}}},
	} {
		t.Run(name, func(t *testing.T) { none(t, scope(), received(m)) })
	}
	none(t, scope(), &events.Connected{})
	none(t, scope(), nil)
	none(t, scope(), &events.Message{})
}

func TestSettingsLeaveOut(t *testing.T) {
	text := &waE2E.Message{Conversation: proto.String("hi")}
	status := received(text)
	status.Info.Chat, status.Info.IsGroup = types.StatusBroadcastJID, true
	inGroup := received(text)
	inGroup.Info.Chat, inGroup.Info.IsGroup = group, true

	s := scope()
	none(t, s, status)
	one(t, s, inGroup)
	s.Settings = pombo.Settings{ReadStatus: true, GroupsIgnore: true}
	one(t, s, status)
	none(t, s, inGroup)
}

// What another of our devices sent comes in a wrapper that is not shown.
func TestFromAnotherDevice(t *testing.T) {
	evt := received(&waE2E.Message{
		DeviceSentMessage:  &waE2E.DeviceSentMessage{DestinationJID: proto.String(ana.String()), Message: &waE2E.Message{Conversation: proto.String("mine")}},
		MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: []byte{1, 2}},
	})
	evt.Info.IsFromMe, evt.Info.Sender, evt.Info.PushName = true, device(own, 0), ""
	got := parse(t, one(t, scope(), evt).Data)
	for field, want := range map[string]string{
		"message": `{"conversation":"mine","messageContextInfo":{"messageSecret":"AQI="}}`,
		"status":  `"SERVER_ACK"`, "pushName": `"Você"`, "messageType": `"conversation"`,
	} {
		if string(got[field]) != want {
			t.Errorf("%s is %s, want %s", field, got[field], want)
		}
	}
}

// whatsmeow copies the outer context into the inner message; it was not sent
// there, so it is not shown there, and the event is left as it was.
func TestCopiedContextIsHidden(t *testing.T) {
	evt := received(&waE2E.Message{
		EphemeralMessage:   &waE2E.FutureProofMessage{Message: &waE2E.Message{Conversation: proto.String("x")}},
		MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: []byte{1}},
	})
	if evt.Message.MessageContextInfo == nil {
		t.Fatal("whatsmeow does not copy the context any more: hideCopiedContext can go")
	}
	got := string(parse(t, one(t, scope(), evt).Data)["message"])
	if want := `{"messageContextInfo":{"messageSecret":"AQ=="},"ephemeralMessage":{"message":{"conversation":"x"}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if evt.Message.MessageContextInfo == nil {
		t.Error("the event was changed")
	}
}

func TestPushNameWithoutOne(t *testing.T) {
	evt := received(&waE2E.Message{Conversation: proto.String("hi")})
	evt.Info.PushName = ""
	if got := parse(t, one(t, scope(), evt).Data)["pushName"]; string(got) != "null" {
		t.Errorf("in a chat of two: %s, want null", got)
	}
	evt.Info.Chat, evt.Info.IsGroup = group, true
	if got := parse(t, one(t, scope(), evt).Data)["pushName"]; string(got) != `"5511999990000"` {
		t.Errorf("in a group: %s, want the participant's number", got)
	}
}

func TestSource(t *testing.T) {
	for id, want := range map[string]string{
		"3A001122334455667788":             "ios",
		"3EB0C767D26A1D4E5F6A01":           "web",
		"3EB0C767D26A1D4E5F6A0":            "android",
		"AC00112233445566778899AABBCCDDEE": "android",
		"001122334455667788":               "desktop",
		"3F0011":                           "desktop",
		"3A00":                             "unknown",
		"":                                 "unknown",
	} {
		if got := Source(id); got != want {
			t.Errorf("Source(%q) = %q, want %q", id, got, want)
		}
	}
}
