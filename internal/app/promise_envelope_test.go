package app_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pombo/internal/pombotest"
)

// keysOf lists the keys of a JSON object in their order.
func keysOf(t *testing.T, body []byte) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(body)))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
	}
	return keys
}

// envelope is what surrounds an event.
type envelope struct {
	Event, Instance, Destination, Sender string
	DateTime                             string `json:"date_time"`
	ServerURL                            string `json:"server_url"`
	APIKey                               *string
}

func envelopeOf(t *testing.T, post pombotest.Post) (e envelope) {
	t.Helper()
	if err := json.Unmarshal(post.Body, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// The envelope has its keys in order, the time in UTC and the instance's key; the
// request has the webhook's own headers, and a token that its secret signed.
func TestPromiseEnvelope(t *testing.T) {
	p := newPromise(t, "SERVER_URL=https://gateway.example.com")
	pombotest.Create(t, p.gateway.Client, shop, "")
	pombotest.Scan(t, p.gateway.Client, p.network.Server, shop, phone)
	const secret = "the secret of this webhook, long enough for HS256"
	p.set(map[string]any{
		"enabled": true, "url": p.receiver.URL + "/hook", "webhookByEvents": true,
		"headers": map[string]string{"X-Tenant": "blue", "authorization": "Basic eA==", "jwt_key": secret},
	})
	began := time.Now().Truncate(time.Second) // WhatsApp counts in seconds
	post := p.arrives(p.receiver, p.network.Write(contact, phone, "hello"))
	ended := time.Now()

	want := []string{"event", "instance", "data", "destination", "date_time", "sender", "server_url", "apikey"}
	if got := keysOf(t, post.Body); !slices.Equal(got, want) {
		t.Errorf("its keys are %v, want %v", got, want)
	}
	var rows []struct{ Token string }
	p.gateway.Must("GET", "/instance/fetchInstances", nil, &rows)
	e := envelopeOf(t, post)
	if e.Event != "messages.upsert" || e.Instance != shop || e.Destination != p.receiver.URL+"/hook" || e.Sender != jid ||
		e.ServerURL != "https://gateway.example.com" || e.APIKey == nil || *e.APIKey != rows[0].Token {
		t.Errorf("got %s", post.Body)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z", e.DateTime)
	if err != nil || at.Before(began) || at.After(ended) {
		t.Errorf("its time is %q (%v), it was sent between %s and %s", e.DateTime, err, began.UTC(), ended.UTC())
	}

	if got := post.Header.Get("X-Tenant"); got != "blue" {
		t.Errorf("X-Tenant is %q", got)
	}
	if post.Header.Get("jwt_key") != "" || post.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the headers are %v", post.Header)
	}
	bearer, ok := strings.CutPrefix(post.Header.Get("Authorization"), "Bearer ")
	if !ok {
		t.Fatalf("Authorization is %q", post.Header.Get("Authorization"))
	}
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(bearer, claims, func(*jwt.Token) (any, error) { return []byte(secret), nil }, jwt.WithValidMethods([]string{"HS256"})); err != nil {
		t.Fatalf("the token is not valid: %v", err)
	}
	iat, _ := claims["iat"].(float64)
	exp, _ := claims["exp"].(float64)
	if claims["app"] != "evolution" || claims["action"] != "webhook" || exp-iat != 600 || iat < float64(began.Unix()) {
		t.Errorf("the token says %v", claims)
	}
}

// Keys that are not to be exposed are told as null; without SERVER_URL there is
// none in the envelope, and before pairing no sender.
func TestPromiseKeysHidden(t *testing.T) {
	p := newPromise(t, "AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES=false")
	pombotest.Create(t, p.gateway.Client, shop, p.receiver.URL)
	post := p.receiver.Wait(t, "instance.create", nil)
	if got, want := keysOf(t, post.Body), []string{"event", "instance", "data", "destination", "date_time", "apikey"}; !slices.Equal(got, want) {
		t.Errorf("its keys are %v, want %v", got, want)
	}
	if e := envelopeOf(t, post); e.APIKey != nil {
		t.Errorf("the key is told: %s", post.Body)
	}
	if rows := p.get("/v1/instance/fetchInstances"); strings.Contains(rows, "apikey") || strings.Contains(rows, "token") {
		t.Errorf("keys are told: %s", rows)
	}
}
