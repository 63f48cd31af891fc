package dispatch

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"pombo"
)

// Stats is what a Dispatcher knows of one webhook at this moment.
type Stats struct {
	WebhookID string
	Webhook   pombo.Webhook // as it is in force; its Headers and Secrets are secret
	Enabled   bool
	Loaded    int  // deliveries in memory, not counting those in flight
	Behind    bool // the store has more that was not looked at yet
	Lanes     int  // lanes known to have something pending
	Waiting   int  // lanes that wait for a retry
	Parked    int  // parked deliveries in memory, at most 1,024; those in flight included
	InFlight  int
	Delivered uint64 // attempts since the start that were answered with a 2xx
	Failed    uint64 // all other attempts since the start
	// Failures counts the failed attempts since LastSuccess, which is zero if
	// there was none since the start.
	Failures    int
	LastSuccess time.Time

	// Circuit tells whether the endpoint is posted to. Since is when that began
	// (zero: with the start), Opened how often it opened since the start, and
	// NextProbe when an open one is tried next.
	Circuit   CircuitState
	Since     time.Time
	Opened    uint64
	NextProbe time.Time
}

// Stats returns the state of all webhooks, by ID.
func (d *Dispatcher) Stats() []Stats {
	d.mu.Lock()
	runners := slices.Collect(maps.Values(d.runners))
	d.mu.Unlock()
	all := make([]Stats, 0, len(runners))
	for _, r := range runners {
		all = append(all, r.snapshot())
	}
	slices.SortFunc(all, func(a, b Stats) int { return cmp.Compare(a.WebhookID, b.WebhookID) })
	return all
}

// Snapshot returns the state of one webhook; ok is false if it is not known.
func (d *Dispatcher) Snapshot(webhookID string) (s Stats, ok bool) {
	d.mu.Lock()
	r := d.runners[webhookID]
	d.mu.Unlock()
	if r == nil {
		return Stats{}, false
	}
	return r.snapshot(), true
}

func (r *runner) snapshot() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{
		WebhookID: r.id, Webhook: r.webhook, Enabled: r.active,
		Loaded: r.win.loaded, Behind: r.feed.behind || r.parking.more, Lanes: len(r.win.lanes), Waiting: len(r.win.waiting),
		Parked: len(r.parking.items), InFlight: r.inFlight, Delivered: r.delivered, Failed: r.failed,
		Failures: r.failures, LastSuccess: r.lastSuccess,
		Circuit: Closed, Since: r.circuit.since, Opened: r.circuit.opened,
	}
	if r.circuit.open {
		s.Circuit, s.NextProbe = Open, r.circuit.due.Round(0)
	}
	return s
}

// ReportKind says what a Report is about.
type ReportKind string

// The kinds of reports.
const (
	CircuitOpened ReportKind = "circuit opened" // Failures, Code, Status, Reason
	CircuitClosed ReportKind = "circuit closed" // Since: when it had opened
	Died          ReportKind = "died"           // Event, Message, Dead, Code, Status, Reason
)

// Report tells of something that an operator may want to know at once.
type Report struct {
	Kind     ReportKind
	Webhook  pombo.Webhook // its Headers and Secrets are secret
	Since    time.Time
	Failures int
	Event    pombo.EventName
	Message  string // the webhook-id
	Dead     pombo.DeadReason
	Code     string // of the last attempt's error
	Status   int
	Reason   string // a sentence about the last attempt
}

func (d *Dispatcher) report(r Report) {
	if d.onReport != nil {
		d.onReport(r)
	}
}
