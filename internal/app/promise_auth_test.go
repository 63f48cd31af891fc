package app_test

import (
	"strings"
	"testing"

	"pombo/internal/pombotest"
)

// A key opens what is its own and nothing else, and a wrong one is not told what
// there is.
func TestPromiseKeys(t *testing.T) {
	p := newPromise(t)
	const keyA, keyB = "key-of-a-0123456789", "key-of-b-0123456789"
	for name, key := range map[string]string{"a": keyA, "b": keyB} {
		p.gateway.Must("POST", "/instance/create", map[string]any{
			"instanceName": name, "token": key, "webhook": map[string]any{"url": p.receiver.URL + "/" + name, "events": []string{"CALL"}},
		}, nil)
	}
	ofA := p.get("/webhook/find/a")
	const steal = `{"enabled":true,"url":"http://thief.example.com/"}`
	for _, c := range []struct {
		key, method, path string
		status            int
	}{
		{"", "GET", "/webhook/find/a", 401},
		{"", "GET", "/webhook/find/nobody", 401},
		{"wrong", "GET", "/webhook/find/a", 401},
		{"wrong", "GET", "/webhook/find/nobody", 401},
		{pombotest.Key, "GET", "/webhook/find/nobody", 404},
		{keyA, "GET", "/webhook/find/a", 200},
		{keyB, "GET", "/webhook/find/a", 401},
		{keyB, "GET", "/webhook/find/nobody", 401},
		{keyB, "POST", "/webhook/set/a", 401},
		{keyB, "POST", "/v1/Webhook/Set/a", 401},
		{keyB, "POST", "/webhook/set/a/", 401},
		{keyB, "POST", "/webhook/set/b%2F..%2Fa", 401},
		{keyB, "POST", "/webhook/set/b/../a", 404},
		{keyB, "POST", "/webhook/set/b?instanceName=a", 201},
		{keyB, "POST", "/webhook/set/b?instance=a&instanceId=a", 201},
		{keyB, "POST", "/webhook/set/a?instanceName=b", 401},
		{keyB, "POST", "/message/sendText/a", 401},
		{keyB, "GET", "/instance/connect/a", 401},
		{keyB, "GET", "/instance/connectionState/a", 401},
		{keyB, "POST", "/instance/restart/a", 401},
		{keyB, "DELETE", "/instance/logout/a", 401},
		{keyB, "DELETE", "/instance/delete/a", 401},
		{keyB, "POST", "/instance/create", 401},
		{keyB, "POST", "/verify-creds", 401},
		{keyB, "GET", "/instance/fetchInstances?instanceName=a", 404},
		{"", "GET", "/instance/fetchInstances", 401},
		{"", "GET", "/", 200},
	} {
		var body any
		if c.method == "POST" {
			body = steal
		}
		if status, answer := p.gateway.With(c.key).Do(c.method, c.path, body); status != c.status || strings.Contains(string(answer), p.receiver.URL+"/a") != (c.key == keyA) {
			t.Errorf("%s %s with the key %q: %d %s, want %d", c.method, c.path, c.key, status, answer, c.status)
		}
	}
	if after := p.get("/webhook/find/a"); after != ofA {
		t.Errorf("the webhook was changed from %s to %s", ofA, after)
	}
	if ofB := p.get("/webhook/find/b"); !strings.Contains(ofB, "thief.example.com") {
		t.Errorf("the path's webhook was not changed: %s", ofB)
	}
	var rows []struct{ Name string }
	p.gateway.With(keyB).Must("GET", "/instance/fetchInstances", nil, &rows)
	if len(rows) != 1 || rows[0].Name != "b" {
		t.Errorf("the key of b lists %v", rows)
	}
	// As a query or a cookie, a key is none.
	p.gateway.With("").Refused("GET", "/webhook/find/a?apikey="+pombotest.Key, nil, 401)
}
