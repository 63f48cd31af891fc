package httpapi

import (
	"net/http"
	"slices"
	"strings"
)

var defaultMethods = []string{"GET", "POST", "PUT", "DELETE"}

// cors sets the headers that let web pages of other origins read the answer. It
// answers OPTIONS, the question whether they may, by itself and then returns
// true.
func (s *server) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	h, origin := w.Header(), r.Header.Get("Origin")
	every := slices.Contains(s.CORS.Origins, "*")
	if !every || s.CORS.Credentials {
		h.Add("Vary", "Origin")
	}
	allowed := origin != "" && (every || slices.ContainsFunc(s.CORS.Origins, func(o string) bool { return strings.EqualFold(o, origin) }))
	if allowed {
		h.Set("Access-Control-Allow-Origin", "*")
		if !every || s.CORS.Credentials {
			h.Set("Access-Control-Allow-Origin", origin)
		}
		if s.CORS.Credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		h.Set("Access-Control-Expose-Headers", "X-Pombo-Warning, Retry-After")
	}
	if r.Method != http.MethodOptions {
		return false
	}
	if allowed {
		methods := s.CORS.Methods
		if len(methods) == 0 {
			methods = defaultMethods
		}
		h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
			h.Add("Vary", "Access-Control-Request-Headers")
		}
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
