package evolution

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pombo"
)

// documentRequest is the request of the Set Webhook document, with the
// comments removed and the placeholder filled in, as it asks for.
const documentRequest = `{
"enabled": true,
"url": "https://example.com/wh",
"webhookByEvents": false,
"events": [
"QRCODE_UPDATED",
"MESSAGES_UPSERT",
"MESSAGES_UPDATE",
"SEND_MESSAGE",
"CONNECTION_UPDATE"
]
}`

// documentAnswer is the answer that the document shows.
const documentAnswer = `{"webhook":{"instanceName":"my-instance","webhook":{"enabled":true,"url":"https://example.com/wh","webhookByEvents":false,"events":["QRCODE_UPDATED","MESSAGES_UPSERT","MESSAGES_UPDATE","SEND_MESSAGE","CONNECTION_UPDATE"]}}}`

// all is the list of all events, as answers show it.
var all = string(raw(pombo.EventNames()))

var (
	made    = time.Date(2025, 6, 30, 12, 0, 0, 0, time.UTC)
	changed = time.Date(2025, 6, 30, 12, 0, 1, 500e6, time.FixedZone("", -3*3600))
	stored  = pombo.Webhook{
		ID: "w1", Instance: "i1", URL: "https://old.example/wh", Enabled: true, ByEvents: true, Base64: true,
		Events: []pombo.EventName{pombo.Call}, Headers: map[string]string{"X-Old": "1"}, CreatedAt: made, UpdatedAt: changed,
	}
)

// set decodes body, applies it to w, and returns the webhook and the answer.
func set(t *testing.T, body string, w pombo.Webhook) (pombo.Webhook, string, []string) {
	t.Helper()
	s, err := DecodeWebhookSet([]byte(body))
	if err != nil {
		t.Fatalf("decoding %s: %v", body, err)
	}
	w = s.Change.Apply(w)
	if err := ValidateWebhook(w); err != nil {
		t.Fatalf("validating the result of %s: %v", body, err)
	}
	return w, string(s.Answer("my-instance", w)), s.Warnings
}

func TestDocumentRequestGetsDocumentAnswer(t *testing.T) {
	w, answer, warnings := set(t, documentRequest, pombo.Webhook{})
	if answer != documentAnswer {
		t.Errorf("answer\n%s\nwant\n%s", answer, documentAnswer)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings %q", warnings)
	}
	if !w.Enabled || w.ByEvents || w.Base64 || len(w.Events) != 5 {
		t.Errorf("webhook %+v", w)
	}
}

