package sandbox

import (
	"net"
	"net/http"
	"time"
)

// Transport returns a RoundTripper that sends every request to the sandbox at addr ("host:port"), whatever host it
// names and whether it says http or https. Give one http.Client with it to whatsmeow's SetWebsocketHTTPClient,
// SetPreLoginHTTPClient and SetMediaHTTPClient.
//
// It speaks plain HTTP to addr and uses no proxy. The Host header keeps the name that was asked for.
func Transport(addr string) http.RoundTripper {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &transport{addr: addr, base: &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     30 * time.Second,
	}}
}

type transport struct {
	addr string
	base *http.Transport
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	if out.Host == "" {
		out.Host = r.URL.Host
	}
	out.URL.Scheme = "http"
	out.URL.Host = t.addr
	return t.base.RoundTrip(out)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }
