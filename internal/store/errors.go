package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"pombo"
)

// ErrUnavailable is in the tree of every error that says that the database, not
// the request, is at fault: a full disk, a lost connection, a closed store. The
// same call can succeed later, and can be repeated safely. The kind of such an
// error is pombo.Unavailable.
var ErrUnavailable = errors.New("the database is not available")

var errClosed = fmt.Errorf("%w: the store is closed", ErrUnavailable)

// unavailable makes an error of kind Unavailable of one that the database gave.
func unavailable(doing string, err error) error {
	if !errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return pombo.Errorf(pombo.Unavailable, "%s: %w", doing, err)
}

// readError tells apart a caller who gave up from a database that failed.
func readError(ctx context.Context, doing string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	return unavailable(doing, err)
}

// refusal tells whether err is an answer for one operation's caller, found
// before that operation wrote anything: the transaction can go on.
func refusal(err error) bool {
	var e *pombo.Error
	return errors.As(err, &e) && e.Kind != pombo.Unavailable
}

// ownFault tells whether the database refused a statement for what it says
// (a constraint, a value out of range) and would refuse it again, rather than
// for the state the database is in.
func ownFault(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff { // the low byte is the primary result code
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
			return true
		}
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && len(pg.Code) == 5 {
		// Class 22 is data exceptions, class 23 integrity constraint violations,
		// class 54 program limits (an index row too large).
		class := pg.Code[:2]
		return class == "22" || class == "23" || class == "54"
	}
	return false
}
