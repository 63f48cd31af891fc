package config

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestDatabaseSizes(t *testing.T) {
	for text, want := range map[string]ByteSize{
		"0": 0, "20000000": 20_000_000, "20GB": 20e9, "1.5 GiB": 3 << 29, "64m": 64 << 20, "16MB": 16e6,
	} {
		if got := load(t, "POMBO_MAX_DISK="+text).Database.MaxDisk; got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
	for _, text := range []string{"-1", "1", "many", "20 apples", "15MB", "NaN", "1e30"} {
		var bad *InvalidError
		if _, err := Load([]string{"POMBO_MAX_DISK=" + text}); !errors.As(err, &bad) {
			t.Errorf("%q is accepted: %v", text, err)
		}
	}
	delivered, dead := load(t, "POMBO_KEEP_DELIVERED_DAYS=0.5").Database.Keep()
	if delivered != 12*time.Hour || dead != 30*24*time.Hour {
		t.Errorf("kept for %v and %v", delivered, dead)
	}
}

func TestMetricsAccess(t *testing.T) {
	m := load(t, "METRICS_ALLOWED_IPS=127.0.0.1, 10.0.0.0/8,::1", "METRICS_USER=u", "METRICS_PASSWORD=p").Metrics
	want := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if !slices.Equal([]netip.Prefix(m.AllowedIPs), want) || !m.Enabled || !m.AuthRequired {
		t.Errorf("metrics: %+v", m)
	}
	for _, env := range []string{"METRICS_ALLOWED_IPS=here", "METRICS_USER=u", "METRICS_PASSWORD=p"} {
		var bad *InvalidError
		if _, err := Load([]string{env}); !errors.As(err, &bad) {
			t.Errorf("%q is accepted: %v", env, err)
		}
	}
}
