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
	URL      string
	Enabled  bool
	// Events lists what is sent. For a webhook that is enabled, empty means all.
	Events   []EventName
	ByEvents bool // each event is posted to its own path below URL
	Base64   bool // media messages carry their file
	// Headers are added to each request. "jwt_key" is special: it is the secret
	// of a bearer token that is made for each attempt, and is not sent itself.
	Headers   map[string]string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Wants tells whether an event of this name is sent to w.
func (w Webhook) Wants(n EventName) bool {
	return w.Enabled && w.URL != "" && (len(w.Events) == 0 || slices.Contains(w.Events, n))
}