func TestWebhookSetAnswers(t *testing.T) {
	row := func(url, headers, enabled, events, byEvents, base64 string) string {
		return `{"id":"w1","url":"` + url + `","headers":` + headers + `,"enabled":` + enabled + `,"events":` + events +
			`,"webhookByEvents":` + byEvents + `,"webhookBase64":` + base64 +
			`,"createdAt":"2025-06-30T12:00:00.000Z","updatedAt":"2025-06-30T15:00:01.500Z","instanceId":"i1"`
	}
	flat := func(s string) string { return `{"webhook":{"instanceName":"my-instance","webhook":` + s + `}}` }
	tests := []struct{ name, body, want string }{
		{
			"flat snake, evolution-manager of 1.x",
			`{"enabled":true,"events":["CALL"],"url":"http://n8n_app:5678/wh","webhook_base64":true,"webhook_by_events":true}`,
			flat(`{"enabled":true,"events":["CALL"],"url":"http://n8n_app:5678/wh","webhook_base64":true,"webhook_by_events":true}`),
		},
		{
			"flat snake without enabled, juniorcarvalho's SDK",
			`{"url":"https://a.b","events":["GROUPS_UPDATE","GROUP_UPDATE"],"webhook_by_events":"false","webhook_base64":"true"}`,
			flat(`{"url":"https://a.b","events":["GROUP_UPDATE"],"webhook_by_events":false,"webhook_base64":true,"enabled":true}`),
		},
		{
			"flat camel, gusnips' and LynkByte's SDKs",
			`{"enabled":"true","url":"https://a.b","webhookByEvents":true,"webhookBase64":false,"events":null}`,
			flat(`{"enabled":true,"url":"https://a.b","webhookByEvents":true,"webhookBase64":false,"events":` + all + `}`),
		},
		{
			"flat, switched off, LynkByte's SDK",
			`{"url":"","enabled":false}`,
			flat(`{"url":"","enabled":false,"events":[]}`),
		},
		{
			"flat, switched off, empties url and events",
			`{"enabled":"false","url":"https://a.b","events":["CALL"],"byEvents":true}`,
			flat(`{"enabled":false,"url":"","events":[],"byEvents":true}`),
		},
		{
			"flat, no events",
			`{"url":"https://a.b"}`,
			flat(`{"url":"https://a.b","enabled":true,"events":` + all + `}`),
		},
		{
			"nested short, evolution-manager of 2.x",
			`{"webhook":{"enabled":true,"url":"https://a.b","events":["CALL"],"base64":false,"byEvents":true,"headers":{"jwt_key":"k","X-N":7,"X-B":true}}}`,
			row("https://a.b", `{"X-B":"true","X-N":"7","jwt_key":"k"}`, "true", `["CALL"]`, "true", "false") + `,"base64":false,"byEvents":true}`,
		},
		{
			"nested long, n8n",
			`{"webhook":{"enabled":true,"url":"https://a.b","webhookByEvents":false,"webhookBase64":true,"events":[]}}`,
			row("https://a.b", `{"X-Old":"1"}`, "true", all, "false", "true") + `}`,
		},
		{
			"nested, switched off with n8n's vazio",
			`{"webhook":{"enabled":false,"url":"vazio","webhookByEvents":false,"webhookBase64":false,"events":["CALL"]}}`,
			row("vazio", `{"X-Old":"1"}`, "false", "[]", "false", "false") + `}`,
		},
		{
			"nested, what is left out stays",
			`{"webhook":{"enabled":true}}`,
			row("https://old.example/wh", `{"X-Old":"1"}`, "true", `["CALL"]`, "true", "true") + `}`,
		},
		{
			"nested, a row sent back",
			`{"webhook":{"id":"w1","url":"https://new.example","headers":null,"enabled":true,"events":["CALL"],"webhookByEvents":true,"webhookBase64":true,"createdAt":"","updatedAt":"","instanceId":"i1"}}`,
			row("https://new.example", "null", "true", `["CALL"]`, "true", "true") + `}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, answer, warnings := set(t, test.body, stored)
			if answer != test.want {
				t.Errorf("answer\n%s\nwant\n%s", answer, test.want)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}

func TestFlatFormResetsAndNestedFormKeeps(t *testing.T) {
	w, _, _ := set(t, `{"url":"https://a.b"}`, stored)
	if w.ByEvents || w.Base64 || w.Headers != nil || len(w.Events) != 0 || w.ID != "w1" || w.Instance != "i1" {
		t.Errorf("flat form kept what was left out: %+v", w)
	}
	w, _, _ = set(t, `{"webhook":{"url":"https://a.b"}}`, stored)
	if !w.ByEvents || !w.Base64 || w.Headers["X-Old"] != "1" || len(w.Events) != 1 {
		t.Errorf("nested form lost what was left out: %+v", w)
	}
	w, _, _ = set(t, `{"webhook":{"enabled":false}}`, stored)
	if w.Enabled || w.URL != stored.URL || len(w.Events) != 0 {
		t.Errorf("switching off in the nested form gave %+v", w)
	}
}

func TestWebhookThatWouldBeEnabledWithoutURL(t *testing.T) {
	for _, body := range []string{`{"webhook":{"enabled":true}}`, `{"webhook":{"events":["CALL"]}}`} {
		s, err := DecodeWebhookSet([]byte(body))
		if err != nil {
			t.Fatalf("decoding %s: %v", body, err)
		}
		if err := ValidateWebhook(s.Change.Apply(pombo.Webhook{})); pombo.KindOf(err) != pombo.Invalid {
			t.Errorf("%s: result validated with error %v", body, err)
		}
	}
	vazio := pombo.Webhook{ID: "w", URL: "vazio"}
	s, err := DecodeWebhookSet([]byte(`{"webhook":{"enabled":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := ValidateWebhook(s.Change.Apply(vazio)); err == nil {
		t.Error("a webhook to \"vazio\" was switched on")
	}
}

func TestEveryEventNameIsAccepted(t *testing.T) {
	w, _, _ := set(t, `{"url":"https://a.b","events":`+all+`}`, pombo.Webhook{})
	if len(w.Events) != len(pombo.EventNames()) {
		t.Errorf("%d of %d events", len(w.Events), len(pombo.EventNames()))
	}
}

func TestWebhookURLs(t *testing.T) {
	good := []string{
		"https://example.com", "http://n8n:5678/webhook/x", "http://my_app:3000", "http://localhost:3000/x?y=z#f", "HTTP://A.B",
		"http://10.0.0.1", "http://[::1]:80/", "https://user:pa%2Fss@a.b/", "http://bücher.example/ä", "http://a.b.", "http://n8n-1",
	}
	for _, u := range good {
		if err := checkURL("url", u); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
	bad := map[string]string{
		"":                          "missing or empty",
		"vazio":                     "not an absolute URL",
		"[webhookUrl]":              "placeholder",
		"/hook":                     "not an absolute URL",
		"localhost:3000":            `write "http://localhost:3000"`,
		"example.com/x":             `write "http://example.com/x"`,
		"ftp://a.b":                 `scheme "ftp"`,
		"ws://a.b":                  `scheme "ws"`,
		"javascript:alert(1)":       "not an absolute URL",
		" https://a.b":              "white space",
		"https://a.b/x y":           "%20",
		"https://a.b/{{$json.id}}":  "not filled in",
		"https://":                  "names no host",
		"http:a.b":                  "not an absolute URL",
		"http:/a.b":                 "names no host",
		"https://https://a.b":       "scheme twice",
		"http://a.b:99999":          "from 1 to 65535",
		"http://a.b:0":              "from 1 to 65535",
		"http://a.b:x":              "not a valid URL",
		"http://::1/":               "not a valid URL",
		"http://a:1:2/":             "",
		"http://[a.b]/":             "not a valid URL",
		"http://[1.2.3.4]/":         "",
		"http://<host>/":            "not allowed",
		"http://u:secret/x@a.b/":    "not a valid URL",
		"http://u:secret@a.b:x/":    "not a valid URL",
		"u:secret@a.b:80/x":         "lacks its scheme",
		"https://a.b/%zz":           "not a valid URL",
		"https://a.b/\x00":          "not a valid URL",
		"https://" + longHost + "/": "longer than",
	}
	for u, want := range bad {
		err := checkURL("url", u)
		if pombo.KindOf(err) != pombo.Invalid || !strings.Contains(errText(err), want) {
			t.Errorf("%q: error %v, want one with %q", u, err, want)
		}
		if strings.Contains(errText(err), "secret") {
			t.Errorf("%q: the error tells the password: %v", u, err)
		}
	}
}

var longHost = strings.Repeat("a", 9000)

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWebhookSetRefusals(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"url missing", `{"enabled":true}`, `url is missing or empty`},
		{"url empty", `{"enabled":true,"url":""}`, `url is missing or empty`},
		{"url empty, enabled left out", `{"url":""}`, `url is missing or empty`},
		{"nested url empty", `{"webhook":{"enabled":true,"url":""}}`, `webhook.url is missing or empty`},
		{"url of a wrong type", `{"url":5}`, `url is the number 5: it must be a string, so put it in double quotes: "5"`},
		{"enabled of a wrong type", `{"url":"https://a.b","enabled":1}`, `enabled is the number 1: it must be true or false`},
		{"flag of a wrong type", `{"url":"https://a.b","byEvents":"yes"}`, `byEvents is the string "yes": it must be true or false`},
		{"two spellings at odds", `{"url":"https://a.b","byEvents":true,"webhook_by_events":false}`, `spellings of the same setting`},
		{"webhook is a string", `{"webhook":"https://a.b"}`, `put the address under the key "url"`},
		{"webhook is null", `{"webhook":null}`, `webhook is null: it must be an object`},
		{"webhook is empty", `{"webhook":{}}`, `none of the keys enabled, url`},
		{"webhook with misspelt keys only", `{"webhook":{"Url":"https://a.b"}}`, `did you mean "webhook.url"?`},
		{"the document's answer sent back", documentAnswer, `none of the keys`},
		{"events is a string", `{"url":"https://a.b","events":"CALL"}`, `for example ["CALL"]`},
		{"events is an object", `{"url":"https://a.b","events":{}}`, `events is an object: it must be an array of event names`},
		{"an event of a wrong type", `{"url":"https://a.b","events":["CALL",5]}`, `events[1] is the number 5: it must be a string`},
		{"unknown event", `{"url":"https://a.b","events":["MESSAGE_UPSERT"]}`, `events[0]: "MESSAGE_UPSERT" is not an event, did you mean "MESSAGES_UPSERT"?`},
		{"event in the wrong case", `{"webhook":{"url":"https://a.b","events":["Call"]}}`, `webhook.events[0]: "Call" is not an event, did you mean "CALL"?`},
		{"event with a space", `{"url":"https://a.b","events":["CALL "]}`, `did you mean "CALL"?`},
		{"wire name", `{"url":"https://a.b","events":["messages.upsert"]}`, `did you mean "MESSAGES_UPSERT"?`},
		{"juniorcarvalho's PRESENCE", `{"url":"https://a.b","events":["PRESENCE"]}`, `did you mean "PRESENCE_UPDATE"?`},
		{"gusnips' NEW_TOKEN", `{"url":"https://a.b","events":["NEW_TOKEN"]}`, `did you mean "NEW_JWT_TOKEN"?`},
		{"event far from any", `{"url":"https://a.b","events":["XYZZY"]}`, `the closest name is "`},
		{"events are checked also when switched off", `{"enabled":false,"events":["NOPE"]}`, `is not an event`},
		{"header with a line break", `{"url":"https://a.b","headers":{"X":"a\r\nHost: b"}}`, `line break`},
		{"header that is an object", `{"url":"https://a.b","headers":{"X":{}}}`, `headers.X is an object: it must be a string`},
		{"header name with a space", `{"url":"https://a.b","headers":{"X Y":"1"}}`, `is not the name of a header`},
		{"header name with a line break", `{"url":"https://a.b","headers":{"X\nY":"1"}}`, `is not the name of a header`},
		{"Host", `{"url":"https://a.b","headers":{"Host":"c"}}`, `set by the connection itself`},
		{"content-length", `{"url":"https://a.b","headers":{"content-length":"1"}}`, `set by the connection itself`},
		{"webhook-id", `{"url":"https://a.b","headers":{"Webhook-ID":"1"}}`, `"webhook-" are set for each delivery`},
		{"one header twice", `{"url":"https://a.b","headers":{"X-A":"1","x-a":"2"}}`, `are the same one`},
		{"empty jwt_key", `{"url":"https://a.b","headers":{"jwt_key":""}}`, `headers.jwt_key is empty`},
		{"headers is an array", `{"url":"https://a.b","headers":[]}`, `headers is an array: it must be an object`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := DecodeWebhookSet([]byte(test.body))
			if pombo.KindOf(err) != pombo.Invalid || !strings.Contains(errText(err), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestSeveralUnknownEventsAreListed(t *testing.T) {
	_, err := DecodeWebhookSet([]byte(`{"url":"https://a.b","events":["A","CALL","B"]}`))
	var e *pombo.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v", err)
	}
	if list, ok := e.Detail.([]string); !ok || len(list) != 2 || !strings.HasPrefix(list[1], "events[2]: ") {
		t.Errorf("detail %v", e.Detail)
	}
}

func TestWebhookSetWarnings(t *testing.T) {
	tests := []struct {
		body string
		want []string
	}{
		{`{"url":"https://a.b","webhook_by_event":true}`, []string{`unknown key "webhook_by_event" ignored, did you mean "webhook_by_events"?`}},
		{`{"webhook":{"url":"https://a.b","evnets":[]},"events":[],"x":1}`, []string{
			`unknown key "webhook.evnets" ignored, did you mean "webhook.events"?`,
			`unknown key "x" ignored`,
			`key "events" beside "webhook" ignored, did you mean "webhook.events"?`,
		}},
	}
	for _, test := range tests {
		_, _, warnings := set(t, test.body, pombo.Webhook{})
		if strings.Join(warnings, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("%s: warnings %q, want %q", test.body, warnings, test.want)
		}
	}
}

func TestWebhookFound(t *testing.T) {
	tests := []struct {
		d     Dialect
		w     pombo.Webhook
		found bool
		want  string
	}{
		{V2, pombo.Webhook{}, false, `null`},
		{V2, stored, true, `{"id":"w1","url":"https://old.example/wh","headers":{"X-Old":"1"},"enabled":true,"events":["CALL"],"webhookByEvents":true,"webhookBase64":true,"createdAt":"2025-06-30T12:00:00.000Z","updatedAt":"2025-06-30T15:00:01.500Z","instanceId":"i1"}`},
		{V1, pombo.Webhook{}, false, `{"enabled":false,"url":"","events":[],"webhook_by_events":false,"webhook_base64":false}`},
		{V1, stored, true, `{"enabled":true,"url":"https://old.example/wh","events":["CALL"],"webhook_by_events":true,"webhook_base64":true}`},
	}
	for _, test := range tests {
		if got := string(WebhookFound(test.d, test.w, test.found)); got != test.want {
			t.Errorf("dialect %d: %s, want %s", test.d, got, test.want)
		}
	}
}

func FuzzDecodeWebhookSet(f *testing.F) {
	for _, seed := range []string{
		documentRequest, documentAnswer, `{"webhook":{"enabled":"false","url":"vazio","byEvents":true,"base64":null,"headers":{"jwt_key":"k"}}}`,
		`{"url":"http://[::1]:80/","events":["MESSAGE"],"webhook_by_events":true}`, `{"url": [webhookUrl]}`, "{\n// x\n}", `{'a':1}`, "\xef\xbb\xbf{}",
		`{"url":"https://a.b","url":"https://c.d","events":null}`, `[`, `{"a":"\ud83d\ude00\u0000"`, "{\"a\":\"\x80\"}", `{"headers":{"":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := DecodeWebhookSet(body)
		if err != nil {
			if pombo.KindOf(err) != pombo.Invalid || err.Error() == "" {
				t.Fatalf("error %v of kind %v", err, pombo.KindOf(err))
			}
			return
		}
		if !json.Valid(body) && !strings.HasPrefix(string(body), "\xef\xbb\xbf") {
			t.Fatalf("accepted what is not JSON: %q", body)
		}
		w := s.Change.Apply(stored)
		if ValidateWebhook(w) == nil && w.Enabled && w.URL == "" {
			t.Fatal("enabled without a URL")
		}
		if answer := s.Answer("x", w); !json.Valid(answer) {
			t.Fatalf("answer %s", answer)
		}
		if _, err := AttemptHeader(w, "m", made); err != nil {
			t.Fatalf("headers: %v", err)
		}
	})
}
