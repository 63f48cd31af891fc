package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pombo"
)

type source struct{ backlogs []Backlog }

func (s *source) Backlogs(context.Context) ([]Backlog, error) { return s.backlogs, nil }
func (s *source) Instances() map[pombo.ConnectionState]int {
	return map[pombo.ConnectionState]int{pombo.StateOpen: 3}
}
func (s *source) Circuits() map[string]int { return map[string]int{"closed": 2, "open": 1} }
func (s *source) Size() Size               { return Size{Used: 1000, File: 4096, Max: 0} }

func read(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	return string(b)
}

func full() *Metrics {
	m := New()
	s := &source{backlogs: []Backlog{{Instance: "shop", Pending: 5, Oldest: time.Now().Add(-time.Hour)}, {Instance: "shop", Pending: 2, Oldest: time.Now()}, {Pending: 1, Oldest: time.Now()}}}
	m.Ask(s, slog.New(slog.DiscardHandler))
	now := time.Now()
	m.Appended(pombo.MessagesUpsert, 2)
	m.Attempted("w", now.Add(-2*time.Second), pombo.Attempt{At: now, Duration: 30 * time.Millisecond, Status: 200, State: pombo.Delivered})
	m.Attempted("w", now, pombo.Attempt{At: now, Status: 500, ErrorCode: "status", State: pombo.Pending})
	m.Attempted("w", now, pombo.Attempt{At: now, Status: 400, ErrorCode: "status", State: pombo.Dead, Reason: pombo.Rejected})
	m.Disabled(4)
	m.Committed(3*time.Millisecond, 2, 3)
	return m
}

func TestMetrics(t *testing.T) {
	began := time.Now()
	text := read(t, full())
	for _, line := range []string{
		`pombo_events_total{event="MESSAGES_UPSERT"} 2`,
		`pombo_attempts_total{outcome="ok"} 1`,
		`pombo_attempts_total{outcome="status"} 2`,
		`pombo_deliveries_total{state="delivered"} 1`,
		`pombo_deliveries_total{state="rejected"} 1`,
		`pombo_deliveries_total{state="disabled"} 4`,
		`pombo_deliveries_total{state="exhausted"} 0`,
		`pombo_delivery_seconds_bucket{le="1"} 0`,
		`pombo_delivery_seconds_bucket{le="2.5"} 1`,
		`pombo_attempt_seconds_count{delivered="false"} 2`,
		`pombo_store_commit_seconds_count 1`,
		`pombo_store_batch_size_sum{of="attempts"} 3`,
		`pombo_backlog_deliveries{instance="shop"} 7`,
		`pombo_backlog_deliveries{instance="global/webhook"} 1`,
		`pombo_instances{state="open"} 3`,
		`pombo_instances{state="close"} 0`,
		`pombo_circuits{state="open"} 1`,
		`pombo_database_used_bytes 1000`,
		`pombo_build_info{version="` + pombo.Version + `"} 1`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%s is not told", line)
		}
	}
	lag := regexp.MustCompile(`pombo_backlog_oldest_seconds\{instance="shop"\} (\S+)`).FindStringSubmatch(text)
	if lag == nil {
		t.Error("how long the oldest has waited is not told")
	} else if s, err := strconv.ParseFloat(lag[1], 64); err != nil || s < 3600 || s > 3600+time.Since(began).Seconds() {
		t.Errorf("the oldest has waited %s s, %v", lag[1], err)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// However many instances there are, few are told apart.
func TestCardinality(t *testing.T) {
	var bs []Backlog
	for n := range 5000 {
		bs = append(bs, Backlog{Instance: fmt.Sprint("i", n), Pending: n + 1, Oldest: time.Unix(int64(n+1), 0)})
	}
	all := bounded(bs)
	sum := 0
	for _, b := range all {
		sum += b.Pending
	}
	rest := all[len(all)-1]
	if len(all) != maxInstances+1 || sum != 5000*5001/2 || all[0].Instance != "i4999" || rest.Instance != others || rest.Oldest.Unix() != 1 {
		t.Errorf("%d series, %d pending, first %+v, last %+v", len(all), sum, all[0], rest)
	}
}

// The dashboard asks for nothing that is not told, and shows all of ours.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../deploy/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	text := read(t, full())
	var told, shown []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		told = append(told, m[1])
		if m[2] == "histogram" {
			told = append(told, m[1]+"_bucket", m[1]+"_sum", m[1]+"_count")
		}
	}
	name := regexp.MustCompile(`\b(?:pombo|go|process)_[a-z_]+`)
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			names := name.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%q asks for no metric: %s", p.Title, target.Expr)
			}
			for _, n := range names {
				if !slices.Contains(told, n) {
					t.Errorf("%q asks for %s, which is not told", p.Title, n)
				}
				shown = append(shown, n)
			}
		}
	}
	for _, n := range told {
		if !strings.HasPrefix(n, "pombo_") || strings.HasSuffix(n, "_sum") || strings.HasSuffix(n, "_count") || n == "pombo_build_info" {
			continue
		}
		if !slices.ContainsFunc(shown, func(s string) bool { return s == n || s == n+"_bucket" }) {
			t.Errorf("%s is not on the dashboard", n)
		}
	}
}
