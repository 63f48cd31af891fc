package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pombo"
)

// TestWebhookFormsOfClients sends what each client sends to /webhook/set.
func TestWebhookFormsOfClients(t *testing.T) {
	on := func(byEvents, base64 bool) pombo.Webhook {
		return pombo.Webhook{URL: "https://a.b/wh", Enabled: true, Events: []pombo.EventName{pombo.MessagesUpsert}, ByEvents: byEvents, Base64: base64}
	}
	tests := []struct {
		name, body string
		want       pombo.Webhook
		keys       []string // that the answer has, with the flags on
	}{
		{"evolution-manager 0.4 (1.x)", `{"enabled":true,"events":["MESSAGES_UPSERT"],"url":"https://a.b/wh","webhook_base64":true,"webhook_by_events":true}`,
			on(true, true), []string{`"webhook_base64":true`, `"webhook_by_events":true`, `"instanceName":"ana"`}},
		{"evolution-manager-v2", `{"webhook":{"enabled":true,"url":"https://a.b/wh","events":["MESSAGES_UPSERT"],"base64":true,"byEvents":true}}`,
			on(true, true), []string{`"webhookBase64":true`, `"webhookByEvents":true`, `"base64":true`, `"byEvents":true`, `"instanceId":"id-ana"`}},
		{"n8n", `{"webhook":{"enabled":true,"url":"https://a.b/wh","webhookByEvents":true,"webhookBase64":true,"events":["MESSAGES_UPSERT"]}}`,
			on(true, true), []string{`"webhookBase64":true`, `"webhookByEvents":true`}},
		{"n8n, off", `{"webhook":{"enabled":false,"url":"vazio","webhookByEvents":false,"webhookBase64":false,"events":[]}}`,
			pombo.Webhook{URL: "vazio"}, []string{`"enabled":false`, `"url":"vazio"`, `"events":[]`}},
		{"gusnips' SDK", `{"enabled":true,"url":"https://a.b/wh","webhookByEvents":true,"webhookBase64":true,"events":["MESSAGES_UPSERT"]}`,
			on(true, true), []string{`"webhookByEvents":true`, `"webhookBase64":true`, `"instanceName":"ana"`}},
		{"LynkByte's SDK, off", `{"url":"","enabled":false}`,
			pombo.Webhook{}, []string{`"enabled":false`, `"url":""`, `"events":[]`}},
		{"juniorcarvalho's SDK", `{"url":"https://a.b/wh","events":["MESSAGES_UPSERT"],"webhook_by_events":true,"webhook_base64":false}`,
			on(true, false), []string{`"webhook_by_events":true`, `"enabled":true`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			res := a.request("POST", "/webhook/set/ana", anaKey, test.body)
			got := a.webhooks["ana"]
			if res.status != 201 || got.URL != test.want.URL || got.Enabled != test.want.Enabled || !slices.Equal(got.Events, test.want.Events) ||
				got.ByEvents != test.want.ByEvents || got.Base64 != test.want.Base64 {
				t.Errorf("%d, webhook %+v, want %+v", res.status, got, test.want)
			}
			for _, k := range test.keys {
				if !strings.Contains(res.body, k) {
					t.Errorf("answer %s lacks %s", res.body, k)
				}
			}
			if w := res.header.Get("X-Pombo-Warning"); w != "" {
				t.Errorf("warning %q", w)
			}
		})
	}
}

func TestSwitchingOnAnUncheckedURL(t *testing.T) {
	a := newAPI(t)
	a.request("POST", "/webhook/set/ana", anaKey, `{"webhook":{"enabled":false,"url":"vazio"}}`)
	res := a.request("POST", "/webhook/set/ana", anaKey, `{"webhook":{"enabled":true}}`)
	if res.status != 400 || !strings.Contains(res.body, "vazio") || a.webhooks["ana"].Enabled {
		t.Errorf("%d %s", res.status, res.body)
	}
}

