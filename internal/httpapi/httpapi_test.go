package httpapi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"pombo"
)

func TestDocumentByteForByte(t *testing.T) {
	a := newAPI(t)
	a.expect("POST", "/webhook/set/ana", documentExample, 201,
		`{"webhook":{"instanceName":"ana","webhook":{"enabled":true,"url":"https://example.com/webhook","webhookByEvents":false,"events":["QRCODE_UPDATED","MESSAGES_UPSERT","MESSAGES_UPDATE","SEND_MESSAGE","CONNECTION_UPDATE"]}}}`)
	a.expect("GET", "/webhook/find/ana", "", 200,
		`{"id":"hook-ana","url":"https://example.com/webhook","headers":null,"enabled":true,"events":["QRCODE_UPDATED","MESSAGES_UPSERT","MESSAGES_UPDATE","SEND_MESSAGE","CONNECTION_UPDATE"],"webhookByEvents":false,"webhookBase64":false,"createdAt":"2025-06-30T12:00:00.000Z","updatedAt":"2025-06-30T12:00:00.000Z","instanceId":"id-ana"}`)
	a.expect("GET", "/v1/webhook/find/ana", "", 200,
		`{"enabled":true,"url":"https://example.com/webhook","events":["QRCODE_UPDATED","MESSAGES_UPSERT","MESSAGES_UPDATE","SEND_MESSAGE","CONNECTION_UPDATE"],"webhook_by_events":false,"webhook_base64":false}`)
	a.expect("GET", "/webhook/find/bob", "", 200, `null`)
	a.expect("GET", "/v1/webhook/find/bob", "", 200, `{"enabled":false,"url":"","events":[],"webhook_by_events":false,"webhook_base64":false}`)
}

func TestKeys(t *testing.T) {
	tests := []struct {
		name, method, target, key string
		status                    int
	}{
		{"no key", "GET", "/instance/connectionState/ana", "", 401},
		{"no key, no such instance", "GET", "/instance/connectionState/nobody", "", 401},
		{"wrong key", "GET", "/instance/connectionState/ana", "x", 401},
		{"wrong key, no such instance", "GET", "/instance/connectionState/nobody", "x", 401},
		{"global key", "GET", "/instance/connectionState/ana", globalKey, 200},
		{"global key, no such instance", "GET", "/instance/connectionState/nobody", globalKey, 404},
		{"own key", "GET", "/instance/connectionState/ana", anaKey, 200},
		{"another's key", "GET", "/instance/connectionState/ana", bobKey, 401},
		{"another's key, query names its own", "GET", "/instance/connectionState/ana?instanceName=bob", bobKey, 401},
		{"another's webhook, query names its own", "GET", "/webhook/find/ana?instanceName=bob", bobKey, 401},
		{"another's webhook set, query names its own", "POST", "/webhook/set/ana?instanceName=bob", bobKey, 401},
		{"own key on create", "POST", "/instance/create", anaKey, 401},
		{"no key on create with a taken name", "POST", "/instance/create", "", 401},
		{"own key on verify-creds", "POST", "/verify-creds", anaKey, 401},
		{"global key on verify-creds", "POST", "/verify-creds", globalKey, 200},
		{"own key on fetchInstances", "GET", "/instance/fetchInstances", anaKey, 200},
		{"wrong key on fetchInstances", "GET", "/instance/fetchInstances", "x", 401},
		{"root", "GET", "/", "", 200},
		{"health", "GET", "/health", "", 200},
		{"description", "GET", "/openapi.json", "", 200},
		{"sandbox without a key", "POST", "/sandbox/scan", "", 401},
		{"sandbox with an instance's key", "POST", "/sandbox/scan", anaKey, 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t, func(o *Options) { o.Sandbox = http.NotFoundHandler() })
			res := a.request(test.method, test.target, test.key, `{"instanceName":"ana","webhook":{"enabled":false}}`)
			if res.status != test.status {
				t.Errorf("status %d, want %d", res.status, test.status)
			}
			if test.status == 401 && res.body != unauthorized {
				t.Errorf("body %s", res.body)
			}
			if test.status == 401 && len(a.calls) > 0 {
				t.Errorf("without the right key: %q", a.calls)
			}
		})
	}
}

