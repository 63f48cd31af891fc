package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pombo/internal/evolution"
)

type parameterWords struct{ Name, In string }

type description struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string
		Responses   map[string]any
		Security    []map[string][]string
		Parameters  []parameterWords
		RequestBody *struct {
			Content map[string]struct{ Example json.RawMessage }
		}
	}
	Components struct{ Responses map[string]any }
}

func describeAPI(t *testing.T) description {
	t.Helper()
	var d description
	if err := json.Unmarshal([]byte(newAPI(t).request("GET", "/openapi.json", "", "").body), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryRouteIsDescribed(t *testing.T) {
	d := describeAPI(t)
	if d.OpenAPI != "3.1.0" || d.Components.Responses["Error"] == nil {
		t.Errorf("description %+v", d)
	}
	for _, r := range append(routes(), route{method: "GET", path: "/media/{id}"}) {
		op, there := d.Paths[r.path][strings.ToLower(r.method)]
		if !there {
			t.Errorf("%s %s is not described", r.method, r.path)
			continue
		}
		if len(op.Security) > 0 != (r.access != open) || (op.RequestBody != nil) != r.body {
			t.Errorf("%s %s: security %v, body %v", r.method, r.path, op.Security, op.RequestBody)
		}
		if _, told := op.Responses["401"]; told != (r.access != open) {
			t.Errorf("%s %s: 401 described: %t", r.method, r.path, told)
		}
	}
}

func TestEveryDescriptionIsServed(t *testing.T) {
	parameter := regexp.MustCompile(`\{\w+\}`)
	ids := map[string]bool{}
	for path, operations := range describeAPI(t).Paths {
		for method, op := range operations {
			target := parameter.ReplaceAllString(path, "ana")
			a := newAPI(t)
			if op.OperationID == "media" { // it answers with a file
				w := httptest.NewRecorder()
				if a.handler.ServeHTTP(w, httptest.NewRequest("GET", target, http.NoBody)); w.Code != 200 {
					t.Errorf("%s: %d", target, w.Code)
				}
				ids[op.OperationID] = true
				continue
			}
			res := a.request(strings.ToUpper(method), target, "", "")
			if strings.Contains(res.body, "Cannot ") {
				t.Errorf("%s %s is described but not served", method, path)
			}
			if want := slices.Contains([]string{"welcome", "health", "openapi"}, op.OperationID); (res.status == 200) != want {
				t.Errorf("%s %s without a key: %d", method, path, res.status)
			}
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("operation ID %q", op.OperationID)
			}
			ids[op.OperationID] = true
			for _, p := range parameter.FindAllString(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(d parameterWords) bool { return "{"+d.Name+"}" == p && d.In == "path" }) {
					t.Errorf("%s %s: parameter %s is not described", method, path, p)
				}
			}
		}
	}
	if len(ids) != len(routes())+1 { // and the files
		t.Errorf("%d operations, %d routes: %v", len(ids), len(routes()), slices.Sorted(maps.Keys(ids)))
	}
}

func TestExamplesAreAccepted(t *testing.T) {
	for path, operations := range describeAPI(t).Paths {
		for method, op := range operations {
			if op.RequestBody == nil {
				continue
			}
			example := op.RequestBody.Content["application/json"].Example
			res := newAPI(t).request(strings.ToUpper(method), strings.NewReplacer("{instance}", "ana", "{id}", "hook").Replace(path), globalKey, string(example))
			status := 0
			for described := range op.Responses {
				if n, err := strconv.Atoi(described); err == nil && n/100 == 2 {
					status = n
				}
			}
			if strings.HasSuffix(path, "/refreshToken") {
				status = 404 // there are no tokens
			}
			if res.status != status || res.header.Get("X-Pombo-Warning") != "" {
				t.Errorf("%s %s: %d %s, warning %q", method, path, res.status, res.body, res.header.Get("X-Pombo-Warning"))
			}
		}
	}
}

// TestDescribedKeysAreKnown sends each key that the schemas describe, to see
// that none is ignored as unknown.
func TestDescribedKeysAreKnown(t *testing.T) {
	for key := range webhookSettings() {
		s, err := evolution.DecodeWebhookSet([]byte(`{"` + key + `":null,"enabled":false}`))
		if err != nil || len(s.Warnings) > 0 {
			t.Errorf("webhook/set: %s: %v, %v", key, err, s)
		}
	}
	for key := range createSchema.Properties {
		c, err := evolution.DecodeCreateInstance([]byte(`{"` + key + `":null,"instanceName":"a","webhook":"http://a"}`))
		if err != nil || len(c.Warnings) > 0 {
			t.Errorf("instance/create: %s: %v, %v", key, err, c)
		}
	}
	for key := range settingsProperties() {
		s, err := evolution.DecodeSettingsSet([]byte(`{"` + key + `":"true"}`))
		if err != nil || len(s.Warnings) > 0 {
			t.Errorf("settings/set: %s: %v, %v", key, err, s)
		}
	}
	for key := range sendTextV2().Properties {
		s, err := evolution.DecodeSendText([]byte(`{"` + key + `":null,"number":"1","text":"x"}`))
		if err != nil || len(s.Warnings) > 0 {
			t.Errorf("sendText: %s: %v, %v", key, err, s)
		}
	}
}
