package evolution

import (
	"encoding/json"
	"strings"
	"testing"

	"pombo"
)

var shown = pombo.InstanceView{
	Instance: pombo.Instance{
		ID: "7b1f6c1e-0000-4000-8000-000000000001", Name: "my-instance", Token: "TOKEN", Integration: "WHATSAPP-BAILEYS",
		CreatedAt: made, UpdatedAt: changed,
	},
	State: pombo.StateConnecting,
}

func decodeCreate(t *testing.T, body string) *CreateInstance {
	t.Helper()
	c, err := DecodeCreateInstance([]byte(body))
	if err != nil {
		t.Fatalf("decoding %s: %v", body, err)
	}
	return c
}

func TestCreateInV1(t *testing.T) {
	c := decodeCreate(t, `{"instanceName":"my-instance","token":"TOKEN","number":"+55 11 99999-0000","qrcode":true,
		"webhook":"https://a.b/wh","webhook_by_events":true,"events":["CALL"],"reject_call":true,"msg_call":"no","groups_ignore":"true"}`)
	n := c.New
	if c.Dialect != V1 || n.Name != "my-instance" || n.Token != "TOKEN" || n.Number != "5511999990000" || !n.QRCode ||
		!n.Settings.RejectCall || n.Settings.MsgCall != "no" || !n.Settings.GroupsIgnore || n.Integration != "WHATSAPP-BAILEYS" {
		t.Errorf("dialect %d, %+v", c.Dialect, n)
	}
	w := n.Webhook.Apply(pombo.Webhook{})
	if !w.Enabled || w.URL != "https://a.b/wh" || !w.ByEvents || w.Base64 || len(w.Events) != 1 {
		t.Errorf("webhook %+v", w)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
	v := shown
	v.Settings = n.Settings
	got, err := c.Created(V2, v)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"instance":{"instanceName":"my-instance","instanceId":"7b1f6c1e-0000-4000-8000-000000000001","integration":"WHATSAPP-BAILEYS","webhook_wa_business":null,"access_token_wa_business":"","status":"created"},` +
		`"hash":{"apikey":"TOKEN"},"webhook":{"webhook":"https://a.b/wh","webhook_by_events":true,"webhook_base64":false,"events":["CALL"]},` +
		`"websocket":{},"rabbitmq":{},"sqs":{},"typebot":{"enabled":false},` +
		`"settings":{"reject_call":true,"msg_call":"no","groups_ignore":true,"always_online":false,"read_messages":false,"read_status":false,"sync_full_history":false},"qrcode":{"count":0}}`
	if string(got) != want {
		t.Errorf("answer\n%s\nwant\n%s", got, want)
	}
}

func TestCreateInV2(t *testing.T) {
	c := decodeCreate(t, `{"instanceName":"my-instance","integration":"WHATSAPP-BAILEYS","token":null,"number":null,"qrcode":true,"rejectCall":false,
		"webhook":{"url":"https://a.b/wh","byEvents":false,"base64":true,"headers":{"authorization":"x"},"events":["CALL"]}}`)
	if c.Dialect != V2 || c.New.Token != "" || c.New.Number != "" {
		t.Errorf("dialect %d, %+v", c.Dialect, c.New)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
	v := shown
	v.QR = pombo.QR{Code: "2@abc,def,ghi", PairingCode: "ABCD1234", Count: 1}
	answer, err := c.Created(V1, v)
	if err != nil {
		t.Fatal(err)
	}
	got, image := cutImage(string(answer))
	const want = `{"instance":{"instanceName":"my-instance","instanceId":"7b1f6c1e-0000-4000-8000-000000000001","integration":"WHATSAPP-BAILEYS","webhookWaBusiness":null,"accessTokenWaBusiness":"","status":"connecting"},` +
		`"hash":"TOKEN","webhook":{"webhookUrl":"https://a.b/wh","webhookHeaders":{"authorization":"x"},"webhookByEvents":false,"webhookBase64":true,"events":["CALL"]},` +
		`"websocket":{},"rabbitmq":{},"nats":{},"sqs":{},` +
		`"settings":{"rejectCall":false,"msgCall":"","groupsIgnore":false,"alwaysOnline":false,"readMessages":false,"readStatus":false,"syncFullHistory":false,"wavoipToken":""},` +
		`"qrcode":{"pairingCode":"ABCD1234","code":"2@abc,def,ghi","base64":"","count":1}}`
	if got != want {
		t.Errorf("answer\n%s\nwant\n%s", got, want)
	}
	checkImage(t, image)
}

func TestCreateFormsOfClients(t *testing.T) {
	tests := []struct {
		name, body string
		dialect    Dialect
		url        string
		warnings   string
	}{
		{"n8n", `{"instanceName":"a","integration":"WHATSAPP-BAILEYS","rejectCall":true,"webhook":{"url":"https://a.b","byEvents":true,"base64":false,"events":["CALL"]},"rabbitmq":{"enabled":true,"events":[]},"proxyHost":"h","proxyPort":"1","chatwootAccountId":"","chatwootSignMsg":false}`,
			V2, "https://a.b", `key "rabbitmq" ignored: Pombo does not serve it|key "proxyHost" ignored: Pombo does not serve it|key "proxyPort" ignored: Pombo does not serve it`},
		{"evolution-manager of 1.x", `{"instanceName":"a","token":"T","number":"","qrcode":true}`, 0, "", ""},
		{"evolution-manager of 2.x", `{"instanceName":"a","integration":"WHATSAPP-BAILEYS","token":null,"number":null,"businessId":""}`, 0, "", ""},
		{"EvolutionAPI's Python client", `{"instanceName":"a","integration":"WHATSAPP-BAILEYS","token":"T","number":"5511999990000","qrcode":true,"rejectCall":false,"msgCall":"","groupsIgnore":false}`, V2, "", ""},
		{"a webhook that says it is off", `{"instanceName":"a","webhook":{"enabled":false,"url":"https://a.b"}}`, V2, "https://a.b", `key "webhook.enabled" ignored: a webhook given at creation is enabled`},
		{"an empty webhook object", `{"instanceName":"a","webhook":{}}`, V2, "", ""},
		{"an empty URL in an object", `{"instanceName":"a","webhook":{"url":"","events":[]}}`, V2, "", ""},
		{"an empty URL", `{"instanceName":"a","webhook":"","webhook_by_events":false,"events":[]}`, V1, "", ""},
		{"events without a webhook", `{"instanceName":"a","events":[]}`, 0, "", `key "events" ignored, since there is no "webhook"`},
		{"2.0's webhookUrl", `{"instanceName":"a","webhookUrl":"https://a.b","webhookByEvents":true,"webhookEvents":["CALL"]}`, 0, "https://a.b", ""},
		{"settings as the answer has them", `{"instanceName":"a","settings":{"rejectCall":true,"wavoipToken":""}}`, V2, "", ""},
		{"a typing error", `{"instanceName":"a","qrCode":true,"webhook":{"url":"https://a.b","event":[]}}`, V2, "https://a.b", `unknown key "webhook.event" ignored, did you mean "webhook.events"?|unknown key "qrCode" ignored, did you mean "qrcode"?`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := decodeCreate(t, test.body)
			url := ""
			if c.New.Webhook != nil {
				w := c.New.Webhook.Apply(pombo.Webhook{})
				if err := ValidateWebhook(w); err != nil || !w.Enabled {
					t.Errorf("webhook %+v: %v", w, err)
				}
				url = w.URL
			}
			if c.Dialect != test.dialect || url != test.url {
				t.Errorf("dialect %d, webhook %q, want %d, %q", c.Dialect, url, test.dialect, test.url)
			}
			if got := strings.Join(c.Warnings, "|"); got != test.warnings {
				t.Errorf("warnings %q, want %q", got, test.warnings)
			}
			if a, err := c.Created(V2, shown); err != nil || !json.Valid(a) {
				t.Errorf("answer %s, %v", a, err)
			}
		})
	}
}

func TestCreateRefusals(t *testing.T) {
	tests := []struct{ body, want string }{
		{`{}`, "instanceName is required"},
		{`{"instanceName":5}`, `put it in double quotes: "5"`},
		{`{"instanceName":"a/b"}`, `contains "/"`},
		{`{"instanceName":" a"}`, "begins or ends with a space"},
		{`{"instanceName":"a","token":"a b"}`, "token must have"},
		{`{"instanceName":"a","token":"é"}`, "token must have"},
		{`{"instanceName":"a","number":5511999990000}`, `put it in double quotes: "5511999990000"`},
		{`{"instanceName":"a","number":"abc"}`, "is not a phone number"},
		{`{"instanceName":"a","qrcode":"sim"}`, "qrcode is the string \"sim\": it must be true or false"},
		{`{"instanceName":"a","integration":"WHATSAPP-BUSINESS"}`, "only WhatsApp Web sessions are"},
		{`{"instanceName":"a","integration":"EVOLUTION"}`, "only WhatsApp Web sessions are"},
		{`{"instanceName":"a","integration":"X"}`, `"X" is unknown`},
		{`{"instanceName":"a","webhook":"vazio"}`, `webhook "vazio" is not an absolute URL`},
		{`{"instanceName":"a","webhook":{"url":"vazio"}}`, `webhook.url "vazio" is not an absolute URL`},
		{`{"instanceName":"a","webhook":{"events":["CALL"]}}`, "webhook.url is missing"},
		{`{"instanceName":"a","webhook":true}`, "webhook is true: it must be a URL"},
		{`{"instanceName":"a","webhook":{"url":"https://a.b","events":["CAL"]}}`, `did you mean "CALL"?`},
		{`{"instanceName":"a","rejectCall":true,"reject_call":false}`, "spellings of the same setting"},
		{`{"instanceName":"a","settings":5}`, "settings is the number 5: it must be an object"},
		{`{"instanceName":"a","msgCall":{}}`, "msgCall is an object: it must be a string"},
	}
	for _, test := range tests {
		_, err := DecodeCreateInstance([]byte(test.body))
		if pombo.KindOf(err) != pombo.Invalid || !strings.Contains(errText(err), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.body, err, test.want)
		}
	}
}

func FuzzDecodeCreateInstance(f *testing.F) {
	for _, seed := range []string{
		`{"instanceName":"a","token":"T","number":"55 11 99999","qrcode":"true","webhook":"http://a","webhook_by_events":true,"events":null}`,
		`{"instanceName":"a","webhook":{"url":"http://a","headers":{"a":1}},"settings":{"msgCall":"x"},"chatwoot_token":1,"integration":""}`,
		`{"instanceName":"\ud800"}`, `{"instanceName":"..","webhook":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := DecodeCreateInstance(body)
		if err != nil {
			if pombo.KindOf(err) != pombo.Invalid || err.Error() == "" {
				t.Fatalf("error %v of kind %v", err, pombo.KindOf(err))
			}
			return
		}
		if err := pombo.ValidateInstanceName(c.New.Name); err != nil {
			t.Fatalf("name %q was accepted: %v", c.New.Name, err)
		}
		if c.New.Webhook != nil {
			if err := ValidateWebhook(c.New.Webhook.Apply(pombo.Webhook{})); err != nil {
				t.Fatalf("webhook was accepted: %v", err)
			}
		}
		if a, err := c.Created(V2, shown); err != nil || !json.Valid(a) {
			t.Fatalf("answer %s, %v", a, err)
		}
	})
}
