package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"pombo"
)

// MetricsAccess says who may read GET /metrics.
type MetricsAccess struct {
	// Public lets everybody read.
	Public bool
	// User and Password open it by HTTP Basic authentication, beside the global key;
	// with "" for either, they do not.
	User, Password string
	// Addresses, if there are any, are those of the only clients that may read.
	Addresses []netip.Prefix
}

// metrics lets those through to h who may read the metrics. The global key is
// taken from the header apikey, as a bearer token, or as the password of Basic
// authentication, since a Prometheus server can send only the latter two.
func (s *server) metrics(h http.Handler) http.Handler {
	a := s.MetricsAccess
	user, password := sum(a.User), sum(a.Password)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.from(r.RemoteAddr) {
			s.fail(w, r, pombo.Errorf(pombo.Forbidden, "This address may not read the metrics (METRICS_ALLOWED_IPS)"))
			return
		}
		allowed := a.Public || s.isGlobalKey(r.Header.Get("apikey"))
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			allowed = allowed || s.isGlobalKey(token)
		}
		if u, p, ok := r.BasicAuth(); ok {
			own := a.User != "" && a.Password != "" && user.equal(sum(u)) && password.equal(sum(p))
			allowed = allowed || own || s.isGlobalKey(p)
		}
		if !allowed {
			w.Header().Set("WWW-Authenticate", `Basic realm="metrics"`)
			s.fail(w, r, errUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *server) isGlobalKey(key string) bool {
	return s.GlobalKey != "" && key != "" && sum(key).equal(s.key)
}

func (a MetricsAccess) from(remote string) bool {
	if len(a.Addresses) == 0 {
		return true
	}
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range a.Addresses {
		if p.Contains(addr.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}
