package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pombo"
	"pombo/internal/evolution"
)

// maxBody is how long a request's body may be, in bytes.
const maxBody = 1 << 20

// statuses is the one table that maps kinds of errors to HTTP statuses.
var statuses = map[pombo.Kind]int{
	pombo.Internal:     http.StatusInternalServerError,
	pombo.Invalid:      http.StatusBadRequest,
	pombo.Unauthorized: http.StatusUnauthorized,
	pombo.Forbidden:    http.StatusForbidden,
	pombo.NotFound:     http.StatusNotFound,
	pombo.Conflict:     http.StatusConflict,
	pombo.TooLarge:     http.StatusRequestEntityTooLarge,
	pombo.Unavailable:  http.StatusServiceUnavailable,
}

// serve is what all routes have in common: the key is checked first, then that
// the instance exists, then the body is read; the handler's answer or error is
// encoded last.
func (s *server) serve(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		a, err := s.answer(r, w, req)
		if err != nil {
			s.fail(w, req, err)
			return
		}
		s.write(w, a)
	})
}

func (s *server) answer(r route, w http.ResponseWriter, req *http.Request) (answer, error) {
	c := &call{Request: req, dialect: s.dialect}
	if d, ok := req.Context().Value(dialectKey{}).(evolution.Dialect); ok {
		c.dialect = d
	}
	if err := s.authorize(r.access, c); err != nil {
		return answer{}, err
	}
	if r.body {
		var err error
		if c.body, err = readBody(w, req); err != nil {
			return answer{}, err
		}
	}
	unhurried(w)
	return r.handle(s, c)
}

// unhurried lets the handling of a request, which has been read, take longer than
// the server allows for reading it: otherwise net/http would take the end of that
// time for the client's leaving.
func unhurried(w http.ResponseWriter) {
	// What cannot do so has no such limit either: a recorder, in tests.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// readBody reads a body whatever its content type says: clients forget it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, pombo.Errorf(pombo.TooLarge, "The body is larger than %d bytes (1 MiB), which is the most that is read", maxBody)
	case err != nil:
		return nil, pombo.Errorf(pombo.Invalid, "The body could not be read to its end: %w", err)
	}
	return body, nil
}

// fail answers with an error. What is our fault is logged.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, known := statuses[pombo.KindOf(err)]
	if !known {
		status = http.StatusInternalServerError
	}
	switch {
	case r.Context().Err() != nil && errors.Is(err, context.Canceled):
		// The client is gone; the status is for the log of requests.
		status = http.StatusServiceUnavailable
	case status == http.StatusServiceUnavailable:
		s.log.Warn("a request was refused for now", "method", r.Method, "path", r.URL.EscapedPath(), "err", err)
	case status >= 500:
		s.log.Error("a request failed", "method", r.Method, "path", r.URL.EscapedPath(), "err", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	s.write(w, answer{status: status, body: evolution.ErrorBody(status, err)})
}

// write sends an answer: always JSON, never cached.
func (s *server) write(w http.ResponseWriter, a answer) {
	if a.file != nil {
		s.writeFile(w, a)
		return
	}
	s.writeHead(w, a, int64(len(a.body)))
	if _, err := w.Write(a.body); err != nil {
		s.log.Debug("an answer was not sent", "err", err)
	}
}

// writeHead sends the status and the headers of an answer of so many bytes.
func (s *server) writeHead(w http.ResponseWriter, a answer, size int64) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if len(a.warnings) > 0 {
		h.Set("X-Pombo-Warning", headerText(a.warnings))
	}
	w.WriteHeader(a.status)
}

// maxWarnings is how many warnings an answer tells in full.
const maxWarnings = 10

// headerText joins warnings to a text that a header can hold: printable ASCII,
// of bounded length.
func headerText(warnings []string) string {
	text := strings.Join(warnings[:min(len(warnings), maxWarnings)], "; ")
	if more := len(warnings) - maxWarnings; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	quoted := strconv.QuoteToASCII(text) // escapes what a header cannot hold
	text = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	return text[:min(len(text), 4000)]
}

// mustJSON encodes values that always can be.
func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}
