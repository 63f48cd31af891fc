package httpapi

import (
	"slices"
	"strings"
	"testing"

	"pombo"
)

func TestChats(t *testing.T) {
	a := newAPI(t)
	const key = `{"id":"3EB0AA","fromMe":true,"remoteJid":"5511999990000@s.whatsapp.net"}`
	a.expect("PUT", "/chat/markMessageAsRead/ana", `{"read_messages":[`+key+`]}`, 201, `{"message":"Read messages","read":"success"}`)
	a.expect("POST", "/chat/markMessageAsRead/ana", `{"readMessages":[{"id":"1","fromMe":false,"remoteJid":"12@g.us","participant":"5@lid"}]}`, 201, `{"message":"Read messages","read":"success"}`)
	a.expect("POST", "/chat/sendPresence/ana", `{"number":"5511999990000","presence":"composing","delay":1200}`, 201, `{"presence":"composing"}`)
	a.expect("POST", "/chat/sendPresence/ana", `{"number":"5511999990000","options":{"presence":"recording","delay":5}}`, 201, ``)
	for _, method := range []string{"PUT", "POST"} {
		a.expect(method, "/chat/updateMessage/ana", `{"number":"5511999990000","text":"new","key":`+key+`}`, 200, `{"edited":true}`)
	}
	a.expect("DELETE", "/chat/deleteMessageForEveryone/ana", key, 201, `{"deleted":true}`)
	want := []string{
		"read ana [{3EB0AA 5511999990000@s.whatsapp.net true }]",
		"read ana [{1 12@g.us false 5@lid}]",
		"presence ana {5511999990000 composing 1.2s}",
		"presence ana {5511999990000 recording 5ms}",
		"edit ana {5511999990000 {3EB0AA 5511999990000@s.whatsapp.net true } new}",
		"edit ana {5511999990000 {3EB0AA 5511999990000@s.whatsapp.net true } new}",
		"revoke ana {3EB0AA 5511999990000@s.whatsapp.net true }",
	}
	if !slices.Equal(a.calls, want) {
		t.Errorf("calls\n%s\nwant\n%s", strings.Join(a.calls, "\n"), strings.Join(want, "\n"))
	}
}

// What is wrong with a request is said, and nothing is done.
func TestChatsRefuse(t *testing.T) {
	a := newAPI(t)
	for _, c := range []struct{ method, path, body, says string }{
		{"POST", "markMessageAsRead", `{}`, "readMessages must be an array"},
		{"POST", "markMessageAsRead", `{"readMessages":[]}`, "readMessages must be an array"},
		{"POST", "markMessageAsRead", `{"readMessages":["3A"]}`, "readMessages[0] is"},
		{"POST", "markMessageAsRead", `{"readMessages":[{"id":"3A","remoteJid":"1@g.us"}]}`, "readMessages[0].fromMe is missing"},
		{"PUT", "markMessageAsRead", `{"read_messages":[{"fromMe":true,"remoteJid":"1@g.us"}]}`, "read_messages[0].id is missing"},
		{"POST", "sendPresence", `{"number":"5511999990000","presence":"typing","delay":1}`, "presence is"},
		{"POST", "sendPresence", `{"number":"5511999990000","options":{"delay":1}}`, "options.presence is"},
		{"POST", "sendPresence", `{"number":"5511999990000","presence":"paused","delay":"1"}`, "delay is"},
		{"POST", "sendPresence", `{"presence":"paused"}`, "number is missing"},
		{"POST", "updateMessage", `{"number":"5511999990000","text":"x"}`, "key is missing"},
		{"PUT", "updateMessage", `{"number":"5511999990000","text":" ","key":{}}`, "text is missing"},
		{"PUT", "updateMessage", `{"number":"5511999990000","text":"x","key":{"id":"1","fromMe":true}}`, "key.remoteJid is missing"},
		{"DELETE", "deleteMessageForEveryone", `{"id":"1","fromMe":true}`, "remoteJid is missing"},
		{"DELETE", "deleteMessageForEveryone", ``, "body"},
	} {
		res := a.request(c.method, "/chat/"+c.path+"/ana", globalKey, c.body)
		if res.status != 400 || !strings.Contains(res.body, c.says) {
			t.Errorf("%s %s %s: %d %s, want %q", c.method, c.path, c.body, res.status, res.body, c.says)
		}
	}
	if len(a.calls) != 0 {
		t.Errorf("calls were made: %v", a.calls)
	}
	a.fail = pombo.Errorf(pombo.NotFound, "Message not found")
	a.expect("POST", "/chat/updateMessage/ana", `{"number":"5511999990000","text":"new","key":{"id":"1","fromMe":true,"remoteJid":"5511999990000"}}`, 404, failure(404, "Message not found"))
}

func TestLookups(t *testing.T) {
	a := newAPI(t)
	a.expect("POST", "/chat/whatsappNumbers/ana", `{"numbers":["1"]}`, 200, `[{"jid":"1@s.whatsapp.net","exists":true,"number":"1","lid":"2@lid"}]`)
	a.expect("POST", "/v1/chat/whatsappNumbers/ana", `{"numbers":["1"]}`, 200, `[{"exists":true,"jid":"1@s.whatsapp.net","number":"1"}]`)
	a.expect("POST", "/chat/fetchProfilePictureUrl/ana", `{"number":"1"}`, 200, `{"wuid":"1@s.whatsapp.net","profilePictureUrl":null}`)
	for _, body := range []string{`{}`, `{"numbers":[]}`, `{"numbers":[1]}`, `{"numbers":"1"}`, `{"numbers":["-"]}`} {
		if res := a.request("POST", "/chat/whatsappNumbers/ana", globalKey, body); res.status != 400 {
			t.Errorf("%s: %d %s", body, res.status, res.body)
		}
	}
	if res := a.request("POST", "/chat/fetchProfilePictureUrl/ana", globalKey, `{}`); res.status != 400 {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestSettingsRoutes(t *testing.T) {
	a := newAPI(t)
	a.expect("GET", "/settings/find/ana", "", 200, `{"rejectCall":false,"msgCall":"","groupsIgnore":false,"alwaysOnline":false,"readMessages":false,"readStatus":false,"syncFullHistory":false,"wavoipToken":""}`)
	a.expectWith(anaKey, "POST", "/settings/set/ana", `{"reject_call":true}`, 201, `{"settings":{"instanceName":"ana","settings":{"reject_call":true,"msg_call":"","groups_ignore":false,"always_online":false,"read_messages":false,"read_status":false,"sync_full_history":false}}}`)
	a.expectWith(bobKey, "POST", "/settings/set/ana", `{"reject_call":false}`, 401, unauthorized)
	if res := a.request("POST", "/settings/set/ana", globalKey, `{}`); res.status != 400 {
		t.Errorf("%d %s", res.status, res.body)
	}
}
