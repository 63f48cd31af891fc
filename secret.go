package pombo

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
)

// How signing secrets are written (https://www.standardwebhooks.com) and
// changed.
const (
	// SecretPrefix begins each signing secret.
	SecretPrefix = "whsec_"
	// GenerateSecret asks for a secret of the gateway's own making.
	GenerateSecret = "generate"
	// MaskedSecret is shown in place of a secret.
	MaskedSecret = "whsec_***"
	// SecretOverlap is how long a secret stays valid after it was replaced.
	SecretOverlap = 24 * time.Hour

	secretLeast, secretMost = 24, 64 // bytes, before base64
	generatedSecret         = 32
	keptSecrets             = 5
)

// ValidateSecret returns an Invalid error, without the secret, if s is none.
func ValidateSecret(s string) error {
	rest, ok := strings.CutPrefix(s, SecretPrefix)
	if !ok {
		return Errorf(Invalid, "secret must begin with %q: give %q and the base64 of %d to %d random bytes, or %q", SecretPrefix, SecretPrefix, secretLeast, secretMost, GenerateSecret)
	}
	key, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return Errorf(Invalid, "secret is not base64 after %q: give the standard alphabet with padding, or %q", SecretPrefix, GenerateSecret)
	}
	if len(key) < secretLeast || len(key) > secretMost {
		return Errorf(Invalid, "secret holds %d bytes: %d to %d are allowed, or give %q", len(key), secretLeast, secretMost, GenerateSecret)
	}
	return nil
}

// NewSecret makes a secret of 32 random bytes.
func NewSecret() string {
	key := make([]byte, generatedSecret)
	rand.Read(key) // never fails
	return SecretPrefix + base64.StdEncoding.EncodeToString(key)
}

// Rotate returns the secrets after the first of them was replaced by key at the
// time now: the old one stays valid for SecretOverlap. An empty key leaves none,
// and the key that is in use changes nothing.
func Rotate(secrets []SigningSecret, key string, now time.Time) []SigningSecret {
	if key == "" {
		return nil
	}
	if len(secrets) > 0 && secrets[0].Key == key && secrets[0].Until.IsZero() {
		return secrets
	}
	next := []SigningSecret{{Key: key}}
	for _, s := range ValidSecrets(secrets, now) {
		if s.Until.IsZero() || s.Until.After(now.Add(SecretOverlap)) {
			s.Until = now.Add(SecretOverlap)
		}
		if s.Key != key && len(next) < keptSecrets {
			next = append(next, s)
		}
	}
	return next
}

// ValidSecrets returns those of secrets that are valid at the time now.
func ValidSecrets(secrets []SigningSecret, now time.Time) []SigningSecret {
	var valid []SigningSecret
	for _, s := range secrets {
		if s.Until.IsZero() || s.Until.After(now) {
			valid = append(valid, s)
		}
	}
	return valid
}
