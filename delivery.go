package pombo

import (
	"net/http"
	"time"
)

// DeliveryState says where a delivery stands. docs/deliveries.md has the state
// machine; the store's schema has a CHECK that agrees.
type DeliveryState string

// The states of a delivery.
const (
	Pending   DeliveryState = "pending"   // waiting for its first or next attempt
	Delivered DeliveryState = "delivered" // answered with a 2xx
	Dead      DeliveryState = "dead"      // given up; Reason says why
)

// DeadReason says why a delivery is dead.
type DeadReason string

// The reasons of death. A delivery that is not dead has the reason "".
const (
	Rejected  DeadReason = "rejected"  // the endpoint refused the event itself (400, 413, 422)
	Exhausted DeadReason = "exhausted" // the retry horizon passed
	Disabled  DeadReason = "disabled"  // the webhook was switched off, or its instance deleted
)

// Delivery is one event on its way to one webhook.
type Delivery struct {
	ID        int64 // ascending in the order of appending
	WebhookID string
	// MessageID is sent as the webhook-id header: the same on every attempt and
	// replay of this delivery, and unique among all gateways.
	MessageID   string
	Event       Event
	State       DeliveryState
	Reason      DeadReason
	Attempts    int       // made so far
	NextAttempt time.Time // not before; zero: at once
	Parked      bool      // retried by itself: its lane does not wait for it
	CreatedAt   time.Time // when the event was appended
	EndedAt     time.Time // when it left pending; zero while it has not
	// ReplayedAt is when it was last made pending again, and AttemptsBefore how
	// many attempts it had by then. Zero: never.
	ReplayedAt     time.Time
	AttemptsBefore int
}

// Since returns when the present round of attempts began, from which the retry
// horizon counts: when the event was appended or, later, the delivery replayed.
func (d Delivery) Since() time.Time {
	if d.ReplayedAt.After(d.CreatedAt) {
		return d.ReplayedAt
	}
	return d.CreatedAt
}

// Tries returns how many attempts the present round had.
func (d Delivery) Tries() int { return d.Attempts - d.AttemptsBefore }

// Lane is the unit of order: deliveries of one lane to one webhook are made
// one after the other, oldest first.
type Lane struct {
	Instance InstanceID
	Chat     string // "" is the instance's own lane
}

// Lane returns the lane that d belongs to.
func (d Delivery) Lane() Lane { return Lane{Instance: d.Event.Instance, Chat: d.Event.Chat} }

// Attempt is one POST and what it did to its delivery.
type Attempt struct {
	Delivery int64
	Number   int // from 1
	At       time.Time
	Duration time.Duration
	Address  string // the address connected to, "ip:port"; "" if none was
	Status   int    // the HTTP status; 0 if none came
	// ErrorCode names what went wrong in one word ("timeout", "refused",
	// "reset", "dns", "tls", "status", …); "" after a 2xx.
	ErrorCode string
	Error     string // a sentence for people; never holds a secret
	Response  []byte // the first KiB of the answer's body

	// What becomes of the delivery.
	State       DeliveryState
	Reason      DeadReason
	NextAttempt time.Time // only with Pending
	Parked      bool
}

// EndpointTrouble tells whether an HTTP status speaks of the endpoint, and not of
// the event that was posted: it is misconfigured (401, 403, 404, 407, 421), busy
// (408, 409, 425, 429), gone (410) or broken (5xx), or no answer to a POST at all
// (below 400), and may recover. So the event waits.
func EndpointTrouble(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusConflict, http.StatusGone, http.StatusMisdirectedRequest,
		http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status < 400 || status >= 500
}
