package pombo

import (
	"errors"
	"fmt"
)

// Kind classifies an error by what the caller can do about it. httpapi holds
// the one table that maps kinds to HTTP statuses.
type Kind int

// The kinds of errors.
const (
	Internal     Kind = iota // ours: a bug or a broken machine; 500
	Invalid                  // the request is wrong; 400
	Unauthorized             // no key or a wrong one; 401
	Forbidden                // a right key without the right, or a taken name; 403
	NotFound                 // no such instance, message, …; 404
	Conflict                 // at odds with the present state; 409
	TooLarge                 // the request's body is over the limit; 413
	Unavailable              // it will work later: store down, WhatsApp not reachable; 503
)

// Error is an error meant for the caller. Its message says what to do.
type Error struct {
	Kind    Kind
	Message string
	// Detail, if set, is answered in place of Message: some answers of the
	// Evolution API carry objects, such as [{"exists":false,…}].
	Detail any
	cause  error
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the error that was formatted with %w, if any.
func (e *Error) Unwrap() error { return e.cause }

// Errorf makes an Error of the given kind. It understands %w.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), cause: errors.Unwrap(err)}
}

// KindOf returns the kind of the first Error in err's tree, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
