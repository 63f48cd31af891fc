package evolution

import (
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Only what was signed here, for this purpose and with this secret, is a token.
func TestToken(t *testing.T) {
	now := time.Unix(1751300000, 0)
	token := Token{InstanceName: "loja", InstanceID: "7b1f", ID: "1", Expires: now.Add(time.Hour)}
	signed, err := token.Sign("secret", now)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ReadToken(signed, "secret", now); err != nil || !got.Expires.Equal(token.Expires) || got.ID != "1" || got.InstanceName != "loja" || got.InstanceID != "7b1f" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ReadToken(signed, "secret", now.Add(2*time.Hour)); !errors.Is(err, ErrTokenExpired) || got.ID != "1" {
		t.Errorf("when it has expired: %+v, %v", got, err)
	}
	token.Expires = time.Time{}
	eternal, err := token.Sign("secret", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadToken(eternal, "secret", now.AddDate(90, 0, 0)); err != nil {
		t.Errorf("one without an end: %v", err)
	}
	forge := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		s, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := jwt.MapClaims{"sub": "g-t", "apiName": "pombo", "tokenId": "1", "instanceName": "loja", "instanceId": "7b1f"}
	old := jwt.MapClaims{"sub": "other", "apiName": "pombo", "tokenId": "1", "exp": 1}
	for name, s := range map[string]string{
		"other secret":       forge(jwt.SigningMethodHS256, []byte("guess"), good),
		"other algorithm":    forge(jwt.SigningMethodHS512, []byte("secret"), good),
		"no algorithm":       forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good),
		"other purpose":      forge(jwt.SigningMethodHS256, []byte("secret"), jwt.MapClaims{"app": "evolution", "action": "webhook"}),
		"expired, and other": forge(jwt.SigningMethodHS256, []byte("secret"), old),
		"no token":           "x",
	} {
		if got, err := ReadToken(s, "secret", now); err == nil || errors.Is(err, ErrTokenExpired) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := ReadToken(forge(jwt.SigningMethodHS256, []byte("secret"), good), "secret", now); err != nil {
		t.Errorf("the others are refused for another reason: %v", err)
	}
}
