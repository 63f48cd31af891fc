package evolution

import (
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pombo"
)

// tokenLifetime is how long a webhook's bearer token is valid.
const tokenLifetime = 10 * time.Minute

// AttemptHeader returns the headers of one POST to w at the time now: those of
// the original, the webhook's own ones, and webhook-id with messageID, which is
// the same on every attempt of a delivery.
//
// If w has the header jwt_key, its value is the secret of a token (HS256, with
// iat, exp ten minutes later, app and action) that is sent as Authorization in
// place of it. The token is made for each attempt, so that a late one is not
// refused for its age; the original makes it once per event.
func AttemptHeader(w pombo.Webhook, messageID string, now time.Time) (http.Header, error) {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/plain, */*")
	h.Set("User-Agent", "Pombo/"+pombo.Version)
	for name, v := range w.Headers {
		if name != jwtKey {
			h.Set(name, v)
		}
	}
	if secret, ok := w.Headers[jwtKey]; ok {
		token, err := bearer(secret, now)
		if err != nil {
			return nil, fmt.Errorf("signing the bearer token of a webhook: %w", err)
		}
		h.Set("Authorization", "Bearer "+token)
	}
	if messageID != "" {
		h.Set("Webhook-Id", messageID)
	}
	return h, nil
}

func bearer(secret string, now time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iat":    now.Unix(),
		"exp":    now.Add(tokenLifetime).Unix(),
		"app":    "evolution",
		"action": "webhook",
	}).SignedString([]byte(secret))
}
