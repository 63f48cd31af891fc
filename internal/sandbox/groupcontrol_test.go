package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

// TestGroupControl: what docs/sandbox.md says of the routes of groups and calls.
func TestGroupControl(t *testing.T) {
	n, c := startPaired(t)
	url := n.http.URL + "/sandbox"
	must := func(status int, method, path, body string, into any) {
		t.Helper()
		if got := call(t, method, url+path, body, into); got != status {
			t.Fatalf("%s %s %s: %d", method, path, body, got)
		}
	}
	var g sandbox.GroupView
	must(201, "POST", "/groups", fmt.Sprintf(`{"from":%q,"subject":"Team","participants":[%q]}`, contact, bot), &g)
	if len(g.Participants) != 2 || g.Addressing != "lid" || g.InviteLink == "" || g.Participants[1].Role != "member" {
		t.Errorf("made %+v", g)
	}
	wait[*events.JoinedGroup](c, nil)
	must(200, "POST", "/groups/"+g.JID, fmt.Sprintf(`{"from":%q,"subject":"Crew","ephemeral":86400}`, contact), &g)
	must(200, "POST", "/groups/"+g.JID+"/participants", fmt.Sprintf(`{"from":%q,"action":"add","participants":[%q]}`, contact, third), &g)
	must(200, "POST", "/groups/"+g.JID+"/leave", fmt.Sprintf(`{"number":%q}`, third), &g)
	must(200, "POST", "/groups/join", fmt.Sprintf(`{"number":%q,"code":%q}`, third, g.InviteCode), nil)
	must(200, "GET", "/groups/"+strings.TrimSuffix(g.JID, "@g.us"), "", &g)
	if g.Subject != "Crew" || g.Ephemeral != 86400 || len(g.Participants) != 3 {
		t.Errorf("got %+v", g)
	}
	var all []sandbox.GroupView
	if must(200, "GET", "/groups", "", &all); len(all) != 1 {
		t.Errorf("groups %+v", all)
	}
	must(201, "POST", "/messages", fmt.Sprintf(`{"from":%q,"to":%q,"text":"hello","id":"ABC"}`, contact, g.JID), nil)
	wait(c, hasText("hello"))
	id := c.sendText(mustJID(t, g.JID), "hello").ID
	must(201, "POST", "/messages/"+id+"/receipts", fmt.Sprintf(`{"type":"read","numbers":[%q,%q]}`, contact, third), nil)
	wait(c, func(r *events.Receipt) bool { return r.Type == "read" })
	must(200, "POST", "/presence", fmt.Sprintf(`{"from":%q,"to":%q,"state":"composing"}`, contact, g.JID), nil)
	wait[*events.ChatPresence](c, nil)
	var k sandbox.CallView
	must(201, "POST", "/calls", fmt.Sprintf(`{"from":%q,"to":%q,"video":true}`, contact, bot), &k)
	must(200, "POST", "/calls/"+k.ID, `{"action":"terminate","reason":"timeout"}`, &k)
	wait[*events.CallTerminate](c, nil)
	var calls []sandbox.CallView
	if must(200, "GET", "/calls", "", &calls); len(calls) != 1 || calls[0].State != "terminated" {
		t.Errorf("calls %+v", calls)
	}
	var shown []sandbox.PresenceSeen
	must(200, "GET", "/presence?number="+bot, "", &shown)
	n.mustObey(t)
}

func TestGroupControlRefusals(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	jid := n.group(t, sandbox.GroupRequest{From: bot, Participants: []string{contact}}).String()
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/groups", `{"from":"5511900000001"}`, 400, "subject"},
		{"POST", "/groups", `{"from":"1","subject":"x"}`, 400, "from"},
		{"POST", "/groups", `{"from":"5511900000001","subject":"x","participants":["1"]}`, 400, "participants"},
		{"POST", "/groups", `{"from":"5511900000001","subject":"x","addressing":"x"}`, 400, "addressing"},
		{"GET", "/groups/1", ``, 404, "no group"},
		{"POST", "/groups/1", `{"from":"5511900000001"}`, 404, "no group"},
		{"POST", "/groups/" + jid, `{"from":"5511900000009","subject":"x"}`, 404, "Nobody"},
		{"POST", "/groups/" + jid, `{"from":"5511900000002","announce":true}`, 409, "admin"},
		{"POST", "/groups/" + jid, `{"from":"5511900000001","ephemeral":-1}`, 400, "1 second"},
		{"POST", "/groups/" + jid, `{"from":"5511900000001","memberAddMode":"x"}`, 400, "admin_add"},
		{"POST", "/groups/" + jid + "/participants", `{"from":"5511900000001","action":"x"}`, 400, "action"},
		{"POST", "/groups/" + jid + "/participants", `{"from":"5511900000001","action":"add","participants":["5511900000002"]}`, 409, "already"},
		{"POST", "/groups/" + jid + "/participants", `{"from":"5511900000001","action":"remove","participants":["5511900000003"]}`, 409, "not in this group"},
		{"POST", "/groups/" + jid + "/participants", `{"from":"5511900000001","action":"demote","participants":["5511900000001"]}`, 409, "owner"},
		{"POST", "/groups/" + jid + "/participants", `{"from":"5511900000001","action":"approve","participants":["5511900000003"]}`, 409, "did not ask"},
		{"POST", "/groups/" + jid + "/leave", `{"number":"5511900000003"}`, 409, "not in this group"},
		{"POST", "/groups/join", `{"number":"5511900000003","code":"x"}`, 404, "invite link"},
		{"POST", "/messages", `{"from":"5511900000003","to":"` + jid + `","text":"x"}`, 409, "not in this group"},
		{"POST", "/messages", `{"from":"5511900000001","to":"1@g.us","text":"x"}`, 404, "no group"},
		{"POST", "/messages", `{"from":"5511900000001","to":"` + jid + `","text":"x","audience":["5511900000002"]}`, 400, "audience"},
		{"POST", "/messages", `{"from":"5511900000001","to":"status@broadcast","text":"x","audience":["5511900000009"]}`, 404, "Nobody"},
		{"POST", "/messages/X/receipts", `{"type":"read","numbers":["5511900000001"]}`, 404, "No phone received"},
		{"POST", "/messages/X/receipts", `{"type":"retry","numbers":["5511900000001"]}`, 400, "one phone"},
		{"POST", "/calls", `{"from":"5511900000001","to":"5511900000009"}`, 404, "Nobody"},
		{"POST", "/calls", `{"from":"5511900000001","to":"5511900000001"}`, 400, "itself"},
		{"POST", "/calls", `{"from":"5511900000001","to":"5511900000002","group":"1"}`, 404, "no group"},
		{"POST", "/calls/X", `{"action":"terminate"}`, 404, "no call"},
		{"POST", "/calls/X", `{"action":"x"}`, 400, "action"},
		{"GET", "/presence", ``, 400, "number"},
	} {
		var body struct {
			Status   int
			Response struct{ Message []string }
		}
		status := call(t, test.method, n.http.URL+"/sandbox"+test.path, test.body, &body)
		if status != test.status || len(body.Response.Message) != 1 || !strings.Contains(body.Response.Message[0], test.says) {
			t.Errorf("%s %s %s: %d %s %+v", test.method, test.path, test.body, status, http.StatusText(status), body)
		}
	}
}
