package app_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// talk is a paired instance, and what its webhook is told.
type talk struct {
	*testing.T
	network  *pombotest.Sandbox
	gateway  *pombotest.Gateway
	receiver *pombotest.Receiver
}

const talking = "my instance" // names may have blanks

func newTalk(t *testing.T, env ...string) *talk {
	t.Helper()
	k := &talk{T: t, network: pombotest.NewSandbox(t), receiver: pombotest.NewReceiver(t)}
	k.gateway = pombotest.StartGateway(t, k.network, app.Faults{MaxBackoff: 100 * time.Millisecond}, env...)
	pombotest.Pair(t, k.gateway.Client, k.network.Server, talking, phone, k.receiver.URL)
	return k
}

// on gives a subtest the same instance.
func (k *talk) on(name string, test func(k *talk)) {
	k.Helper()
	k.T.Run(name, func(t *testing.T) {
		sub := *k
		sub.T = t
		test(&sub)
	})
}

// told waits for the event about a message, and returns its data as it came.
func (k *talk) told(event, id string) (pombotest.Message, string) {
	k.Helper()
	p := k.receiver.Wait(k, event, func(p pombotest.Post) bool {
		m := p.Message()
		return m.Key.ID == id || m.KeyID == id
	})
	return p.Message(), string(p.Data)
}

// has checks that a JSON text has each of the parts.
func (k *talk) has(data string, parts ...string) {
	k.Helper()
	for _, part := range parts {
		if !strings.Contains(data, part) {
			k.Errorf("there is no %s in %s", part, data)
		}
	}
}

// Each kind of message and receipt that is served, both ways.
func TestMessages(t *testing.T) {
	k := newTalk(t)
	k.on("text", func(k *talk) {
		id := k.network.Send(sandbox.SendRequest{From: contact, To: phone, Text: "Olá, \"mundo\" 👋", PushName: "Ana"})
		m, data := k.told("messages.upsert", id)
		if m.Key.RemoteJid != chat || !strings.HasSuffix(m.Key.RemoteJidAlt, "@lid") || m.Key.FromMe || m.PushName != "Ana" {
			k.Errorf("got %s", data)
		}
		k.has(data, `"conversation":"Olá, \"mundo\" 👋"`, `"messageType":"conversation"`, `"owner":"`+talking+`"`, `"instanceId":"`)
	})
	k.on("LID in front", testAddressedByLID)
	k.on("quote and mentions received", testQuoteReceived)
	k.on("quote and mentions sent", testQuoteSent)
	k.on("from the own phone", func(k *talk) {
		id := k.network.Write(phone, contact, "from my phone")
		m, data := k.told("messages.upsert", id)
		if !m.Key.FromMe || m.Key.RemoteJid != chat || m.Status != "SERVER_ACK" {
			k.Errorf("got %s", data)
		}
		k.has(data, `"conversation":"from my phone"`)
	})
	k.on("from another companion", testTwoCompanions)
	k.on("receipts", testReceipts)
	k.on("not on WhatsApp", func(k *talk) {
		message := k.gateway.Refused("POST", "/message/sendText/my%20instance", map[string]any{"number": "5511900001111", "text": "hello?"}, 400)
		if want := `[{"jid":"5511900001111@s.whatsapp.net","exists":false,"number":"5511900001111"}]`; message != want {
			k.Errorf("got %s, want %s", message, want)
		}
	})
	k.on("both dialects", func(k *talk) {
		var v1, v2 map[string]any
		k.gateway.Must("POST", "/message/sendText/my%20instance", map[string]any{"number": contact, "textMessage": map[string]string{"text": "one"}}, &v1)
		k.gateway.Must("POST", "/message/sendText/my%20instance", map[string]any{"number": contact, "text": "two"}, &v2)
		texts := []string{}
		for _, m := range k.network.Inbox(contact) {
			texts = append(texts, m.Text)
		}
		if n := len(texts); n < 2 || !slices.Equal(texts[n-2:], []string{"one", "two"}) {
			k.Errorf("the contact has %q", texts)
		}
		if v1["message"].(map[string]any)["extendedTextMessage"] == nil || v2["message"].(map[string]any)["conversation"] != "two" {
			k.Errorf("answered %v and %v", v1, v2)
		}
	})
	k.on("closed", func(k *talk) {
		pombotest.Create(k, k.gateway.Client, "closed", "")
		message := k.gateway.Refused("POST", "/message/sendText/closed", map[string]any{"number": contact, "text": "hello"}, 400)
		if !strings.Contains(message, "not connected") {
			k.Errorf("got %s", message)
		}
	})
	k.network.CheckRules(t)
}

