package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"
)

// openDatabase gives the lab a schema of its own, if it is to use PostgreSQL.
func (l *lab) openDatabase(context.Context) error {
	b := l.bench
	if b.postgres == "" {
		return nil
	}
	uri, err := url.Parse(b.postgres)
	if err != nil {
		return errors.New("-postgres is not a URL") // the cause may hold the password
	}
	b.schemas++
	l.schema = fmt.Sprintf("pombo_bench_%d_%d", os.Getpid(), b.schemas)
	l.dropSchema = func(ctx context.Context) (err error) {
		db, err := pgx.Connect(ctx, b.postgres)
		if err != nil {
			return fmt.Errorf("connecting to PostgreSQL: %w", err)
		}
		defer func() { err = errors.Join(err, db.Close(ctx)) }()
		if _, err := db.Exec(ctx, "DROP SCHEMA IF EXISTS "+l.schema+" CASCADE"); err != nil {
			return fmt.Errorf("dropping schema %s: %w", l.schema, err)
		}
		return nil
	}
	q := uri.Query()
	q.Set("schema", l.schema)
	uri.RawQuery = q.Encode()
	l.database = uri.String()
	return nil
}
