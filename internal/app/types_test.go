package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/encoding/protojson"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
	"pombo/internal/translate"
)

// Each type of message and wrapper that WhatsApp has goes through the real client, and
// arrives in the form of its golden file.
func TestMessageTypes(t *testing.T) {
	const own, ana = "5511888880000", "5511999990000" // those of the golden files
	data := filepath.Join("..", "translate", "testdata")
	text, err := os.ReadFile(filepath.Join(data, "types.json"))
	if err != nil {
		t.Fatal(err)
	}
	var types map[string]json.RawMessage
	if err := json.Unmarshal(text, &types); err != nil {
		t.Fatal(err)
	}
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{}, "SERVER_URL=https://pombo.example")
	pombotest.Pair(t, gateway.Client, network.Server, "types", own, receiver.URL)
	sent := map[string]string{} // ID → type
	for name, shown := range types {
		var m waE2E.Message
		if err := translate.DecodeJSON(shown, &m); err != nil {
			t.Fatal(err)
		}
		if m.DeviceSentMessage != nil { // made by a phone for its own devices: see TestMessages
			continue
		}
		body, err := protojson.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		sent[network.Send(sandbox.SendRequest{From: ana, To: own, PushName: "Ana", Message: body})] = name
	}
	if len(sent) < 70 {
		t.Errorf("only %d types were sent", len(sent))
	}
	for id, name := range sent {
		post := receiver.Wait(t, "messages.upsert", func(p pombotest.Post) bool { return p.Message().Key.ID == id })
		want, err := os.ReadFile(filepath.Join(data, "types", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := stable(t, post.Data), stable(t, want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, asJSON(t, got), asJSON(t, want))
		}
	}
	network.CheckRules(t)
}

// stable leaves out what differs from one message to the next, and the secret that
// phones give each message.
func stable(t *testing.T, data []byte) object {
	t.Helper()
	var m object
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"messageTimestamp", "instanceId", "owner", "source"} {
		if m[field] == nil {
			t.Errorf("there is no %s in %s", field, data)
		}
		delete(m, field)
	}
	if key, ok := m["key"].(object); ok {
		delete(key, "id")
		alt, _ := key["remoteJidAlt"].(string)
		key["remoteJidAlt"] = strings.HasSuffix(alt, "@lid")
	}
	if message, ok := m["message"].(object); ok {
		delete(message, "messageContextInfo")
		if link, ok := message["mediaUrl"].(string); ok {
			message["mediaUrl"] = strings.HasPrefix(link, "https://pombo.example/media/")
		}
	}
	return m
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