// TestTextFormsOfClients sends what each client sends to /message/sendText.
func TestTextFormsOfClients(t *testing.T) {
	yes := true
	tests := []struct {
		name, body string
		want       pombo.Text
		answer     string
	}{
		{"evolution-manager 0.4 (1.x)", `{"number":"5511999990000","options":{"delay":1200,"presence":"composing","linkPreview":true,"mentions":{"everyOne":true,"mentioned":["5511988880000"]},"quoted":{"key":{"id":"3A"}}},"textMessage":{"text":"hi"}}`,
			pombo.Text{Number: "5511999990000", Text: "hi", Delay: 1200 * time.Millisecond, MentionEveryone: true, Mentioned: []string{"5511988880000"}, Quoted: &pombo.Quoted{ID: "3A"}, LinkPreview: &yes}, `{"v":1}`},
		{"evolution-manager-v2", `{"number":"5511999990000","text":"hi","options":{"delay":5}}`,
			pombo.Text{Number: "5511999990000", Text: "hi", Delay: 5 * time.Millisecond}, `{"v":2}`},
		{"n8n", `{"number":"5511999990000","text":"hi","delay":0,"linkPreview":true,"quoted":{"key":{"id":"3A"}},"mentionsEveryOne":true}`,
			pombo.Text{Number: "5511999990000", Text: "hi", LinkPreview: &yes, Quoted: &pombo.Quoted{ID: "3A"}, MentionEveryone: true}, `{"v":2}`},
		{"LynkByte's SDK", `{"number":"5511999990000","text":"hi","options":{"delay":100}}`,
			pombo.Text{Number: "5511999990000", Text: "hi", Delay: 100 * time.Millisecond}, `{"v":2}`},
		{"juniorcarvalho's SDK", `{"number":"5511999990000","text":"hi"}`,
			pombo.Text{Number: "5511999990000", Text: "hi"}, `{"v":2}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t)
			res := a.expectWith(anaKey, "POST", "/message/sendText/ana", test.body, 201, test.answer)
			if len(a.sent) != 1 || fmt.Sprint(flat(a.sent[0])) != fmt.Sprint(flat(test.want)) {
				t.Errorf("sent %+v, want %+v", a.sent, test.want)
			}
			if w := res.header.Get("X-Pombo-Warning"); w != "" {
				t.Errorf("warning %q", w)
			}
		})
	}
}

// flat lists what a text holds, pointers followed.
func flat(t pombo.Text) []any {
	var quoted pombo.Quoted
	if t.Quoted != nil {
		quoted = *t.Quoted
	}
	preview := t.LinkPreview != nil && *t.LinkPreview
	return []any{t.Number, t.Text, t.Delay, t.MentionEveryone, t.Mentioned, quoted, preview}
}

func TestCreateInBothDialects(t *testing.T) {
	get := func(body string, path ...string) any {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		for _, p := range path {
			m, _ := v.(map[string]any)
			v = m[p]
		}
		return v
	}
	a := newAPI(t)
	res := a.request("POST", "/instance/create", globalKey, `{"instanceName":"v1","token":"T1","qrcode":true,"webhook":"https://a.b","events":["CALL"]}`)
	if res.status != 201 || get(res.body, "hash", "apikey") != "T1" || get(res.body, "instance", "status") != "created" || get(res.body, "qrcode", "code") != "2@a,b,c" {
		t.Errorf("v1: %d %s", res.status, res.body)
	}
	res = a.request("POST", "/instance/create", globalKey, `{"instanceName":"v2","token":"T2","integration":"WHATSAPP-BAILEYS","webhook":{"url":"https://a.b","events":["CALL"]}}`)
	if res.status != 201 || get(res.body, "hash") != "T2" || get(res.body, "instance", "status") != "close" || get(res.body, "qrcode") != nil {
		t.Errorf("v2: %d %s", res.status, res.body)
	}
	res = a.request("POST", "/instance/create", globalKey, `{"instanceName":"plain","token":"T3"}`)
	if get(res.body, "hash") != "T3" {
		t.Errorf("by default: %s", res.body)
	}
	one := newAPI(t, func(o *Options) { o.Dialect = 1 })
	for target, want := range map[string]bool{"/instance/create": true, "/v1/instance/create": true, "/v2/instance/create": false} {
		res = one.request("POST", target, globalKey, fmt.Sprintf(`{"instanceName":%q,"token":"T"}`, strings.ReplaceAll(target[1:], "/", "-")))
		if _, isV1 := get(res.body, "hash").(map[string]any); isV1 != want {
			t.Errorf("%s with dialect 1: %s", target, res.body)
		}
	}
	a.expect("POST", "/instance/create", `{"instanceName":"ana"}`, 403, failure(403, `This name "ana" is already in use.`))
}

func TestFetchInstances(t *testing.T) {
	a := newAPI(t)
	names := func(key, target string) string {
		t.Helper()
		res := a.request("GET", target, key, "")
		var rows []map[string]any
		if err := json.Unmarshal([]byte(res.body), &rows); res.status != 200 || err != nil {
			return fmt.Sprintf("%d", res.status)
		}
		var names []string
		for _, r := range rows {
			names = append(names, fmt.Sprint(r["name"]))
		}
		return strings.Join(names, " ")
	}
	for _, test := range []struct{ key, target, want string }{
		{globalKey, "/instance/fetchInstances", "ana bob"},
		{globalKey, "/instance/fetchInstances/?instanceName=bob", "bob"},
		{globalKey, "/instance/fetchInstances?instanceId=id-ana", "ana"},
		{globalKey, "/instance/fetchInstances?number=5511999990000", "ana"},
		{globalKey, "/instance/fetchInstances?number=abc", "404"},
		{globalKey, "/instance/fetchInstances?instanceName=eve", "404"},
		{globalKey, "/instance/fetchInstances?instanceName=ana&instanceId=id-bob", "404"},
		{anaKey, "/instance/fetchInstances", "ana"},
		{anaKey, "/instance/fetchInstances?instanceName=ana", "ana"},
		{anaKey, "/instance/fetchInstances?instanceName=bob", "404"},
	} {
		if got := names(test.key, test.target); got != test.want {
			t.Errorf("%s with %s: %s, want %s", test.target, test.key, got, test.want)
		}
	}
	a.expect("GET", "/instance/fetchInstances?instanceName=eve", "", 404, failure(404, `Instance "eve" not found`))
	a.expect("GET", "/v1/instance/fetchInstances?instanceName=bob", "", 200, `{"instance":{"instanceName":"bob","instanceId":"id-bob","status":"close"}}`)
	a.expectWith(bobKey, "GET", "/v1/instance/fetchInstances", "", 200, `[{"instance":{"instanceName":"bob","instanceId":"id-bob","status":"close"}}]`)
}

// TestRowsHaveWhatSolufyNeeds checks the keys that @solufy/evolution-sdk
// refuses an answer without.
func TestRowsHaveWhatSolufyNeeds(t *testing.T) {
	a := newAPI(t)
	var rows []map[string]any
	if err := json.Unmarshal([]byte(a.request("GET", "/instance/fetchInstances/", globalKey, "").body), &rows); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"id", "name", "connectionStatus", "integration", "token", "clientName", "createdAt", "updatedAt"} {
		if _, isString := rows[1][key].(string); !isString {
			t.Errorf("%s is %v", key, rows[1][key])
		}
	}
	for _, key := range []string{"ownerJid", "profileName", "profilePicUrl", "number", "businessId", "disconnectionReasonCode", "disconnectionObject", "disconnectionAt"} {
		if v, there := rows[1][key]; !there || v != nil {
			t.Errorf("%s is %v, there: %t", key, v, there)
		}
	}
	count, _ := rows[1]["_count"].(map[string]any)
	for _, key := range []string{"Message", "Contact", "Chat"} {
		if _, isNumber := count[key].(float64); !isNumber {
			t.Errorf("_count.%s is %v", key, count[key])
		}
	}
}

func TestConnections(t *testing.T) {
	a := newAPI(t)
	const open = `{"instance":{"instanceName":"ana","state":"open"}}`
	a.expectWith(anaKey, "GET", "/instance/connect/ana", "", 200, open)
	res := a.request("GET", "/instance/connect/bob?number=%2B55+11+98888-0000", bobKey, "")
	if res.status != 200 || !strings.HasPrefix(res.body, `{"pairingCode":null,"code":"2@a,b,c","base64":"data:image/png;base64,`) || !strings.HasSuffix(res.body, `,"count":1}`) {
		t.Errorf("%d %s", res.status, res.body)
	}
	if res := a.request("GET", "/instance/connect/bob?number=abc", bobKey, ""); res.status != 400 {
		t.Errorf("a number without digits: %d %s", res.status, res.body)
	}
	a.expect("PUT", "/instance/restart/ana", "", 200, open)
	a.expect("POST", "/instance/restart/ana", "", 200, open)
	a.expect("DELETE", "/instance/logout/ana", "", 200, `{"status":"SUCCESS","error":false,"response":{"message":"Instance logged out"}}`)
	a.expect("DELETE", "/instance/delete/ana", "", 200, `{"status":"SUCCESS","error":false,"response":{"message":"Instance deleted"}}`)
	want := []string{"connect ana", "connect bob 5511988880000", "restart ana", "restart ana", "logout ana", "delete ana"}
	if !slices.Equal(a.calls, want) {
		t.Errorf("calls %q, want %q", a.calls, want)
	}
}

func TestWelcomeIsWhatManagersLookFor(t *testing.T) {
	a := newAPI(t, func(o *Options) {
		o.ServerURL = "https://wa.example"
		o.WhatsAppVersion = func() string { return "2.3000.1" }
	})
	a.expectWith("", "GET", "/", "", 200, `{"status":200,"message":"Welcome to Pombo, which speaks the Evolution API. It is working!","version":"1.2.3","clientName":"pombo","documentation":"https://wa.example/openapi.json","whatsappWebVersion":"2.3000.1"}`)
}
