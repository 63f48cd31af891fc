package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"pombo"
	"pombo/internal/evolution"
)

// Tokens keeps which JWT of each instance can be exchanged.
type Tokens interface {
	// RenewToken notes that the token newID follows oldID, and tells the instance's
	// webhook of it; "" is before the first, which is not told.
	RenewToken(ctx context.Context, name, oldID, newID, token string) error
}

// JWT makes the key of an instance a JWT, as AUTHENTICATION_TYPE=jwt does in 1.x.
type JWT struct {
	Secret string
	// Lifetime is how long a token is valid; 0: for ever.
	Lifetime time.Duration
	Tokens   Tokens
}

// issue makes a token for an instance and notes that it follows oldID.
func (j *JWT) issue(ctx context.Context, i pombo.Instance, oldID string) (string, error) {
	now := time.Now()
	t := evolution.Token{InstanceName: i.Name, InstanceID: i.ID, ID: uuid.NewString()}
	if j.Lifetime > 0 {
		t.Expires = now.Add(j.Lifetime)
	}
	signed, err := t.Sign(j.Secret, now)
	if err != nil {
		return "", err
	}
	return signed, j.Tokens.RenewToken(ctx, i.Name, oldID, t.ID, signed)
}

// bearer returns the instance whose token the request bears. The token of an
// instance that was deleted opens none that was made under its name since.
func (s *server) bearer(r *http.Request) (pombo.InstanceView, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return pombo.InstanceView{}, errUnauthorized
	}
	t, err := evolution.ReadToken(strings.TrimSpace(token), s.JWT.Secret, time.Now())
	if errors.Is(err, evolution.ErrTokenExpired) {
		return pombo.InstanceView{}, expired(t)
	} else if err != nil {
		return pombo.InstanceView{}, errUnauthorized
	}
	v, err := s.Instances.Get(t.InstanceName)
	if err != nil || v.ID != t.InstanceID {
		return pombo.InstanceView{}, errUnauthorized
	}
	return v, nil
}

func expired(t evolution.Token) error {
	e := pombo.Errorf(pombo.Unauthorized, "Unauthorized")
	e.Detail = []string{"Unauthorized", "The token expired at " + t.Expires.UTC().Format(time.RFC3339) + ": exchange it for a new one with PUT /instance/refreshToken"}
	return e
}

// refreshToken exchanges an instance's latest token, expired or not, for a new one.
// The older ones stay valid until they expire.
func (s *server) refreshToken(c *call) (answer, error) {
	if s.JWT == nil {
		return answer{}, pombo.Errorf(pombo.NotFound, "There are no tokens to exchange: they come with AUTHENTICATION_TYPE=jwt")
	}
	old, warnings, err := evolution.DecodeRefreshToken(c.body)
	if err != nil {
		return answer{}, err
	}
	t, err := evolution.ReadToken(old, s.JWT.Secret, time.Now())
	if err != nil && !errors.Is(err, evolution.ErrTokenExpired) {
		return answer{}, badToken("Give the latest token of the instance: it stands in the answer to instance/create, and in that of the last refreshToken")
	}
	v, err := s.Instances.Get(t.InstanceName)
	if err != nil || v.ID != t.InstanceID {
		return answer{}, badToken("Its instance does not exist any more")
	}
	token, err := s.JWT.issue(c.Context(), v.Instance, t.ID)
	if pombo.KindOf(err) == pombo.Invalid {
		return answer{}, badToken("It was exchanged before: only the latest token can be")
	} else if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: evolution.NewJWT(token, v.Name), warnings: warnings}, nil
}

func badToken(hint string) error {
	e := pombo.Errorf(pombo.Invalid, `Invalid "oldToken"`)
	e.Detail = []string{e.Message, hint}
	return e
}
