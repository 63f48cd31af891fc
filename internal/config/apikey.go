package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The names of the files in the data folder that keep the API key, and what JWTs
// are signed with.
const (
	keyFile    = "apikey"
	secretFile = "jwtsecret"
)

// EnsureAPIKey returns the global API key: the configured one, else the one
// that the data folder keeps in the file apikey. If neither is there, it makes
// one (32 hexadecimal digits), keeps it, and tells so with made. The file, and
// a folder made for it, are for their owner alone; wider permissions that the
// file has got are taken away.
func EnsureAPIKey(dataDir string, configured Secret) (key Secret, made bool, err error) {
	return ensure(dataDir, keyFile, configured)
}

// EnsureJWTSecret returns what JWTs are signed with, and keeps it in the file
// jwtsecret, in the way of EnsureAPIKey.
func EnsureJWTSecret(dataDir string, configured Secret) (Secret, error) {
	secret, _, err := ensure(dataDir, secretFile, configured)
	return secret, err
}

func ensure(dataDir, file string, configured Secret) (key Secret, made bool, err error) {
	if configured != "" {
		return configured, false, nil
	}
	path := filepath.Join(dataDir, file)
	key, err = readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return "", false, fmt.Errorf("making the data folder: %w", err)
	}
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, as it documents
	key = Secret(strings.ToUpper(hex.EncodeToString(b)))
	if err := writeKey(dataDir, path, key); err != nil {
		return "", false, err
	}
	return key, true, nil
}

func readKey(path string) (Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("looking for %s: %w", path, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			return "", fmt.Errorf("taking the permissions of %s back to its owner: %w", path, err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading a key: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if !validKey(s) {
		return "", fmt.Errorf("the file %s holds no key: write one into it (1 to 256 printable ASCII characters without spaces), or remove it to have one made", path)
	}
	return Secret(s), nil
}

// writeKey writes the file under another name first, so that a crash leaves
// either no key or a whole one.
func writeKey(dir, path string, key Secret) (err error) {
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // CreateTemp gives mode 0600
	if err != nil {
		return fmt.Errorf("creating a key file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	_, err = f.WriteString(key.Reveal() + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("writing a key file: %w", err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("keeping a key file: %w", err)
	}
	return nil
}
