package pombo

import "time"

// DeliveryQuery chooses deliveries of one instance. Zero fields choose all.
type DeliveryQuery struct {
	Instance InstanceID
	// Global includes deliveries to the global webhook, which are not for the eyes
	// of an instance's own key.
	Global   bool
	Webhook  string
	State    DeliveryState
	Event    EventName
	Chat     string
	From, To time.Time // appended at From or later, and before To
	// Before continues a list after its last row; nil: from the newest on.
	Before *DeliveryCursor
	Limit  int
}

// DeliveryCursor is a place in the order of deliveries: that in which they were
// appended.
type DeliveryCursor struct {
	At time.Time
	ID int64
}

// Cursor returns the place of d.
func (d Delivery) Cursor() DeliveryCursor { return DeliveryCursor{At: d.CreatedAt, ID: d.ID} }

// DeliverySummary is a delivery in a list: without the event's data, and with
// its last attempt, nil if there was none.
type DeliverySummary struct {
	Delivery
	Last *Attempt
}

// DeliveryDetail is a delivery with what was sent and what came of it.
type DeliveryDetail struct {
	Delivery
	URL      string       // posted to, without user and password
	Payload  []byte       // the body as it is posted, but for File
	File     *PayloadFile // nil: the body has none
	Attempts []Attempt
}

// PayloadFile is the file that a delivery carries as base64 in its body.
type PayloadFile struct {
	At      int   // where in the payload it goes, with its key
	Size    int64 // in bytes; what its sender says, until it is here
	Fetched bool  // it is here
	// Content is the file, if it was asked for. Close it.
	Content *MediaFile
}

// Replay is a request to deliver again: either IDs, or what Query chooses.
type Replay struct {
	IDs    []int64
	Query  DeliveryQuery // its Instance is needed in any case
	DryRun bool          // only count
}

// ReplayResult says what a replay did.
type ReplayResult struct {
	Matched  int // deliveries that were chosen
	Replayed int // made pending again; with DryRun, would be
	Pending  int // were pending already, and are due at once
	Off      int // passed over: their webhook is switched off or removed
	Missing  int // of the IDs: no such delivery of this instance
}

// WebhookHealth says how a webhook is doing.
type WebhookHealth struct {
	Webhook Webhook
	// Circuit is "closed" or "open"; "" for a webhook that is switched off.
	Circuit string
	// OpenUntil is when an open circuit is probed next.
	OpenUntil time.Time

	Backlog     int       // deliveries that are pending
	Oldest      time.Time // when the oldest pending one was appended; zero: none is
	LastSuccess time.Time // zero: none in 7 days
	// Attempts of the last 24 hours, to the full hour, and how many were answered
	// with a 2xx.
	Attempts, Successes int64

	// FilterErrors counts events that the filter had no value for, and that
	// therefore were sent, since it was set or the gateway started.
	FilterErrors    int64
	FilterLastError string
}

// Ping is a request to post a sample of an event to a webhook, now.
type Ping struct {
	Webhook string // an ID; "" for the first
	Event   EventName
}

// PingResult is what the endpoint answered.
type PingResult struct {
	WebhookID string
	Event     EventName
	MessageID string
	URL       string // without user and password
	Attempt   Attempt
}