func TestNoKeyConfiguredOpensNothing(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.GlobalKey = "" })
	a.views = append(a.views, pombo.InstanceView{Instance: pombo.Instance{Name: "eve"}})
	for _, target := range []string{"/instance/fetchInstances", "/instance/connectionState/eve"} {
		a.expectWith("", "GET", target, "", 401, unauthorized)
	}
}

func TestQueryNeverOverridesPath(t *testing.T) {
	a := newAPI(t)
	a.expectWith(bobKey, "POST", "/webhook/set/bob?instanceName=ana&instance=ana", `{"url":"https://bob.example","events":["CALL"]}`, 201,
		`{"webhook":{"instanceName":"bob","webhook":{"url":"https://bob.example","events":["CALL"],"enabled":true}}}`)
	if _, set := a.webhooks["ana"]; set {
		t.Error("the query chose the instance")
	}
}

func TestPaths(t *testing.T) {
	const state = `{"instance":{"instanceName":"ana","state":"open"}}`
	for _, target := range []string{
		"/instance/connectionState/ana", "/instance/connectionState/ana/", "/instance/connectionState/ana/?x=y",
		"/INSTANCE/connectionstate/ana", "/v1/instance/connectionState/ana", "/v2/instance/connectionState/ana", "/V2/instance/connectionState/ana",
		"//instance/connectionState//ana", "/instance/connectionState/%61na",
	} {
		newAPI(t).expect("GET", target, "", 200, state)
	}
	a := newAPI(t)
	for _, name := range []string{"meu número", "a+b", "100%", "v1", "restart", "ação?#", "a%2Fb"} {
		a.views = append(a.views, pombo.InstanceView{Instance: pombo.Instance{Name: name}, State: pombo.StateOpen})
	}
	for target, name := range map[string]string{
		"/instance/connectionState/meu%20n%C3%BAmero":    "meu número",
		"/instance/connectionState/a+b":                  "a+b",
		"/instance/connectionState/a%2Bb":                "a+b",
		"/instance/connectionState/100%25":               "100%",
		"/instance/connectionState/v1":                   "v1",
		"/v1/instance/connectionState/restart":           "restart",
		"/instance/connectionState/a%C3%A7%C3%A3o%3F%23": "ação?#",
		"/instance/connectionState/a%252Fb":              "a%2Fb",
	} {
		a.expect("GET", target, "", 200, string(mustJSON(map[string]any{"instance": struct {
			Name  string `json:"instanceName"`
			State string `json:"state"`
		}{name, "open"}})))
	}
	a.expect("GET", "/instance/connectionState/Ana", "", 404, failure(404, `The "Ana" instance does not exist`))
	a.expect("GET", "/instance/connectionState/a%2Fb", "", 404, failure(404, `The "a/b" instance does not exist`))
}

func TestUnknownRoutes(t *testing.T) {
	a := newAPI(t)
	for _, target := range []string{"/x", "/x?y=z", "/instance", "/instance/connectionState", "/instance/connect/", "/instance/connect/a/b", "/instance/connectionState/..", "/instance/%2e%2e/create", "/v1", "/v3/instance/fetchInstances", "/sandbox/scan", "/%2F"} {
		want := "Cannot GET " + target
		if target == "/v1" { // the root, with a dialect
			continue
		}
		a.expect("GET", target, "", 404, failure(404, want))
	}
	res := a.expect("GET", "/webhook/set/ana?x", "", 404, `{"status":404,"error":"Not Found","response":{"message":["Cannot GET /webhook/set/ana?x","This path takes POST"]}}`)
	if got := res.header.Get("Allow"); got != "POST" {
		t.Errorf("Allow %q", got)
	}
	res = a.request("PATCH", "/v1/instance/restart/ana", "", "")
	if got := res.header.Get("Allow"); res.status != 404 || got != "POST, PUT" {
		t.Errorf("status %d, Allow %q", res.status, got)
	}
}

