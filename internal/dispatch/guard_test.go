package dispatch

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
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
		"192.0.0.192":              {false, false},
		"168.63.129.16":            {false, false},
		"fd20:ce::254":             {false, false},
		// NAT64 for local use, with prefixes of 96, 48, 56 and 64 bits.
		"64:ff9b:1::a9fe:a9fe":        {false, false},
		"64:ff9b:1:a9fe:a9:fe00::":    {false, false},
		"64:ff9b:1:a9:fe:a9fe::":      {false, false},
		"64:ff9b:1:0:a9:fea9:fe00::":  {false, false},
		"64:ff9b:1::10.0.0.1":         {true, false},
		"64:ff9b:1::93.184.216.34":    {true, false}, // not a public range
		"2001:0:a9fe:a9fe::1":         {false, false},
		"2001:0:5db8:d822::5601:5601": {false, false}, // Teredo of 169.254.169.254
		"2001:0:5db8:d822::f5ff:fffe": {true, false},  // Teredo of 10.0.0.1
		"2001:0:5db8:d822::a247:27dd": {true, true},
		"::ffff:0:169.254.169.254":    {false, false},
		"::169.254.169.254":           {false, false},
		"fe80::5efe:10.0.0.1":         {false, false},
		"2600::5efe:169.254.169.254":  {false, false},
		"2600::200:5efe:10.0.0.1":     {true, false},
		"2002:5db8:d822::1":           {true, true},
		"0.1.2.3":                     {true, false},
		"198.18.0.1":                  {true, false},
		"255.255.255.255":             {true, false},
		"fec0::1":                     {true, false},
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
		srv.URL: true, "http://localhost" + port: true, "http://2130706433" + port: true, "http://0x7f.1" + port: true,
		"http://0177.0.0.1" + port: true, "http://2852039166/": false, "http://0xa9fea9fe/": false, "http://0251.0376.43518/": false,
		"http://[64:ff9b::a9fe:a9fe]/": false, "http://[2002:a9fe:a9fe::1]/": false, "http://[::ffff:127.0.0.1]" + port: true,
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

// A name that resolves to something else the second time is judged by what is
// connected to.
func TestGuardAgainstRebinding(t *testing.T) {
	answers := []string{"127.0.0.1", "169.254.169.254"}
	var mu sync.Mutex
	g := guard{}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		ip := answers[0]
		answers = answers[len(answers)-1:]
		mu.Unlock()
		return (&net.Dialer{Control: g.control}).DialContext(ctx, network, net.JoinHostPort(ip, port))
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") }))
	defer srv.Close()
	url := "http://rebind.test" + srv.URL[strings.LastIndex(srv.URL, ":"):]
	done(200).check(t, outcomeOf(t, url, Options{}, dial, nil))
	retry(0, codeBlocked).check(t, outcomeOf(t, url, Options{}, dial, nil))
}

func TestBlockedLiteral(t *testing.T) {
	for host, want := range map[string]struct{ open, strict bool }{
		"example.com": {}, "n8n": {}, "93.184.216.34": {}, "1572395042": {}, "999.1.1.1": {}, "1.2.3.4.5": {}, "0x": {false, true},
		"169.254.169.254": {true, true}, "2852039166": {true, true}, "0xA9FEA9FE": {true, true}, "0xa9.0376.0251.254": {true, true},
		"169.254.43518": {true, true}, "169.16689662": {true, true}, "[fe80::1]": {true, true}, "[::ffff:169.254.169.254]": {true, true},
		"::ffff:a9fe:a9fe": {true, true}, "169.254.169.254.": {true, true}, "fd00:ec2::254": {true, true},
		"127.0.0.1": {false, true}, "127.1": {false, true}, "2130706433": {false, true}, "017700000001": {false, true}, "0": {false, true},
		"localhost": {false, true}, "LocalHost.": {false, true}, "x.localhost": {false, true}, "10.0.0.1": {false, true}, "[fd12::1]": {false, true},
		"": {}, ".": {}, "[": {}, "4294967296": {}, "256.1": {}, "08.1.1.1": {},
	} {
		for private, blocked := range map[bool]bool{false: want.open, true: want.strict} {
			reason, got := BlockedLiteral(host, private)
			if got != blocked || (reason != "") != got {
				t.Errorf("%q with WEBHOOK_BLOCK_PRIVATE=%v is blocked: %v (%s)", host, private, got, reason)
			}
		}
	}
}
