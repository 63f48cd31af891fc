package app_test

import (
	"strings"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// received tells whether a message that a contact sent has a receipt of this kind.
func received(t *testing.T, network *pombotest.Sandbox, from, id, kind string) bool {
	t.Helper()
	sent, err := network.Messages(t.Context(), sandbox.MessagesRequest{Number: from, Direction: "sent"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sent {
		for _, r := range m.Receipts {
			if m.ID == id && r.Type == kind && strings.Contains(r.Device, ":") {
				return true
			}
		}
	}
	return false
}

// Settings are kept through a restart, and each answer has the spelling of its
// request.
func TestSettings(t *testing.T) {
	network := pombotest.NewSandbox(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Create(t, gateway.Client, "habits", "")
	check := func(method, path string, body any, status int, want string) {
		t.Helper()
		if got, answer := gateway.Do(method, path, body); got != status || string(answer) != want {
			t.Errorf("%s %s: %d %s\nwant %d %s", method, path, got, answer, status, want)
		}
	}
	check("POST", "/settings/set/habits", map[string]any{"reject_call": true, "msg_call": "Não.", "groups_ignore": true}, 201,
		`{"settings":{"instanceName":"habits","settings":{"reject_call":true,"msg_call":"Não.","groups_ignore":true,"always_online":false,"read_messages":false,"read_status":false,"sync_full_history":false}}}`)
	check("POST", "/settings/set/habits", map[string]any{"rejectCall": false, "readMessages": "true"}, 201,
		`{"settings":{"instanceName":"habits","settings":{"rejectCall":false,"msgCall":"Não.","groupsIgnore":true,"alwaysOnline":false,"readMessages":true,"readStatus":false,"syncFullHistory":false,"wavoipToken":""}}}`)
	gateway.Refused("POST", "/settings/set/habits", map[string]any{"rejectCalls": true}, 400)
	gateway.Refused("POST", "/settings/set/habits", map[string]any{"rejectCall": 1}, 400)
	gateway.Stop()
	gateway.Start()
	check("GET", "/settings/find/habits", nil, 200,
		`{"rejectCall":false,"msgCall":"Não.","groupsIgnore":true,"alwaysOnline":false,"readMessages":true,"readStatus":false,"syncFullHistory":false,"wavoipToken":""}`)
	check("GET", "/v1/settings/find/habits", nil, 200,
		`{"reject_call":false,"msg_call":"Não.","groups_ignore":true,"always_online":false,"read_messages":true,"read_status":false,"sync_full_history":false}`)
}

// A new setting counts from the next message on: what comes is marked as read when
// it has been told, and not before the setting.
func TestReadMessages(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "reader", phone, receiver.URL)
	first := network.Write(contact, phone, "before")
	receiver.Wait(t, "messages.upsert", func(p pombotest.Post) bool { return p.Message().Key.ID == first })
	gateway.Must("POST", "/settings/set/reader", map[string]any{"readMessages": true}, nil)
	second := network.Write(contact, phone, "after")
	pombotest.Eventually(t, 20*time.Second, "the message to be read", func() bool { return received(t, network, contact, second, "read") })
	if received(t, network, contact, first, "read") {
		t.Error("the message before the setting was marked as read")
	}
	network.CheckRules(t)
}

// A call is rejected at once and its caller is written to; without the setting it
// rings on. Both are told as CALL.
func TestRejectCall(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{})
	pombotest.Pair(t, gateway.Client, network.Server, "calls", phone, receiver.URL)
	call := func(from string) (id string) {
		t.Helper()
		k, err := network.Call(t.Context(), sandbox.CallRequest{From: from, To: phone})
		if err != nil {
			t.Fatal(err)
		}
		receiver.Wait(t, "call", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), k.ID) })
		return k.ID
	}
	state := func(id string) string {
		t.Helper()
		calls, err := network.Calls(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range calls {
			if k.ID == id {
				return k.State
			}
		}
		return ""
	}
	first := call("5511966660000")
	gateway.Must("POST", "/settings/set/calls", object{"reject_call": true, "msg_call": "Please write."}, nil)
	second := call(contact)
	pombotest.Eventually(t, 20*time.Second, "the second call to be rejected", func() bool { return state(second) == "rejected" })
	pombotest.Eventually(t, 20*time.Second, "its caller to be written to", func() bool {
		inbox := network.Inbox(contact)
		return len(inbox) == 1 && inbox[0].Text == "Please write."
	})
	receiver.Wait(t, "send.message", func(p pombotest.Post) bool { return p.Message().Key.RemoteJid == chat })
	if got := state(first); got != "ringing" {
		t.Errorf("the first call is %s", got)
	}
	network.CheckRules(t)
}
