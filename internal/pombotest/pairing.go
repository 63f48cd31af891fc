package pombotest

import (
	"net/url"
	"testing"
	"time"

	"pombo/internal/sandbox"
)

// Pair creates an instance on the gateway with its webhook at hook, and lets
// the phone with this number scan its code. It returns when the instance's
// state is open.
func Pair(t testing.TB, c *Client, s *sandbox.Server, name, number, hook string) {
	t.Helper()
	c.Must("POST", "/instance/create", map[string]any{
		"instanceName": name,
		"webhook":      map[string]any{"url": hook, "events": []string{}},
	}, nil)
	var qr struct{ Code string }
	c.Must("GET", "/instance/connect/"+url.PathEscape(name), nil, &qr)
	if qr.Code == "" {
		t.Fatalf("connecting %s gave no QR code", name)
	}
	if _, err := s.Scan(t.Context(), sandbox.ScanRequest{Code: qr.Code, Number: number}); err != nil {
		t.Fatalf("scanning: %v", err)
	}
	WaitOpen(t, c, name)
}

// WaitOpen waits until the gateway says that the instance is open.
func WaitOpen(t testing.TB, c *Client, name string) {
	t.Helper()
	var a struct{ Instance struct{ State string } }
	Eventually(t, time.Minute, name+" to open", func() bool {
		c.Must("GET", "/instance/connectionState/"+url.PathEscape(name), nil, &a)
		return a.Instance.State == "open"
	})
}
