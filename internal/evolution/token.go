package evolution

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pombo"
)

// Token is what an instance's JWT says (AUTHENTICATION_TYPE=jwt). As in 1.x it is
// signed with HS256 and has the subject "g-t".
type Token struct {
	InstanceName string
	InstanceID   pombo.InstanceID
	ID           string // which of the instance's tokens it is
	Expires      time.Time
}

type tokenClaims struct {
	InstanceName string           `json:"instanceName"`
	InstanceID   pombo.InstanceID `json:"instanceId"`
	APIName      string           `json:"apiName"`
	TokenID      string           `json:"tokenId"`
	jwt.RegisteredClaims
}

const (
	tokenSubject = "g-t"
	tokenAPI     = "pombo"
)

// Sign makes the JWT; with a zero Expires it is valid for ever.
func (t Token) Sign(secret string, now time.Time) (string, error) {
	c := tokenClaims{InstanceName: t.InstanceName, InstanceID: t.InstanceID, APIName: tokenAPI, TokenID: t.ID}
	c.Subject, c.IssuedAt = tokenSubject, jwt.NewNumericDate(now)
	if !t.Expires.IsZero() {
		c.ExpiresAt = jwt.NewNumericDate(t.Expires)
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// ErrTokenExpired is what ReadToken returns, with what the token says, for one that
// is right but for its age.
var ErrTokenExpired = errors.New("the token has expired")

// ReadToken checks a JWT of Sign.
func ReadToken(signed, secret string, now time.Time) (Token, error) {
	var c tokenClaims
	_, err := jwt.ParseWithClaims(signed, &c, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithSubject(tokenSubject),
		jwt.WithTimeFunc(func() time.Time { return now }))
	t := Token{InstanceName: c.InstanceName, InstanceID: c.InstanceID, ID: c.TokenID}
	if c.ExpiresAt != nil {
		t.Expires = c.ExpiresAt.Time
	}
	switch {
	case c.APIName != tokenAPI || t.ID == "":
		return Token{}, errors.New("the token is none of this server's")
	case err == nil:
		return t, nil
	case onlyExpired(err):
		return t, ErrTokenExpired
	}
	return Token{}, fmt.Errorf("reading a token: %w", err)
}

// onlyExpired tells whether a token has no other fault than its age.
func onlyExpired(err error) bool {
	if !errors.Is(err, jwt.ErrTokenExpired) {
		return false
	}
	for _, other := range []error{jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenInvalidSubject} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// NewJWT is the data of NEW_JWT_TOKEN and the answer of refreshToken:
// {"jwt","instanceName"}.
func NewJWT(token, instanceName string) json.RawMessage {
	return raw(ordered{{"jwt", token}, {"instanceName", instanceName}})
}

// DecodeRefreshToken reads the body of refreshToken: {"oldToken"}.
func DecodeRefreshToken(body []byte) (oldToken string, warnings []string, err error) {
	top, err := parseObject(body)
	if err != nil {
		return "", nil, err
	}
	o := newObject("", top)
	f, err := o.field("oldToken")
	if err != nil {
		return "", nil, err
	}
	oldToken, err = f.text()
	return oldToken, o.unknown(), err
}
