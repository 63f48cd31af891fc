package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// withToken makes a request that bears a JWT.
func withToken(t *testing.T, g *pombotest.Gateway, token, path string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest("GET", g.Base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// With AUTHENTICATION_TYPE=jwt an instance is opened by its token, which is exchanged
// for a new one, expired or not, once each; that is told as NEW_JWT_TOKEN.
func TestJWT(t *testing.T) {
	receiver := pombotest.NewReceiver(t)
	network, folder := pombotest.NewSandbox(t), "POMBO_DATA_DIR="+pombotest.MemoryDir(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{}, folder, "AUTHENTICATION_TYPE=jwt", "AUTHENTICATION_JWT_EXPIRIN_IN=1")
	create := func(name string) string {
		t.Helper()
		var made struct{ Hash struct{ JWT string } }
		gateway.Must("POST", "/v1/instance/create", object{"instanceName": name, "token": "own-key-" + name, "webhook": receiver.URL, "webhook_by_events": true}, &made)
		if strings.Count(made.Hash.JWT, ".") != 2 {
			t.Fatalf("the answer to create has the token %q", made.Hash.JWT)
		}
		return made.Hash.JWT
	}
	first := create("loja")
	pombotest.Eventually(t, patience, "the token to expire", func() bool {
		status, body := withToken(t, gateway, first, "/instance/connectionState/loja")
		return status == 401 && strings.Contains(body, "refreshToken")
	})
	gateway.Stop()

	// With another that makes tokens which last, on the same data.
	gateway = pombotest.StartGateway(t, network, app.Faults{}, folder, "AUTHENTICATION_TYPE=jwt")
	anyone := gateway.With("")
	var renewed struct{ JWT, InstanceName string }
	anyone.Must("PUT", "/instance/refreshToken", object{"oldToken": first}, &renewed)
	token, other := renewed.JWT, create("outra")
	if renewed.InstanceName != "loja" {
		t.Errorf("the token was exchanged for that of %q", renewed.InstanceName)
	}
	for name, token := range map[string]string{"loja": token, "outra": other} {
		if status, body := withToken(t, gateway, token, "/instance/connectionState/"+name); status != 200 {
			t.Errorf("%s with its token: %d %s", name, status, body)
		}
	}
	if status, body := withToken(t, gateway, token, "/instance/fetchInstances"); status != 200 || !strings.Contains(body, `"loja"`) || strings.Contains(body, `"outra"`) {
		t.Errorf("the list with a token: %d %s", status, body)
	}
	for _, bad := range []string{other, "", token + "x", "eyJhbGciOiJub25lIn0." + strings.Split(token, ".")[1] + "."} {
		if status, body := withToken(t, gateway, bad, "/instance/connectionState/loja"); status != 401 || !strings.Contains(body, "Unauthorized") {
			t.Errorf("with %q: %d %s", bad, status, body)
		}
	}
	gateway.With("own-key-loja").Refused("GET", "/instance/connectionState/loja", nil, 401)
	gateway.Must("GET", "/instance/connectionState/loja", nil, nil) // the global key

	post := receiver.Wait(t, "new.jwt", nil)
	if want := `{"jwt":"` + token + `","instanceName":"loja"}`; string(post.Data) != want || post.Path != "/new-jwt" || post.Instance != "loja" {
		t.Errorf("NEW_JWT_TOKEN has %s at %s, want %s", post.Data, post.Path, want)
	}
	gateway.Stop()
	gateway.Start()
	anyone = gateway.With("")
	for _, old := range []any{first, "", 1, other + "x"} {
		anyone.Refused("PUT", "/instance/refreshToken", object{"oldToken": old}, 400)
	}
	anyone.Must("PUT", "/instance/refreshToken", object{"oldToken": renewed.JWT}, &renewed)

	gateway.Must("DELETE", "/instance/delete/loja", nil, nil)
	create("loja")
	if status, body := withToken(t, gateway, renewed.JWT, "/instance/connectionState/loja"); status != 401 {
		t.Errorf("the token of a deleted instance: %d %s", status, body)
	}
	anyone.Refused("PUT", "/instance/refreshToken", object{"oldToken": renewed.JWT}, 400)
}

// Without tokens, there is nothing to refresh.
func TestNoJWT(t *testing.T) {
	gateway := pombotest.StartGateway(t, pombotest.NewSandbox(t), app.Faults{})
	if m := gateway.Refused("PUT", "/instance/refreshToken", object{"oldToken": "x"}, 404); !strings.Contains(m, "AUTHENTICATION_TYPE=jwt") {
		t.Error(m)
	}
}
