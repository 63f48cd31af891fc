package evolution

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"pombo"
)

// ErrorBody is the body of an answer that tells of an error:
// {"status","error","response":{"message"}}. The message is an array, of the
// error's sentence or of its detail, save that 401 without a detail has a string
// and a detail that is an array stands for itself. Errors that are not meant for the caller
// are told as such, without their text.
func ErrorBody(status int, err error) json.RawMessage {
	var message any
	var e *pombo.Error
	switch {
	case status == http.StatusUnauthorized && (!errors.As(err, &e) || e.Detail == nil):
		message = "Unauthorized"
	case !errors.As(err, &e):
		message = []string{"Internal server error: the server's log tells more"}
	case e.Detail != nil:
		message = e.Detail
	default:
		message = []string{e.Message}
	}
	body, failed := encode(ordered{
		{"status", status},
		{"error", http.StatusText(status)},
		{"response", ordered{{"message", message}}},
	})
	if failed != nil { // a detail that is not JSON
		return ErrorBody(status, &pombo.Error{Message: e.Message})
	}
	return body
}

// ErrorReport is what is posted about an error that the API answered with, body being
// its answer: {"event":"error","data":{"error","message","status","response"},
// "date_time","api_key","server_url"}. The original sends the global key as api_key;
// here it is null.
func ErrorReport(status int, body json.RawMessage, serverURL string, at time.Time) json.RawMessage {
	var answer struct {
		Response struct{ Message json.RawMessage }
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Response.Message == nil {
		answer.Response.Message = json.RawMessage("null")
	}
	o := ordered{
		{"event", "error"},
		{"data", ordered{
			{"error", http.StatusText(status)}, {"message", answer.Response.Message}, {"status", status},
			{"response", ordered{{"message", answer.Response.Message}}},
		}},
		{"date_time", timestamp(at)},
		{"api_key", nil},
	}
	if serverURL != "" {
		o = append(o, member{"server_url", serverURL})
	}
	return raw(o)
}

// NoRoute is the message for a path or method that is not served, in the words
// that Express uses. target is the request's path with its query string.
func NoRoute(method, target string) error {
	return pombo.Errorf(pombo.NotFound, "Cannot %s %s", method, target)
}