// A message that names its sender by LID belongs to the same chat, and so to the
// same lane, as one that names the number.
func testAddressedByLID(k *talk) {
	const hidden = "5511977770002"
	for i, mode := range []string{"pn", "lid", "pn", "lid"} {
		id := k.network.Send(sandbox.SendRequest{From: hidden, To: phone, Text: "by " + mode, Addressing: mode})
		m, data := k.told("messages.upsert", id)
		if m.Key.RemoteJid != hidden+"@s.whatsapp.net" || !strings.HasSuffix(m.Key.RemoteJidAlt, "@lid") {
			k.Errorf("message %d: %s", i, data)
		}
	}
	// One that cannot be delivered holds up the next, however it names its sender; it is
	// refused with a status that never lets its chat go on without it.
	k.receiver.Answer(func(_ int, p pombotest.Post) int {
		if strings.Contains(string(p.Data), `"conversation":"first"`) {
			return 429
		}
		return 200
	})
	first := k.network.Send(sandbox.SendRequest{From: hidden, To: phone, Text: "first", Addressing: "lid"})
	second := k.network.Send(sandbox.SendRequest{From: hidden, To: phone, Text: "second", Addressing: "pn"})
	other := k.network.Write(contact, phone, "of another chat")
	k.told("messages.upsert", other)
	k.receiver.Until(k, "the first to be tried again", func(posts []pombotest.Post) bool {
		tries := 0
		for _, p := range posts {
			switch p.Message().Key.ID {
			case first:
				tries++
			case second:
				k.Fatal("the second message overtook the first")
			}
		}
		return tries > 2
	})
	k.receiver.Answer(nil)
	k.told("messages.upsert", second)
}

func testQuoteReceived(k *talk) {
	id := k.network.Send(sandbox.SendRequest{From: contact, To: phone, Message: json.RawMessage(`{"extendedTextMessage":{
		"text":"@5511988880000 yes","contextInfo":{"stanzaID":"3EB0AAAAAAAAAAAAAAAA01","participant":"` + jid + `",
		"quotedMessage":{"conversation":"open?"},"mentionedJID":["` + jid + `"]}}}`)})
	_, data := k.told("messages.upsert", id)
	k.has(data, `"contextInfo":{`, `"stanzaId":"3EB0AAAAAAAAAAAAAAAA01"`, `"participant":"`+jid+`"`,
		`"quotedMessage":{"conversation":"open?"}`, `"mentionedJid":["`+jid+`"]`)
}

func testQuoteSent(k *talk) {
	asked := k.network.Write(contact, phone, "open?")
	k.told("messages.upsert", asked)
	var sent pombotest.Message
	k.gateway.Must("POST", "/message/sendText/my%20instance", map[string]any{
		"number": contact, "text": "@" + contact + " yes", "mentioned": []string{contact},
		"quoted": map[string]any{"key": map[string]any{"id": asked, "remoteJid": chat, "fromMe": false}, "message": map[string]any{"conversation": "open?"}},
	}, &sent)
	_, data := k.told("send.message", sent.Key.ID)
	k.has(data, `"stanzaId":"`+asked+`"`, `"mentionedJid":["`+chat+`"]`)
	inbox := k.network.Inbox(contact)
	last := inbox[len(inbox)-1]
	if last.ID != sent.Key.ID || last.Text != "@"+contact+" yes" {
		k.Fatalf("the contact has %+v", last)
	}
	compact := strings.ReplaceAll(string(last.Message), " ", "")
	k.has(compact, `"stanzaID":"`+asked+`"`, `"participant":"`+chat+`"`, `"quotedMessage":{"conversation":"open?"}`, `"mentionedJID":["`+chat+`"]`)
}

// What another linked device of the account sends is told as ours, and what that
// instance sends itself only as SEND_MESSAGE.
func testTwoCompanions(k *talk) {
	second := pombotest.NewReceiver(k)
	pombotest.Pair(k, k.gateway.Client, k.network.Server, "second", phone, second.URL)
	id := k.gateway.SendText("second", contact, "from the other one")
	m, data := k.told("messages.upsert", id)
	if !m.Key.FromMe || m.Key.RemoteJid != chat {
		k.Errorf("got %s", data)
	}
	k.has(data, "from the other one")
	second.Wait(k, "send.message", func(p pombotest.Post) bool { return p.Message().Key.ID == id })
	incoming := k.network.Write(contact, phone, "to both")
	k.told("messages.upsert", incoming)
	second.Wait(k, "messages.upsert", func(p pombotest.Post) bool { return p.Message().Key.ID == incoming })
	for _, p := range second.Posts() {
		if p.Event == "messages.upsert" && p.Message().Key.ID == id {
			k.Errorf("what it sent itself came as %s", p.Data)
		}
	}
	k.gateway.Must("DELETE", "/instance/delete/second", nil, nil)
}

func testReceipts(k *talk) {
	id := k.gateway.SendText(talking, contact, "read me")
	for _, c := range []struct{ kind, status string }{{"delivered", "DELIVERY_ACK"}, {"read", "READ"}, {"played", "PLAYED"}} {
		if c.kind != "delivered" { // that, the phone says by itself
			k.network.Receipt(id, c.kind)
		}
		p := k.receiver.Wait(k, "messages.update", func(p pombotest.Post) bool {
			m := p.Message()
			return m.KeyID == id && m.Status == c.status
		})
		if m := p.Message(); m.RemoteJid != chat {
			k.Errorf("got %s", p.Data)
		}
		k.has(string(p.Data), `"fromMe":true`, `"id":"`+id+`"`, `"datetime":`)
	}
}
