package pombo

import (
	"slices"
	"time"
)

// GlobalWebhookID is the ID of the webhook that the environment configures
// (WEBHOOK_GLOBAL_URL) and that gets the events of every instance.
const GlobalWebhookID = "global"

// Webhook is where an instance's events are posted to.
type Webhook struct {
	ID       string     // unique and stable over changes; GlobalWebhookID for the global one
	Instance InstanceID // "" for the global one
	// Position tells an instance's webhooks apart: 0 is that of POST /webhook/set,
	// those that were added have 1 and up, in the order of adding.
	Position int
	URL      string
	Enabled  bool
	// Events lists what is sent. For a webhook that is enabled, empty means all.
	Events   []EventName
	ByEvents bool // each event is posted to its own path below URL
	Base64   bool // media messages carry their file
	// Headers are added to each request. "jwt_key" is special: it is the secret
	// of a bearer token that is made for each attempt, and is not sent itself.
	Headers map[string]string
	// Filter is a CEL expression over the event; only events for which it is true
	// are sent. "" lets all pass.
	Filter string
	// Secrets sign each request by the Standard Webhooks scheme, all that are
	// valid at its time, the newest first. Empty: requests are not signed.
	Secrets   []SigningSecret
	CreatedAt time.Time
	UpdatedAt time.Time
}

// SigningSecret is a key that requests are signed with. It never reaches a log.
type SigningSecret struct {
	Key   string    // "whsec_" and base64, of 24 to 64 bytes
	Until time.Time // no longer valid from then on; zero: valid until it is replaced
}

// Wants tells whether an event of this name is sent to w.
func (w Webhook) Wants(n EventName) bool {
	return w.Enabled && w.URL != "" && (len(w.Events) == 0 || slices.Contains(w.Events, n))
}

// WebhookChange is a request to set a webhook. A nil field was left out of the
// request.
type WebhookChange struct {
	Enabled  *bool
	URL      *string
	Events   *[]EventName // empty means all
	ByEvents *bool
	Base64   *bool
	Headers  *map[string]string
	Filter   *string
	// Secret is the key to sign with from now on, "" for none, or GenerateSecret
	// to have one made. It stays if it is left out, also with Reset.
	Secret *string
	// Reset gives fields that were left out their defaults (the flat form of the
	// request); otherwise they keep their values (the nested form).
	Reset bool
	// EmptyWhenDisabled empties URL and events of a webhook that is switched off
	// (the flat form); otherwise only the events are emptied.
	EmptyWhenDisabled bool
}

// Apply returns w with the change made. A webhook that is new, or reset without
// saying, is enabled.
func (c WebhookChange) Apply(w Webhook) Webhook {
	if c.Reset || w.ID == "" {
		w = Webhook{ID: w.ID, Instance: w.Instance, Position: w.Position, Secrets: w.Secrets, Enabled: true, CreatedAt: w.CreatedAt}
	}
	set(&w.Enabled, c.Enabled)
	set(&w.URL, c.URL)
	set(&w.Events, c.Events)
	set(&w.ByEvents, c.ByEvents)
	set(&w.Base64, c.Base64)
	set(&w.Headers, c.Headers)
	set(&w.Filter, c.Filter)
	if !w.Enabled {
		w.Events = nil
		if c.EmptyWhenDisabled {
			w.URL = ""
		}
	}
	return w
}

func set[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}