func TestBodies(t *testing.T) {
	a := newAPI(t)
	const ok = `{"url":"https://a.b","events":["CALL"]}`
	for _, contentType := range []string{"", "application/json", "text/plain", "application/x-www-form-urlencoded"} {
		if res := a.request("POST", "/webhook/set/ana", globalKey, ok, "Content-Type", contentType); res.status != 201 {
			t.Errorf("content type %q: %d %s", contentType, res.status, res.body)
		}
	}
	full := ok + strings.Repeat(" ", 1<<20-len(ok))
	if res := a.request("POST", "/webhook/set/ana", globalKey, full); res.status != 201 {
		t.Errorf("1 MiB: %d %s", res.status, res.body)
	}
	for _, target := range []string{"/webhook/set/ana", "/instance/create", "/message/sendText/ana"} {
		a.expect("POST", target, full+" ", 413, failure(413, "The body is larger than 1048576 bytes (1 MiB), which is the most that is read"))
	}
	for body, want := range map[string]string{
		"":                                      "The body is empty",
		"{\n  \"enabled\": true,\n  // no\n}":   "line 3, column 3",
		"{\"url\": [webhookUrl]}":               "placeholder",
		"[]":                                    "must be a JSON object",
		`{"url":"https://a.b","events":["CA"]}`: `did you mean \"CALL\"?`,
	} {
		res := a.request("POST", "/webhook/set/ana", globalKey, body)
		if res.status != 400 || !strings.Contains(res.body, want) {
			t.Errorf("%q: %d %s, want 400 with %q", body, res.status, res.body, want)
		}
	}
	if res := a.request("POST", "/webhook/set/nobody", globalKey, "{"); res.status != 404 {
		t.Errorf("no such instance and a broken body: %d", res.status)
	}
}

func TestWarnings(t *testing.T) {
	a := newAPI(t)
	res := a.request("POST", "/webhook/set/ana", globalKey, `{"url":"https://a.b","event":[],"ação\nX":1}`)
	if got, want := res.header.Get("X-Pombo-Warning"), `unknown key "event" ignored, did you mean "events"?; unknown key "a\\u00e7\\u00e3o\\nX" ignored`; res.status != 201 || !strings.HasPrefix(got, want[:50]) || strings.ContainsAny(got, "\nç") {
		t.Errorf("%d, warning %q", res.status, got)
	}
	many := `{"url":"https://a.b"`
	for i := range 30 {
		many += `,"` + strings.Repeat("k", i+20) + `":1`
	}
	res = a.request("POST", "/webhook/set/ana", globalKey, many+"}")
	if got := res.header.Get("X-Pombo-Warning"); !strings.HasSuffix(got, "; and 20 more") || len(got) > 4000 {
		t.Errorf("warning %q", got)
	}
	if res := a.request("POST", "/webhook/set/ana", globalKey, documentExample); res.header.Get("X-Pombo-Warning") != "" {
		t.Errorf("warning %q", res.header.Get("X-Pombo-Warning"))
	}
}

func TestErrorsBecomeStatuses(t *testing.T) {
	notThere := pombo.Errorf(pombo.Invalid, "not on WhatsApp")
	notThere.Detail = []any{struct {
		JID    string `json:"jid"`
		Exists bool   `json:"exists"`
		Number string `json:"number"`
	}{"1@s.whatsapp.net", false, "1"}}
	tests := []struct {
		err    error
		status int
		want   string
	}{
		{pombo.Errorf(pombo.Invalid, `The "ana" instance is not connected`), 400, failure(400, `The "ana" instance is not connected`)},
		{notThere, 400, `{"status":400,"error":"Bad Request","response":{"message":[{"jid":"1@s.whatsapp.net","exists":false,"number":"1"}]}}`},
		{pombo.Errorf(pombo.Forbidden, "no"), 403, failure(403, "no")},
		{pombo.Errorf(pombo.NotFound, "no"), 404, failure(404, "no")},
		{pombo.Errorf(pombo.Conflict, "no"), 409, failure(409, "no")},
		{pombo.Errorf(pombo.Unavailable, "later"), 503, failure(503, "later")},
		{errors.New("password=secret"), 500, failure(500, "Internal server error: the server's log tells more")},
	}
	for _, test := range tests {
		a := newAPI(t)
		a.fake.fail = test.err
		res := a.expect("POST", "/message/sendText/ana", `{"number":"5511999990000","text":"x"}`, test.status, test.want)
		if retry := res.header.Get("Retry-After"); (retry != "") != (test.status == 503) {
			t.Errorf("%d: Retry-After %q", test.status, retry)
		}
	}
}

