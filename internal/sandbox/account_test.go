package sandbox_test

import (
	"fmt"
	"strings"
	"testing"

	"pombo/internal/sandbox"
)

func TestAccountRefusals(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "no file", ID: "TEXT"})
	about := func(rest string) string { return fmt.Sprintf(`{"number":%q,%s}`, bot, rest) }
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/media", `{"from":"5511900000002","to":"5511900000001","kind":"hologram"}`, 400, "kind"},
		{"POST", "/media", `{"from":"x","to":"5511900000001","kind":"image"}`, 400, "from"},
		{"POST", "/media", `{"from":"5511900000002","to":"","kind":"image"}`, 400, "to"},
		{"POST", "/media", `{"from":"5511900000002","to":"5511900000001","kind":"image","size":-1}`, 400, "size"},
		{"POST", "/media", `{"from":"5511900000002","to":"5511900000001","kind":"image","content":"?"}`, 400, "base64"},
		{"POST", "/media", `{"from":"5511900000002","to":"5511900000001","kind":"image","content":"AA==","size":1}`, 400, "not both"},
		{"GET", "/messages/TEXT/media", ``, 404, "has no file"},
		{"GET", "/messages/NONE/media", ``, 404, "No phone"},
		{"POST", "/messages/TEXT/expire", `{}`, 404, "has no file"},
		{"POST", "/messages/TEXT/expire", `{"code":200}`, 400, "code"},
		{"POST", "/messages/TEXT/expire", `{"answer":"maybe"}`, 400, "answer"},
		{"POST", "/faults", `{"kind":"media","code":200}`, 400, "code"},
		{"POST", "/app-state", about(`"action":"dance"`), 400, "action"},
		{"POST", "/app-state", about(`"action":"pin"`), 400, "chat"},
		{"POST", "/app-state", about(`"action":"pin","chat":"@g.us"`), 400, "chat"},
		{"POST", "/app-state", about(`"action":"star","chat":"5511900000002"`), 400, "messageId"},
		{"POST", "/app-state", about(`"action":"label","name":"x"`), 400, "label"},
		{"POST", "/app-state", about(`"action":"pushName"`), 400, "name"},
		{"POST", "/app-state", about(`"action":"removeContact","chat":"5511900000002"`), 404, "app-state lists"},
		{"POST", "/app-state", about(`"action":"raw","collection":"x","index":["y"],"value":{}`), 400, "critical_block"},
		{"POST", "/app-state", about(`"action":"raw","remove":true,"collection":"x","index":["y"]`), 400, "critical_block"},
		{"POST", "/app-state", about(`"action":"raw","collection":"regular","value":{}`), 400, "index"},
		{"POST", "/app-state", about(`"action":"raw","collection":"regular","index":["y"],"value":{"x":1}`), 400, "value"},
		{"GET", "/app-state?number=5511900000009", ``, 404, "Nobody"},
		{"GET", "/profile?number=5511900000009", ``, 404, "Nobody"},
		{"GET", "/profile/picture?number=5511900000001", ``, 404, "no picture"},
	} {
		var body struct {
			Status   int
			Response struct{ Message []string }
		}
		status := call(t, test.method, n.http.URL+"/sandbox"+test.path, test.body, &body)
		if status != test.status || len(body.Response.Message) != 1 || !strings.Contains(body.Response.Message[0], test.says) {
			t.Errorf("%s %s %s: %d %+v", test.method, test.path, test.body, status, body)
		}
	}
	var result sandbox.AppStateResult
	if status := call(t, "POST", n.http.URL+"/sandbox/app-state", about(`"action":"pin","chat":"5511900000002"`), &result); status != 200 || result.Version != 2 {
		t.Errorf("pin: %d %+v", status, result)
	}
	var settings []sandbox.Setting
	if status := call(t, "GET", n.http.URL+"/sandbox/app-state?number="+bot, "", &settings); status != 200 || len(settings) != 2 {
		t.Errorf("settings: %d %+v", status, settings)
	}
}
