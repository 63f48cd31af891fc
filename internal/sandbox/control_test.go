package sandbox_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

func TestControl(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	url := n.http.URL + "/sandbox"
	var root struct{ RootKey string }
	if status := call(t, "GET", url+"/root-key", "", &root); status != 200 || root.RootKey != base64.StdEncoding.EncodeToString(whatsmeow.WACertPubKey[:]) {
		t.Errorf("root key: %d %+v", status, root)
	}
	c := newClient(t, n)
	c.connect()
	qr := wait[*events.QR](c, nil)
	var state sandbox.State
	if call(t, "GET", url+"/state", "", &state); state.Pairing != 1 {
		t.Errorf("state %+v", state)
	}
	var scanned sandbox.ScanResult
	if status := call(t, "POST", url+"/scan", fmt.Sprintf(`{"code":%q,"number":"+55 11 90000-0001"}`, qr.Codes[0]), &scanned); status != 200 || scanned.JID != bot+":1@s.whatsapp.net" {
		t.Fatalf("scan: %d %+v", status, scanned)
	}
	wait[*events.Connected](c, nil)
	var sent sandbox.SendResult
	if status := call(t, "POST", url+"/messages", fmt.Sprintf(`{"from":%q,"to":%q,"text":"hello","id":"ABC"}`, contact, bot), &sent); status != 201 || sent.ID != "ABC" {
		t.Fatalf("send: %d %+v", status, sent)
	}
	wait[*events.Message](c, nil)
	id := c.sendText(pn(contact), "hello").ID
	var received []sandbox.Message
	if status := call(t, "GET", url+"/messages?number="+contact, "", &received); status != 200 || len(received) != 1 || received[0].ID != id {
		t.Errorf("messages: %d %+v", status, received)
	}
	if status := call(t, "POST", url+"/messages/"+id+"/receipts", `{"type":"read"}`, nil); status != 201 {
		t.Errorf("receipt: %d", status)
	}
	wait(c, func(r *events.Receipt) bool { return r.Type == "read" })
	if status := call(t, "POST", url+"/presence", fmt.Sprintf(`{"from":%q,"to":%q,"state":"composing"}`, contact, bot), nil); status != 200 {
		t.Errorf("presence: %d", status)
	}
	wait[*events.ChatPresence](c, nil)
	eventually(t, "it is confirmed", func() bool {
		var confirmed []sandbox.Confirmation
		call(t, "GET", url+"/confirmed?number="+bot, "", &confirmed)
		return len(confirmed) == 1 && confirmed[0].ID == "ABC"
	})
	call(t, "GET", url+"/state", "", &state)
	if len(state.Accounts) != 1 || !state.Accounts[0].Devices[0].Online || len(state.Contacts) != 1 {
		t.Errorf("state %+v", state)
	}
	if status := call(t, "POST", url+"/logout", fmt.Sprintf(`{"number":%q}`, bot), nil); status != 200 {
		t.Errorf("logout: %d", status)
	}
	wait[*events.LoggedOut](c, nil)
	n.mustObey(t)
}

func TestControlRefusals(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/scan", ``, 400, "empty"},
		{"POST", "/scan", `{`, 400, "not the JSON object"},
		{"POST", "/scan", `[]`, 400, "not the JSON object"},
		{"POST", "/scan", `{"number":"5511900000001","instance":"x"}`, 400, "does not know instances"},
		{"POST", "/messages", `{"from":"1","to":"2"}`, 400, "from"},
		{"POST", "/messages", `{"from":"5511900000001","to":"5511900000002"}`, 400, "text"},
		{"POST", "/messages", `{"from":"5511900000001","to":"5511900000002","txt":"x"}`, 400, "txt"},
		{"POST", "/messages", `{"from":"5511900000001","to":"5511900000002","message":{"nonsense":1}}`, 400, "nonsense"},
		{"POST", "/messages", `{"from":"5511900000001","to":"5511900000002","text":"x","count":-1}`, 400, "count"},
		{"POST", "/messages", `{"from":"5511900000001","to":"5511900000002","text":"x","addressing":"x"}`, 400, "addressing"},
		{"POST", "/messages/X/receipts", `{"type":"read"}`, 404, "No phone received"},
		{"POST", "/messages/X/receipts", `{"type":"seen"}`, 400, "type"},
		{"POST", "/faults", `{"kind":"fire"}`, 400, "kind"},
		{"POST", "/faults", `{"kind":"latency"}`, 400, "ms"},
		{"POST", "/logout", `{"number":"5511900000009"}`, 404, "Nobody has the number"},
		{"POST", "/presence", `{"from":"5511900000001","to":"5511900000009","state":"composing"}`, 404, "Nobody"},
		{"GET", "/messages", ``, 400, "number"},
		{"GET", "/messages?number=5511900000009", ``, 404, "Nobody"},
		{"GET", "/messages?number=5511900000009&direction=up", ``, 400, "direction"},
		{"GET", "/confirmed", ``, 400, "number"},
		{"DELETE", "/messages", ``, 404, "DELETE /sandbox/messages"},
		{"GET", "/nothing", ``, 404, "no GET /sandbox/nothing"},
	} {
		var body struct {
			Status   int
			Error    string
			Response struct{ Message []string }
		}
		status := call(t, test.method, n.http.URL+"/sandbox"+test.path, test.body, &body)
		if status != test.status || body.Status != test.status || body.Error == "" ||
			len(body.Response.Message) != 1 || !strings.Contains(body.Response.Message[0], test.says) {
			t.Errorf("%s %s %s: %d %+v", test.method, test.path, test.body, status, body)
		}
	}
}
