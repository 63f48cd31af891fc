package dispatch

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"pombo"
)

func TestGuard(t *testing.T) {
	for address, want := range map[string]struct{ open, strict bool }{
		"93.184.216.34":            {true, true},
		"2606:2800:220:1::1":       {true, true},
		"127.0.0.1":                {true, false},
		"0.0.0.0":                  {true, false},
		"::":                       {true, false},
		"::1":                      {true, false},
		"10.1.2.3":                 {true, false},
		"172.16.0.1":               {true, false},
		"192.168.1.1":              {true, false},
		"100.64.0.1":               {true, false},
		"fd12::1":                  {true, false},
		"::ffff:10.0.0.1":          {true, false},
		"64:ff9b::10.0.0.1":        {true, false},
		"64:ff9b::93.184.216.34":   {true, true},
		"2002:0a00:0001::1":        {true, false},
		"::10.0.0.1":               {true, false},
		"169.254.169.254":          {false, false},
		"::ffff:169.254.169.254":   {false, false},
		"64:ff9b::169.254.169.254": {false, false},
		"2002:a9fe:a9fe::1":        {false, false},
		"fe80::1":                  {false, false},
		"fe80::1%eth0":             {false, false},
		"fd00:ec2::254":            {false, false},
		"100.100.100.200":          {false, false},
		"224.0.0.1":                {false, false},
	} {
		a := netip.MustParseAddr(address)
		if got := !(guard{}).blocked(a); got != want.open {
			t.Errorf("%s is allowed: %v, want %v", address, got, want.open)
		}
		if got := !(guard{blockPrivate: true}).blocked(a); got != want.strict {
			t.Errorf("with private addresses blocked, %s is allowed: %v, want %v", address, got, want.strict)
		}
	}
}

// The guard looks at what is connected to, however it was spelled, also after a
// redirect; and the attempt says so.
func TestGuardOnTheWay(t *testing.T) {
	reached := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	port := srv.URL[strings.LastIndex(srv.URL, ":"):]
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/", http.StatusTemporaryRedirect)
	}))
	defer redirect.Close()
	for url, private := range map[string]bool{
		srv.URL: true, "http://localhost" + port: true, "http://[::ffff:127.0.0.1]" + port: true,
		"http://169.254.169.254/": false, redirect.URL: false,
	} {
		a := outcomeOf(t, url, Options{BlockPrivate: private}, nil, nil)
		if a.ErrorCode != codeBlocked || a.State != pombo.Pending {
			t.Errorf("%s: %q (%s), %s", url, a.ErrorCode, a.Error, a.State)
		}
	}
	if reached {
		t.Error("a blocked endpoint was reached")
	}
}
