package metrics

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pombo"
)

const (
	// maxInstances is how many instances are told apart.
	maxInstances = 100
	// others is the label of the rest, and global that of the global webhook. An
	// instance's name cannot have a "/".
	others, global = "other/instances", "global/webhook"
	// backlogAge is how long an answer about backlogs holds: counting a million rows
	// is not free, and there may be several who read.
	backlogAge   = 5 * time.Second
	backlogLimit = 10 * time.Second
)

// asker asks the source when the metrics are read.
type asker struct {
	source Source
	log    *slog.Logger

	backlog, lag, instances, circuits, used, file, limit *prometheus.Desc

	mu    sync.Mutex
	known []Backlog
	asked time.Time
}

func newAsker(s Source, log *slog.Logger) *asker {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &asker{
		source: s, log: log,
		backlog:   desc("pombo_backlog_deliveries", "Deliveries that are pending, of the instances that have most of them; the rest is summed up as other/instances.", "instance"),
		lag:       desc("pombo_backlog_oldest_seconds", "How long the oldest pending delivery has waited, of the same instances.", "instance"),
		instances: desc("pombo_instances", "Instances, by the state of their connection.", "state"),
		circuits:  desc("pombo_circuits", "Webhooks, by the state of their circuit breaker.", "state"),
		used:      desc("pombo_database_used_bytes", "The size of the database without what is free in it for reuse."),
		file:      desc("pombo_database_file_bytes", "The size of the database's files, without the write-ahead log."),
		limit:     desc("pombo_database_limit_bytes", "POMBO_MAX_DISK; 0: no limit."),
	}
}

// Describe implements prometheus.Collector.
func (a *asker) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{a.backlog, a.lag, a.instances, a.circuits, a.used, a.file, a.limit} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (a *asker) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	now := time.Now()
	for _, b := range bounded(a.backlogs(now)) {
		gauge(a.backlog, float64(b.Pending), b.Instance)
		if !b.Oldest.IsZero() {
			gauge(a.lag, max(0, now.Sub(b.Oldest).Seconds()), b.Instance)
		}
	}
	counts := a.source.Instances()
	for _, state := range []pombo.ConnectionState{pombo.StateOpen, pombo.StateConnecting, pombo.StateClose} {
		gauge(a.instances, float64(counts[state]), string(state))
	}
	for state, n := range a.source.Circuits() {
		gauge(a.circuits, float64(n), state)
	}
	size := a.source.Size()
	gauge(a.used, float64(size.Used))
	gauge(a.file, float64(size.File))
	gauge(a.limit, float64(size.Max))
}

// backlogs asks for backlogs, not too often. While the database does not answer
// there are none, which is told by their absence.
func (a *asker) backlogs(now time.Time) []Backlog {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.asked) < backlogAge {
		return a.known
	}
	ctx, cancel := context.WithTimeout(context.Background(), backlogLimit)
	defer cancel()
	known, err := a.source.Backlogs(ctx)
	if err != nil {
		a.log.Warn("backlogs are not known", "error", err)
	}
	a.known, a.asked = known, time.Now()
	return known
}

// bounded sums backlogs up by instance, and those of the smaller ones.
func bounded(bs []Backlog) []Backlog {
	sums := map[string]Backlog{}
	for _, b := range bs {
		sums[cmp.Or(b.Instance, global)] = sum(sums[cmp.Or(b.Instance, global)], b)
	}
	all := make([]Backlog, 0, len(sums))
	for name, b := range sums {
		b.Instance = name
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Backlog) int {
		return cmp.Or(cmp.Compare(b.Pending, a.Pending), cmp.Compare(a.Instance, b.Instance))
	})
	if len(all) <= maxInstances {
		return all
	}
	rest := Backlog{}
	for _, b := range all[maxInstances:] {
		rest = sum(rest, b)
	}
	rest.Instance = others
	return append(all[:maxInstances], rest)
}

func sum(a, b Backlog) Backlog {
	a.Pending += b.Pending
	if a.Oldest.IsZero() || !b.Oldest.IsZero() && b.Oldest.Before(a.Oldest) {
		a.Oldest = b.Oldest
	}
	return a
}
