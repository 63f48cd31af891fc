package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestSecretDoesNotShow(t *testing.T) {
	const word = "hunter2"
	c := load(t, "AUTHENTICATION_API_KEY="+word, "DATABASE_CONNECTION_URI=postgresql://u:"+word+"@h/d",
		"WEBHOOK_GLOBAL_URL=http://h/?token="+word)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("start", "key", c.Auth.APIKey, "config", c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "key", c.Auth.APIKey, "config", c)
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
		fmt.Fprintf(&out, verb+"\n", c.Auth.APIKey)
		fmt.Fprintf(&out, verb+"\n", c)
	}
	fmt.Fprintln(&out, c.Auth.APIKey)
	if strings.Contains(out.String(), word) || strings.Contains(out.String(), fmt.Sprintf("%x", word)) {
		t.Errorf("a secret shows:\n%s", out.String())
	}
	if n := strings.Count(out.String(), hidden); n < 20 {
		t.Errorf("only %d masks:\n%s", n, out.String())
	}
	if c.Auth.APIKey.Reveal() != word {
		t.Error("Reveal() does not")
	}
	if s := fmt.Sprintf("%v", Secret("")); s != "" {
		t.Errorf("an empty secret shows as %q: one could not tell that it is missing", s)
	}
}

func TestEnsureAPIKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "apikey")

	key, made, err := EnsureAPIKey(dir, "configured")
	if err != nil || made || key != "configured" {
		t.Fatalf("configured: %q %v %v", key.Reveal(), made, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a configured key was written to the disk")
	}

	key, made, err = EnsureAPIKey(dir, "")
	if err != nil || !made || !regexp.MustCompile(`^[0-9A-F]{32}$`).MatchString(key.Reveal()) {
		t.Fatalf("first start: %q %v %v", key.Reveal(), made, err)
	}
	if got := mode(t, path); got != 0o600 {
		t.Errorf("mode %o, want 600", got)
	}
	if got := mode(t, dir); got != 0o700 {
		t.Errorf("mode of the folder %o, want 700", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}

	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	again, made, err := EnsureAPIKey(dir, "")
	if err != nil || made || again != key {
		t.Fatalf("second start: %q %v %v, want %q", again.Reveal(), made, err, key.Reveal())
	}
	if got := mode(t, path); got != 0o600 {
		t.Errorf("mode %o after a start, want 600", got)
	}

	other, _, err := EnsureAPIKey(t.TempDir(), "")
	if err != nil || other == key {
		t.Errorf("another folder: %v, same key %v", err, other == key)
	}
}

func TestEnsureAPIKeyFails(t *testing.T) {
	t.Run("broken file", func(t *testing.T) {
		dir := t.TempDir()
		for _, content := range []string{"", "two words", "chave-secreta-ção"} {
			if err := os.WriteFile(filepath.Join(dir, "apikey"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			key, made, err := EnsureAPIKey(dir, "")
			if err == nil || key != "" || made || !strings.Contains(err.Error(), filepath.Join(dir, "apikey")) {
				t.Errorf("%q: %q %v %v", content, key.Reveal(), made, err)
			}
			if err != nil && content != "" && strings.Contains(err.Error(), content) {
				t.Errorf("the error shows the file's content: %v", err)
			}
		}
	})
	t.Run("no folder", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if key, made, err := EnsureAPIKey(filepath.Join(file, "data"), ""); err == nil || made || key != "" {
			t.Errorf("%q %v %v", key.Reveal(), made, err)
		}
	})
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}
