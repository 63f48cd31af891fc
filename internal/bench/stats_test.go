package main

import (
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 2, 100}, 3},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for p, want := range map[float64]time.Duration{0: 1, 1: 1, 50: 50, 99: 99, 99.5: 100, 100: 100} {
		if got := percentile(hundred, p); got != want {
			t.Errorf("percentile %v of 1…100 is %d, want %d", p, got, want)
		}
	}
	if got := percentile([]time.Duration{3}, 99); got != 3 {
		t.Errorf("percentile of one value is %d", got)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.01234: "0.0123", 0.5: "0.500", 3.14159: "3.14", 41.26: "41.3", 812.6: "813", 12345: "12345",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestReport(t *testing.T) {
	var r report
	r.machine = "A machine."
	r.add("rate", "messages/s", goal{least: 500}, 600, 400, 550)
	r.fsyncs = []float64{900, 1000, 1100}
	r.add("latency", "ms", goal{most: 5}, 6.5)
	r.add("nothing", "ms", goal{})
	r.fsyncs = nil
	r.add("plain", "MB", goal{}, 42)
	var b strings.Builder
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	want := `A machine.

| figure | unit | median [min–max] | runs | goal | | fsync/s |
|---|---|---:|---:|---:|---|---:|
| rate | messages/s | 550 [400–600] | 3 | ≥ 500 | met |  |
| latency | ms | 6.50 | 1 | ≤ 5 | missed | 1000 [900–1100] |
| plain | MB | 42.0 | 1 |  |  |  |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
