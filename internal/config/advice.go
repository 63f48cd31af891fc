package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pombo"
)

// wellKnownKeys are the keys that stand in the Evolution API's source and in
// its example of a .env file: everybody knows them.
var wellKnownKeys = []string{"429683C4C977415CAAFCCE10F7D57E11", "BQYHJGJHJ"}

// wellKnownSecret is the default of the Evolution API's AUTHENTICATION_JWT_SECRET.
const wellKnownSecret = "L=0YWt]b2w[WF>#>:&E`" //nolint:gosec // it is known

// Warnings returns a sentence for each setting that is accepted but does not do
// what whoever wrote it may expect. They hold no secrets.
func (c Config) Warnings() []string { return slices.Clone(c.warnings) }

// Ignored returns the variables, sorted, that switch something on in the
// Evolution API and have no effect here. Variables that only detail such a
// thing, and those that are switched off, are passed over.
func (c Config) Ignored() []string { return slices.Clone(c.ignored) }

func (c Config) findWarnings(given map[string]string) []string {
	var ws []string
	if slices.Contains(wellKnownKeys, c.Auth.APIKey.Reveal()) {
		ws = append(ws, "AUTHENTICATION_API_KEY is the example key of the Evolution API, which everybody knows: choose another")
	}
	if c.Auth.Type == AuthJWT && c.Auth.JWTSecret.Reveal() == wellKnownSecret {
		ws = append(ws, "AUTHENTICATION_JWT_SECRET is the example secret of the Evolution API, with which everybody can make tokens: choose another")
	}
	if w := c.retryWarning(given); w != "" {
		ws = append(ws, w)
	}
	if c.Webhook.GlobalEnabled && c.noGlobalEvents() {
		ws = append(ws, "WEBHOOK_GLOBAL_ENABLED is true, but every WEBHOOK_EVENTS_* is false: the global webhook gets nothing; set those it should get to true, or remove them all to send every event")
	}
	if len(c.events.unknown) > 0 {
		ws = append(ws, "no event has the name in "+strings.Join(c.events.unknown, ", ")+": it has no effect")
	}
	return ws
}

func (c Config) retryWarning(given map[string]string) string {
	if c.Retry.Strict {
		return ""
	}
	var parts []string
	if _, ok := given["WEBHOOK_RETRY_MAX_ATTEMPTS"]; ok {
		parts = append(parts, "WEBHOOK_RETRY_MAX_ATTEMPTS has no effect")
	}
	var again []string
	for _, status := range c.Retry.NonRetryable {
		if pombo.EndpointTrouble(status) {
			again = append(again, strconv.Itoa(status))
		}
	}
	if len(again) > 0 {
		parts = append(parts, "after a status "+strings.Join(again, ", ")+" an event is tried again")
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("%s, so that no event is lost within %g hours; WEBHOOK_RETRY_STRICT=true changes that",
		strings.Join(parts, " and "), c.Retry.HorizonHours)
}

// switches are variables of the Evolution API that turn on what Pombo does not
// have. Those with the value "*" count with any value, the others with theirs.
var switches = map[string]string{
	"CACHE_LOCAL_ENABLED":        "true",
	"CACHE_REDIS_ENABLED":        "true",
	"CACHE_REDIS_SAVE_INSTANCES": "true",
	"CHATWOOT_ENABLED":           "true",
	"DIFY_ENABLED":               "true",
	"EVOAI_ENABLED":              "true",
	"FLOWISE_ENABLED":            "true",
	"KAFKA_ENABLED":              "true",
	"KAFKA_GLOBAL_ENABLED":       "true",
	"N8N_ENABLED":                "true",
	"NATS_ENABLED":               "true",
	"NATS_GLOBAL_ENABLED":        "true",
	"OPENAI_ENABLED":             "true",
	"PROVIDER_ENABLED":           "true",
	"PROXY_HOST":                 "*",
	"PUSHER_ENABLED":             "true",
	"PUSHER_GLOBAL_ENABLED":      "true",
	"RABBITMQ_ENABLED":           "true",
	"RABBITMQ_GLOBAL_ENABLED":    "true",
	"REDIS_ENABLED":              "true",
	"S3_ENABLED":                 "true",
	"SERVER_TYPE":                "https",
	"SQS_ENABLED":                "true",
	"SQS_GLOBAL_ENABLED":         "true",
	"SSL_CONF_FULLCHAIN":         "*",
	"SSL_CONF_PRIVKEY":           "*",
	"TYPEBOT_ENABLED":            "true",
	"WEBSOCKET_ENABLED":          "true",
	"WEBSOCKET_GLOBAL_EVENTS":    "true",
}

func findIgnored(given map[string]string) []string {
	var names []string
	for _, key := range sortedKeys(given) {
		want, ok := switches[key]
		if ok && (want == "*" || strings.EqualFold(given[key], want)) {
			names = append(names, key)
		}
	}
	return names
}

// WithoutEffect returns the variables that Ignored looks for, sorted.
func WithoutEffect() []string { return sortedKeys(switches) }
