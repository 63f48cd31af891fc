package pombotest

import (
	"net/url"
	"testing"
	"time"

	"pombo/internal/sandbox"
)

// Pair creates an instance on the gateway with its webhook at hook ("" for
// none), for all events, and lets the phone with this number scan its code. It
// returns when the instance's state is open.
func Pair(t testing.TB, c *Client, s *sandbox.Server, name, number, hook string) {
	t.Helper()
	Create(t, c, name, hook)
	Scan(t, c, s, name, number)
}

// Create creates an instance with its webhook at hook ("" for none), for all
// events.
func Create(t testing.TB, c *Client, name, hook string) {
	t.Helper()
	body := map[string]any{"instanceName": name}
	if hook != "" {
		body["webhook"] = map[string]any{"url": hook, "events": []string{}}
	}
	c.Must("POST", "/instance/create", body, nil)
}

// Scan lets the phone with this number scan the code of an instance, and
// returns when the instance's state is open.
func Scan(t testing.TB, c *Client, s *sandbox.Server, name, number string) {
	t.Helper()
	var qr struct{ Code string }
	c.Must("GET", "/instance/connect/"+url.PathEscape(name), nil, &qr)
	if qr.Code == "" {
		t.Fatalf("connecting %s gave no QR code", name)
	}
	if _, err := s.Scan(t.Context(), sandbox.ScanRequest{Code: qr.Code, Number: number}); err != nil {
		t.Fatalf("scanning: %v", err)
	}
	WaitState(t, c, name, "open")
}

// WaitState waits until the gateway says that the instance is in this state.
func WaitState(t testing.TB, c *Client, name, state string) {
	t.Helper()
	Eventually(t, time.Minute, name+" to be "+state, func() bool { return c.State(name) == state })
}