func TestPanicsBecomeErrors(t *testing.T) {
	var log bytes.Buffer
	a := newAPI(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	a.panics = "boom"
	a.expect("DELETE", "/instance/logout/ana", "", 500, failure(500, "Internal server error: the server's log tells more"))
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "httpapi") {
		t.Errorf("log %s", log.String())
	}
	a.panics = http.ErrAbortHandler
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // it is what was thrown
			t.Error("ErrAbortHandler was swallowed")
		}
	}()
	a.request("DELETE", "/instance/logout/ana", globalKey, "")
}

func TestLogHoldsNoSecrets(t *testing.T) {
	var log bytes.Buffer
	a := newAPI(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	a.request("POST", "/webhook/set/ana?apikey=query-secret", globalKey, `{"url":"https://u:url-secret@a.b","headers":{"jwt_key":"jwt-secret"}}`)
	a.request("GET", "/instance/connectionState/ana", "wrong-secret", "")
	if !strings.Contains(log.String(), "path=/webhook/set/ana status=201") {
		t.Errorf("log %s", log.String())
	}
	for _, secret := range []string{globalKey, anaKey, "secret"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %s: %s", secret, log.String())
		}
	}
}

func TestCORS(t *testing.T) {
	list := CORS{Origins: []string{"https://app.example"}, Methods: []string{"GET", "POST"}, Credentials: true}
	tests := []struct {
		name, origin         string
		cors                 CORS
		allowed, credentials string
	}{
		{"all", "https://x.example", CORS{Origins: []string{"*"}}, "*", ""},
		{"all with credentials", "https://x.example", CORS{Origins: []string{"*"}, Credentials: true}, "https://x.example", "true"},
		{"listed", "https://app.example", list, "https://app.example", "true"},
		{"not listed", "https://x.example", list, "", ""},
		{"no origin", "", list, "", ""},
		{"none configured", "https://x.example", CORS{}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newAPI(t, func(o *Options) { o.CORS = test.cors })
			for _, method := range []string{"GET", "OPTIONS"} {
				res := a.request(method, "/instance/connectionState/ana", globalKey, "", "Origin", test.origin, "Access-Control-Request-Headers", "apikey")
				if got := res.header.Get("Access-Control-Allow-Origin"); got != test.allowed {
					t.Errorf("%s: Allow-Origin %q, want %q", method, got, test.allowed)
				}
				if got := res.header.Get("Access-Control-Allow-Credentials"); got != test.credentials {
					t.Errorf("%s: Allow-Credentials %q", method, got)
				}
				if test.allowed != "*" && !slices.Contains(res.header.Values("Vary"), "Origin") {
					t.Errorf("%s: Vary %q", method, res.header.Values("Vary"))
				}
				preflight := res.header.Get("Access-Control-Allow-Headers")
				if method == "OPTIONS" && (res.status != 204 || res.body != "" || (preflight == "apikey") != (test.allowed != "")) {
					t.Errorf("OPTIONS: %d %q, Allow-Headers %q", res.status, res.body, preflight)
				}
			}
		})
	}
}

func TestHead(t *testing.T) {
	server := httptest.NewServer(newAPI(t).handler)
	defer server.Close()
	res, err := http.Head(server.URL + "/health")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || res.ContentLength == 0 {
		t.Errorf("%d, length %d", res.StatusCode, res.ContentLength)
	}
}

func TestSandboxSeesWholePath(t *testing.T) {
	var seen string
	a := newAPI(t, func(o *Options) {
		o.Sandbox = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r.Method + " " + r.URL.Path
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = w.Write([]byte("{}"))
		})
	})
	for target, want := range map[string]string{
		"/sandbox/messages/AbC/receipts": "POST /sandbox/messages/AbC/receipts",
		"/sandbox/":                      "POST /sandbox",
		"/sandbox":                       "POST /sandbox",
	} {
		if a.expect("POST", target, "", 200, "{}"); seen != want {
			t.Errorf("%s: %q, want %q", target, seen, want)
		}
	}
}

func TestHealth(t *testing.T) {
	sick := errors.New("disk full")
	a := newAPI(t, func(o *Options) { o.Health = func(context.Context) error { return sick } })
	a.expect("GET", "/health", "", 503, failure(503, "The server is not able to do its work now; its log tells why"))
	sick = nil
	a.expect("GET", "/health", "", 200, `{"status":"ok"}`)
}
