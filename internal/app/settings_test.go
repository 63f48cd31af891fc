package app_test

import (
	"strings"
	"testing"

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
	pombotest.Eventually(t, patience, "the message to be read", func() bool { return received(t, network, contact, second, "read") })
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
	pombotest.Eventually(t, patience, "the second call to be rejected", func() bool { return state(second) == "rejected" })
	pombotest.Eventually(t, patience, "its caller to be written to", func() bool {
		inbox := network.Inbox(contact)
		return len(inbox) == 1 && inbox[0].Text == "Please write."
	})
	receiver.Wait(t, "send.message", func(p pombotest.Post) bool { return p.Message().Key.RemoteJid == chat })
	if got := state(first); got != "ringing" {
		t.Errorf("the first call is %s", got)
	}
	network.CheckRules(t)
}

// With groupsIgnore nothing of groups is told, in the words of either dialect.
func TestGroupsIgnore(t *testing.T) {
	k := newTalk(t)
	group := k.newGroup("lid")
	k.receiver.Wait(t, "groups.upsert", nil)
	k.gateway.Must("POST", "/settings/set/my%20instance", object{"groups_ignore": true}, nil)
	ignored := k.network.Write(contact, group, "unheard")
	second := k.newGroup("lid")
	subject := "unseen"
	if _, err := k.network.ChangeGroup(t.Context(), sandbox.GroupChangeRequest{ID: group, From: contact, Subject: &subject}); err != nil {
		t.Fatal(err)
	}
	direct := k.network.Write(contact, phone, "heard") // in the same queue, behind those
	k.told("messages.upsert", direct)
	for _, p := range k.receiver.Posts() {
		if s := string(p.Data); strings.Contains(s, ignored) || strings.Contains(s, second) || strings.Contains(s, "unseen") {
			t.Errorf("of a group was told: %s %s", p.Event, s)
		}
	}
	k.gateway.Must("POST", "/settings/set/my%20instance", object{"groupsIgnore": false}, nil)
	k.told("messages.upsert", k.network.Write(contact, group, "heard again"))
	k.network.CheckRules(t)
}

// With readStatus what contacts show as their status is told, and marked as seen.
func TestReadStatus(t *testing.T) {
	k := newTalk(t)
	status := func(text string) string {
		return k.network.Send(sandbox.SendRequest{From: contact, To: "status@broadcast", Text: text, Audience: []string{phone}})
	}
	first := status("before")
	k.told("messages.upsert", k.network.Write(contact, phone, "hello"))
	k.gateway.Must("POST", "/settings/set/my%20instance", object{"read_status": true}, nil)
	second := status("after")
	m, data := k.told("messages.upsert", second)
	if m.Key.RemoteJid != "status@broadcast" {
		t.Errorf("got %s", data)
	}
	k.has(data, `"participant":"`+chat+`"`)
	pombotest.Eventually(t, patience, "the status to be seen", func() bool { return received(t, k.network, contact, second, "read") })
	if strings.Contains(dataOf(k.receiver.Posts()), first) || received(t, k.network, contact, first, "read") {
		t.Error("the status before the setting was told, or marked as seen")
	}
	k.network.CheckRules(t)
}

func dataOf(posts []pombotest.Post) string {
	var all strings.Builder
	for _, p := range posts {
		all.Write(p.Data)
	}
	return all.String()
}

// With alwaysOnline the account shows itself as online: at once, when it connects, and
// when the phone gives it another name, without which it can show nothing.
func TestAlwaysOnline(t *testing.T) {
	if raceDetector {
		t.Skip("quiet phones, as there are with the race detector, do not tell the account's name")
	}
	k := newTalk(t)
	shown := func() string {
		seen, err := k.network.Presences(t.Context(), phone)
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 {
			return ""
		}
		return seen[len(seen)-1].State
	}
	becomes := func(state, why string) {
		t.Helper()
		pombotest.Eventually(t, patience, "the account to be "+state+" "+why, func() bool { return shown() == state })
	}
	rename := func(name string) {
		t.Helper()
		if _, err := k.network.SetAppState(t.Context(), sandbox.AppStateRequest{Number: phone, Action: "pushName", Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	rename("Loja")
	becomes("unavailable", "without the setting")
	k.gateway.Must("POST", "/settings/set/my%20instance", object{"alwaysOnline": true}, nil)
	becomes("available", "with it")
	seen, err := k.network.Presences(t.Context(), phone)
	if err != nil {
		t.Fatal(err)
	}
	rename("Loja Nova")
	pombotest.Eventually(t, patience, "the account to show itself by its new name", func() bool {
		again, err := k.network.Presences(t.Context(), phone)
		return err == nil && len(again) > len(seen) && again[len(again)-1].State == "available"
	})
	pombotest.Eventually(t, patience, "the instance to have the new name", func() bool {
		status, body := k.gateway.Do("GET", "/instance/fetchInstances", nil)
		return status == 200 && strings.Contains(string(body), "Loja Nova")
	})
	k.gateway.Must("POST", "/settings/set/my%20instance", object{"always_online": false}, nil)
	becomes("unavailable", "without the setting again")
	k.network.CheckRules(t)
}

// Presences are told: what is done in a chat, and whether somebody is there of whom
// sendPresence has asked to be told.
func TestPresenceUpdates(t *testing.T) {
	k := newTalk(t)
	k.told("messages.upsert", k.network.Write(contact, phone, "hello"))
	show := func(to, state string) {
		t.Helper()
		seen := len(k.receiver.Posts())
		if _, err := k.network.SendPresence(t.Context(), sandbox.PresenceRequest{From: contact, To: to, State: state}); err != nil {
			t.Fatal(err)
		}
		word := map[string]string{"paused": "available"}[state]
		if word == "" {
			word = state
		}
		k.receiver.Until(t, "the presence "+state, func(posts []pombotest.Post) bool {
			for _, p := range posts[seen:] {
				if p.Event == "presence.update" && strings.Contains(string(p.Data), `"lastKnownPresence":"`+word+`"`) {
					k.has(string(p.Data), `"id":"`+chat+`"`)
					return true
				}
			}
			return false
		})
	}
	show(phone, "composing")
	show(phone, "recording")
	k.gateway.Must("POST", "/chat/sendPresence/my%20instance", object{"number": contact, "presence": "paused"}, nil)
	k.receiver.Wait(t, "presence.update", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), `"unavailable"`) }) // asking is answered
	show("", "available")
	before := len(k.receiver.Posts())
	k.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop, Number: phone})
	k.receiver.Until(t, "the presence to be asked for again", func(posts []pombotest.Post) bool {
		opened, told := false, false
		for _, p := range posts[before:] { // in either order: they are of different lanes
			opened = opened || p.Event == "connection.update" && strings.Contains(string(p.Data), `"open"`)
			told = told || p.Event == "presence.update"
		}
		return opened && told
	})
	show("", "unavailable")
	const other = "5511966660000"
	k.network.Write(other, phone, "hello")
	k.gateway.Must("POST", "/message/sendText/my%20instance", object{"number": other, "text": "hello", "delay": 10}, nil)
	k.receiver.Wait(t, "presence.update", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), other) })
	k.network.CheckRules(t)
}
