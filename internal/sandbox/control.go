package sandbox

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxBody is how many bytes a control request may have.
const maxBody = 16 << 20

// controlRoutes is the side of whoever plays the phones. Each route calls the method of Server that has its name.
func (s *Server) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sandbox/root-key", func(w http.ResponseWriter, _ *http.Request) {
		key := s.RootKey()
		s.answer(w, http.StatusOK, map[string]string{"rootKey": base64.StdEncoding.EncodeToString(key[:])})
	})
	s.groupRoutes(mux)
	mux.Handle("POST /sandbox/scan", post(s, http.StatusOK, s.Scan))
	mux.Handle("POST /sandbox/contacts", post(s, http.StatusCreated, s.AddContact))
	mux.Handle("POST /sandbox/messages", post(s, http.StatusCreated, s.SendMessage))
	mux.Handle("POST /sandbox/faults", post(s, http.StatusOK, s.SetFault))
	mux.Handle("POST /sandbox/logout", post(s, http.StatusOK, s.Logout))
	mux.Handle("POST /sandbox/presence", post(s, http.StatusOK, s.SendPresence))
	mux.Handle("POST /sandbox/messages/{id}/receipts", postTo(s, http.StatusCreated, func(ctx context.Context, id string, r ReceiptRequest) (struct{}, error) {
		r.ID = id
		return struct{}{}, s.SendReceipt(ctx, r)
	}))
	mux.Handle("GET /sandbox/messages", get(s, func(r *http.Request) ([]Message, error) {
		query := r.URL.Query()
		return s.Messages(r.Context(), MessagesRequest{Number: query.Get("number"), Direction: query.Get("direction")})
	}))
	mux.Handle("GET /sandbox/confirmed", get(s, func(r *http.Request) ([]Confirmation, error) {
		return s.Confirmed(r.Context(), r.URL.Query().Get("number"))
	}))
	mux.Handle("GET /sandbox/violations", get(s, func(r *http.Request) ([]Violation, error) { return s.Violations(r.Context()) }))
	mux.Handle("GET /sandbox/state", get(s, func(r *http.Request) (State, error) { return s.State(r.Context()) }))
	s.accountRoutes(mux)
	s.scenarioRoutes(mux)
	mux.HandleFunc("/sandbox/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, errorf(NotFound, "The sandbox has no %s %s: docs/sandbox.md lists its routes", r.Method, r.URL.Path))
	})
	return mux
}

// get makes a handler of a function that reads.
func get[A any](s *Server, fn func(*http.Request) (A, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := fn(r)
		if err != nil {
			s.fail(w, err)
			return
		}
		s.answer(w, http.StatusOK, answer)
	})
}

// post makes a handler of a function that takes a JSON object.
func post[R, A any](s *Server, status int, fn func(context.Context, R) (A, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request R
		if err := decode(w, r, &request); err != nil {
			s.fail(w, err)
			return
		}
		answer, err := fn(r.Context(), request)
		if err != nil {
			s.fail(w, err)
			return
		}
		s.answer(w, status, answer)
	})
}

// decode reads a JSON object, and says what is wrong with one that is not right.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return errorf(Invalid, "The body could not be read: %v", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errorf(Invalid, "The body is empty: send a JSON object")
		}
		return errorf(Invalid, "The body is not the JSON object that this route takes (near byte %d): %v", decoder.InputOffset(), err)
	}
	if decoder.More() {
		return errorf(Invalid, "The body goes on after its JSON object, at byte %d", decoder.InputOffset())
	}
	return nil
}

func (s *Server) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		s.log.Debug("An answer could not be written", "error", err)
	}
}

// errorBody is the form of error answers.
type errorBody struct {
	Status   int    `json:"status"`
	Error    string `json:"error"`
	Response struct {
		Message []string `json:"message"`
	} `json:"response"`
}

var statusOf = map[Kind]int{Invalid: http.StatusBadRequest, NotFound: http.StatusNotFound, Conflict: http.StatusConflict}

func (s *Server) fail(w http.ResponseWriter, err error) {
	body := errorBody{Status: statusOf[KindOf(err)]}
	if body.Status == 0 {
		body.Status = http.StatusInternalServerError
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			body.Status = http.StatusServiceUnavailable
		}
		s.log.Error("A control call failed", "error", err)
	}
	body.Error = http.StatusText(body.Status)
	body.Response.Message = []string{fmt.Sprint(err)}
	s.answer(w, body.Status, body)
}
