package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"pombo"
	"pombo/internal/evolution"
)

type server struct {
	Options
	dialect evolution.Dialect
	log     *slog.Logger
	key     keySum
	mux     *http.ServeMux
}

// New returns the handler of the whole API.
func New(o Options) http.Handler {
	s := &server{Options: o, dialect: evolution.V2, log: o.Logger, key: sum(o.GlobalKey), mux: http.NewServeMux()}
	if o.Dialect == int(evolution.V1) {
		s.dialect = evolution.V1
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, r := range routes() {
		s.mux.Handle(pattern(r), s.serve(r))
	}
	s.mux.HandleFunc("GET "+mediaPath, s.media)
	if o.Sandbox != nil {
		s.mux.Handle("/sandbox", s.guarded(o.Sandbox))
		s.mux.Handle("/sandbox/", s.guarded(o.Sandbox))
	}
	if o.Metrics != nil {
		s.mux.Handle("GET /metrics", s.metrics(o.Metrics))
	}
	s.mux.HandleFunc("/", s.noRoute)
	return s
}

// pattern is a route's pattern in the mux, which sees paths in lower case.
func pattern(r route) string {
	path := strings.ToLower(r.path)
	if path == "/" {
		path = "/{$}"
	}
	return r.method + " " + path
}

type dialectKey struct{}

// ServeHTTP answers a request. Panics of handlers become a 500.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	rec := &recorder{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil {
			s.recovered(rec, r, p)
		}
		s.log.Debug("request", "method", r.Method, "path", r.URL.EscapedPath(), "status", rec.status,
			"bytes", rec.bytes, "duration", time.Since(started), "remote", r.RemoteAddr)
	}()
	if s.cors(rec, r) {
		return
	}
	inner, found := s.canonical(r)
	if !found {
		s.noRoute(rec, r)
		return
	}
	s.mux.ServeHTTP(rec, inner)
}

// recovered answers a request whose handler panicked, if it still can.
func (s *server) recovered(w *recorder, r *http.Request, p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it in the same way
		panic(p) //nolint:forbidigo // how net/http is told to cut the connection without a log line
	}
	s.log.Error("a handler panicked", "method", r.Method, "path", r.URL.EscapedPath(), "panic", p, "stack", string(debug.Stack()))
	if w.status == 0 {
		s.write(w, answer{status: http.StatusInternalServerError, body: evolution.ErrorBody(http.StatusInternalServerError, nil)})
	}
}

// canonical returns r with its path as the mux knows it: without a prefix that
// chooses the dialect, without empty segments (clients write "/path/?query",
// and base addresses that end with a slash), and with the fixed segments in
// lower case, since the original does not care. It returns false for a path
// that no route can have.
func (s *server) canonical(r *http.Request) (*http.Request, bool) {
	dialect := s.dialect
	segments := strings.FieldsFunc(r.URL.EscapedPath(), func(c rune) bool { return c == '/' })
	if len(segments) > 0 {
		switch strings.ToLower(segments[0]) {
		case "v1":
			dialect, segments = evolution.V1, segments[1:]
		case "v2":
			dialect, segments = evolution.V2, segments[1:]
		}
	}
	fixed := 2
	if len(segments) > 0 && strings.EqualFold(segments[0], "sandbox") {
		fixed = 1
	}
	for i := range segments {
		if i < fixed {
			segments[i] = strings.ToLower(segments[i])
		}
		plain, err := url.PathUnescape(segments[i])
		if err != nil || plain == "." || plain == ".." || i < fixed && strings.Contains(plain, "/") {
			return nil, false
		}
	}
	u := *r.URL
	u.RawPath = "/" + strings.Join(segments, "/")
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, false
	}
	inner := r.WithContext(context.WithValue(r.Context(), dialectKey{}, dialect))
	inner.URL = &u
	return inner, true
}

// noRoute answers what no route matches, in the original's words. A path that
// is right but for its method is no different there; here the answer names the
// method that the path takes.
func (s *server) noRoute(w http.ResponseWriter, r *http.Request) {
	target := r.URL.RequestURI()
	if original, _, _ := strings.Cut(r.RequestURI, "#"); original != "" {
		target = original // as it came, before canonical
	}
	err := evolution.NoRoute(r.Method, target)
	if allowed := s.allowed(r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		err = withHint(err, "This path takes "+strings.Join(allowed, " or "))
	}
	s.write(w, answer{status: http.StatusNotFound, body: evolution.ErrorBody(http.StatusNotFound, err)})
}

func withHint(err error, hint string) error {
	e := pombo.Errorf(pombo.KindOf(err), "%w", err)
	e.Detail = []string{err.Error(), hint}
	return e
}

// allowed returns the methods that have a route at r's path.
func (s *server) allowed(r *http.Request) []string {
	inner, found := s.canonical(r)
	if !found {
		return nil
	}
	var methods []string
	for _, m := range []string{"GET", "POST", "PUT", "DELETE"} {
		other := *inner
		other.Method = m
		if _, pattern := s.mux.Handler(&other); pattern != "/" && pattern != "" {
			methods = append(methods, m)
		}
	}
	return methods
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status, bytes int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
