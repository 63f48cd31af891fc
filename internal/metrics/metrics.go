// Package metrics owns what GET /metrics tells a Prometheus server: the names, the
// labels and their bounds. It counts what it is told and asks for the rest when it
// is read; it decides nothing.
//
// No label holds anything that grows without bounds: an instance's name stands
// only in the backlog of the largest maxInstances, the others are summed up.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pombo"
)

// Backlog is what waits for one webhook.
type Backlog struct {
	Instance string // its name; "" for the global webhook
	Pending  int
	Oldest   time.Time // when the oldest was appended
}

// Size is how large the database is, in bytes.
type Size struct{ Used, File, Max int64 }

// Source is asked each time the metrics are read.
type Source interface {
	// Backlogs returns what waits, by webhook.
	Backlogs(ctx context.Context) ([]Backlog, error)
	// Instances returns how many instances are in each state.
	Instances() map[pombo.ConnectionState]int
	// Circuits returns how many webhooks' circuits are in each state.
	Circuits() map[string]int
	// Size returns the size of the database.
	Size() Size
}

// Metrics are a gateway's metrics. Its methods can be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry
	events   *prometheus.CounterVec
	attempts *prometheus.CounterVec
	ended    *prometheus.CounterVec
	wait     prometheus.Histogram
	attempt  *prometheus.HistogramVec
	commit   prometheus.Histogram
	batch    *prometheus.HistogramVec
}

// The buckets reach from what is normal to what is a disaster.
var (
	waitBuckets    = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 72 * 3600}
	attemptBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	commitBuckets  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}
	batchBuckets   = []float64{0, 1, 2, 5, 10, 25, 50, 100, 250, 500}
)

// outcomeOK is the outcome of an attempt that delivered.
const outcomeOK = "ok"

// New returns metrics without a source: until Ask is called, only what is counted
// is told.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pombo_events_total", Help: "Events stored for delivery, by name.",
		}, []string{"event"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pombo_attempts_total", Help: `Attempts to post an event, by outcome: "ok", or the error code of docs/deliveries.md.`,
		}, []string{"outcome"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pombo_deliveries_total", Help: `Deliveries that ended, by state: "delivered", or the reason for which they are dead.`,
		}, []string{"state"}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pombo_delivery_seconds", Help: "From storing an event (or its replay) to the end of the attempt that delivered it.", Buckets: waitBuckets,
		}),
		attempt: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pombo_attempt_seconds", Help: "How long one attempt took, by whether it delivered.", Buckets: attemptBuckets,
		}, []string{"delivered"}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pombo_store_commit_seconds", Help: "How long one transaction took, from its beginning to the end of its commit.", Buckets: commitBuckets,
		}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pombo_store_batch_size", Help: "How many events, and results of attempts, one transaction wrote.", Buckets: batchBuckets,
		}, []string{"of"}),
	}
	// What has not happened yet is told as 0: otherwise the first time does not count as
	// an increase.
	for _, state := range []string{string(pombo.Delivered), string(pombo.Rejected), string(pombo.Exhausted), string(pombo.Disabled)} {
		m.ended.WithLabelValues(state)
	}
	m.attempts.WithLabelValues(outcomeOK)
	m.registry.MustRegister(m.events, m.attempts, m.ended, m.wait, m.attempt, m.commit, m.batch,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pombo_build_info", Help: "1, labelled with the version.", ConstLabels: prometheus.Labels{"version": pombo.Version},
		}, func() float64 { return 1 }))
	return m
}

// Ask makes s the source of what is not counted. It is called once.
func (m *Metrics) Ask(s Source, log *slog.Logger) { m.registry.MustRegister(newAsker(s, log)) }

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 30 * time.Second})
}

// Appended counts new events.
func (m *Metrics) Appended(name pombo.EventName, n int) {
	m.events.WithLabelValues(string(name)).Add(float64(n))
}

// Attempted counts an attempt. since is when its delivery was appended or last
// replayed.
func (m *Metrics) Attempted(_ string, since time.Time, a pombo.Attempt) {
	outcome, delivered := a.ErrorCode, "false"
	if a.State == pombo.Delivered {
		outcome, delivered = outcomeOK, "true"
		m.ended.WithLabelValues("delivered").Inc()
		m.wait.Observe(max(0, a.At.Add(a.Duration).Sub(since).Seconds()))
	}
	if a.State == pombo.Dead {
		m.ended.WithLabelValues(string(a.Reason)).Inc()
	}
	if outcome == "" {
		outcome = "other"
	}
	m.attempts.WithLabelValues(outcome).Inc()
	m.attempt.WithLabelValues(delivered).Observe(a.Duration.Seconds())
}

// Disabled counts deliveries that ended because their webhook was switched off.
func (m *Metrics) Disabled(n int) { m.ended.WithLabelValues(string(pombo.Disabled)).Add(float64(n)) }

// Committed counts a transaction.
func (m *Metrics) Committed(took time.Duration, events, attempts int) {
	m.commit.Observe(took.Seconds())
	m.batch.WithLabelValues("events").Observe(float64(events))
	m.batch.WithLabelValues("attempts").Observe(float64(attempts))
}
