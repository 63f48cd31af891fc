package config

import (
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pombo"
)

// Addr returns the address to listen on, "host:port".
func (s Server) Addr() string { return net.JoinHostPort(string(s.Host), strconv.Itoa(s.Port)) }

// LocalURL returns the server's address for a client on the same machine, such
// as "http://127.0.0.1:8080".
func (s Server) LocalURL() string {
	host := string(s.Host)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(s.Port))
}

// DatabaseURI returns the URI of the database to open: "sqlite:PATH" or
// "postgresql://…". It may hold a password.
func (c Config) DatabaseURI() string {
	uri := c.Database.URI.Reveal()
	scheme, rest, _ := strings.Cut(uri, ":")
	switch strings.ToLower(scheme) {
	case "":
		return "sqlite:" + filepath.Join(c.Server.DataDir, "pombo.db")
	case "sqlite", "file":
		path, _ := sqlitePath(rest) // Load has refused what has no path
		return "sqlite:" + path
	default:
		return "postgresql:" + rest
	}
}

// Keep returns how long deliveries are kept after they were made, and after they
// died.
func (d Database) Keep() (delivered, dead time.Duration) {
	return duration(d.KeepDelivered, 24*time.Hour), duration(d.KeepDead, 24*time.Hour)
}

// GlobalWebhook returns the webhook that gets the events of every instance, or
// nil if there is none. Without any WEBHOOK_EVENTS_* it gets all events, like
// an instance's webhook that is set without a list.
func (c Config) GlobalWebhook() *pombo.Webhook {
	if !c.Webhook.GlobalEnabled || c.noGlobalEvents() {
		return nil
	}
	return &pombo.Webhook{
		ID:       pombo.GlobalWebhookID,
		URL:      c.Webhook.GlobalURL.Reveal(),
		Enabled:  true,
		Events:   slices.Clone(c.events.on),
		ByEvents: c.Webhook.GlobalByEvents,
		Base64:   c.Webhook.GlobalBase64,
	}
}

func (c Config) noGlobalEvents() bool { return c.events.given && len(c.events.on) == 0 }

// RetryPolicy says when a delivery is tried again, and when no more.
type RetryPolicy struct {
	Timeout      time.Duration // of one attempt
	InitialDelay time.Duration // after the first failure
	MaxDelay     time.Duration // not shorter than InitialDelay
	Exponential  bool          // the pause doubles; otherwise it stays the initial one
	Jitter       float64       // 0 to 1: each pause is up to this share shorter or longer
	Horizon      time.Duration // after the event was appended
	MaxAttempts  int           // 0: only the horizon ends it
	NonRetryable []int         // HTTP statuses, ascending
}

// RetryPolicy returns the policy in force. What would cut the promise of
// delivery short is taken out unless WEBHOOK_RETRY_STRICT is true.
func (c Config) RetryPolicy() RetryPolicy {
	r := c.Retry
	p := RetryPolicy{
		Timeout:      time.Duration(c.Webhook.RequestTimeoutMS) * time.Millisecond,
		InitialDelay: duration(r.InitialDelaySeconds, time.Second),
		MaxDelay:     duration(max(r.MaxDelaySeconds, r.InitialDelaySeconds), time.Second),
		Exponential:  r.Exponential,
		Jitter:       r.JitterFactor,
		Horizon:      duration(r.HorizonHours, time.Hour),
		MaxAttempts:  r.MaxAttempts,
		NonRetryable: slices.Clone(r.NonRetryable),
	}
	if !r.Strict {
		p.MaxAttempts = 0
		p.NonRetryable = slices.DeleteFunc(p.NonRetryable, pombo.EndpointTrouble)
	}
	return p
}

func duration(n float64, unit time.Duration) time.Duration {
	return time.Duration(n * float64(unit))
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
