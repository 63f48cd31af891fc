package app_test

import (
	"encoding/json"
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// Errors of the API are reported where the original reports them, again if that
// fails; what nobody serves is none.
func TestErrorReports(t *testing.T) {
	receiver := pombotest.NewReceiver(t)
	receiver.Answer(func(n int, _ pombotest.Post) int {
		if n == 0 {
			return 503
		}
		return 200
	})
	gateway := pombotest.StartGateway(t, pombotest.NewSandbox(t), app.Faults{},
		"WEBHOOK_EVENTS_ERRORS=true", "WEBHOOK_EVENTS_ERRORS_WEBHOOK="+receiver.URL+"/errors", "SERVER_URL=https://wa.example.com")
	gateway.Refused("GET", "/nowhere", nil, 404)
	gateway.Refused("GET", "/instance/connectionState/x", nil, 404)
	gateway.With("wrong").Refused("GET", "/instance/connectionState/x", nil, 401)
	receiver.Until(t, "two reports", func(posts []pombotest.Post) bool { return len(posts) == 3 })
	var report struct {
		Event  string
		Data   json.RawMessage
		APIKey *string `json:"api_key"`
	}
	posts := receiver.Posts()
	if err := json.Unmarshal(posts[1].Body, &report); err != nil {
		t.Fatal(err)
	}
	want := `{"error":"Not Found","message":["The \"x\" instance does not exist"],"status":404,"response":{"message":["The \"x\" instance does not exist"]}}`
	if string(posts[0].Body) != string(posts[1].Body) || report.Event != "error" || string(report.Data) != want || report.APIKey != nil || posts[1].Path != "/errors" {
		t.Errorf("reported %s", posts[1].Body)
	}
	if data := string(posts[2].Data); data != `{"error":"Unauthorized","message":"Unauthorized","status":401,"response":{"message":"Unauthorized"}}` {
		t.Errorf("reported %s", data)
	}
}
