package whatsapp

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow"

	"pombo"
)

var _ whatsmeow.MediaTypeable = reference{}

// The sender of a message writes addresses into it: only WhatsApp's own are asked.
func TestAddressesOfFiles(t *testing.T) {
	for _, c := range []struct {
		url, path string
		good      bool
	}{
		{"https://mmg.whatsapp.net/v/t62/1.enc?ccb=11-4&oh=1", "/v/t62/1.enc?ccb=11-4", true},
		{"https://media-gru1-1.cdn.whatsapp.net/x", "/x", true},
		{"http://mmg.whatsapp.net/x", "x", false},
		{"https://mmg.whatsapp.net:8443/x", "", false},
		{"https://user@mmg.whatsapp.net/x", "@evil.example/x", false},
		{"https://whatsapp.net.evil.example/x", ".evil.example/x", false},
		{"https://evilwhatsapp.net/x", ":80/x", false},
		{"https://web.whatsapp.net", "", false},
		{"https://169.254.169.254/latest", "@169.254.169.254/", false},
		{"file:///etc/passwd", "\n/x", false},
		{"://", "", false},
	} {
		r := reference{pombo.Media{URL: c.url, DirectPath: c.path}}
		if got := r.GetURL() != ""; got != c.good {
			t.Errorf("%s is used: %v", c.url, got)
		}
		if got := r.GetDirectPath() != ""; got != c.good {
			t.Errorf("%q is used: %v", c.path, got)
		}
	}
}

// More than a message says is not taken, however it is written.
func TestBoundedFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := newBounded(f, 10)
	if n, err := io.Copy(b, strings.NewReader("0123456789")); n != 10 || err != nil {
		t.Errorf("up to the limit: %d, %v", n, err)
	}
	if _, err := io.Copy(b, strings.NewReader("0")); !errors.Is(err, errTooLong) {
		t.Errorf("beyond it: %v", err)
	}
	if _, err := b.Write([]byte("0")); !errors.Is(err, errTooLong) {
		t.Errorf("beyond it: %v", err)
	}
	// What starts over begins at the start.
	if _, err := b.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte("again")); err != nil {
		t.Error(err)
	}
}

// No error tells an address, which opens the file.
func TestDownloadErrors(t *testing.T) {
	for _, err := range []error{
		errors.New(`Get "https://mmg.whatsapp.net/v/secret": connection refused`), whatsmeow.ErrInvalidMediaHMAC, whatsmeow.ErrNoURLPresent, errTooLong,
	} {
		var told *pombo.Error
		if got := downloadError(err); !errors.As(got, &told) || strings.Contains(got.Error(), "secret") {
			t.Errorf("%v is told as %v", err, got)
		}
	}
	if downloadError(nil) != nil {
		t.Error("success is an error")
	}
}
