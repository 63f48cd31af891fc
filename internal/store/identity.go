package store

import (
	"context"
	"database/sql"
	"errors"

	"pombo"
)

// Identity returns the name and the token of an instance, be it living or
// deleted: the events of its deletion tell them too. ok is false if it never
// was, or its rows are gone.
func (s *Store) Identity(ctx context.Context, id pombo.InstanceID) (name, token string, ok bool, err error) {
	const doing = "reading an instance"
	if err := s.askFault("read"); err != nil {
		return "", "", false, unavailable(doing, err)
	}
	err = s.read.QueryRowContext(ctx, s.dialect.form(`SELECT name, token FROM pombo_instance WHERE id = $1`), string(id)).Scan(&name, &token)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", false, nil
	}
	if err != nil {
		return "", "", false, readError(ctx, doing, err)
	}
	return name, token, true, nil
}
