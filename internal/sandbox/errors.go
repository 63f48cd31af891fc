package sandbox

import (
	"errors"
	"fmt"
)

// Kind says whose fault an error is and so which HTTP status Control answers with.
type Kind string

// The kinds of error that callers can cause. Everything else is internal.
const (
	Invalid  Kind = "invalid"   // 400: the request makes no sense
	NotFound Kind = "not found" // 404: it names something that does not exist
	Conflict Kind = "conflict"  // 409: it makes sense, but not in the present state
)

// Error is an error that the caller caused, with a sentence that says what to do.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Message }

func errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of an error that the caller caused, or "" for any other error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
