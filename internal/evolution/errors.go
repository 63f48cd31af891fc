package evolution

import (
	"encoding/json"
	"errors"
	"net/http"

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

// NoRoute is the message for a path or method that is not served, in the words
// that Express uses. target is the request's path with its query string.
func NoRoute(method, target string) error {
	return pombo.Errorf(pombo.NotFound, "Cannot %s %s", method, target)
}
