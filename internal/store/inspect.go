package store

import (
	"context"
	"database/sql"
	"time"

	"pombo"
)

// Delivery returns a delivery in whatever state it is; ok is false if there is
// none with this ID.
func (s *Store) Delivery(ctx context.Context, id int64) (d pombo.Delivery, ok bool, err error) {
	const doing = "reading a delivery"
	if err := s.askFault("read"); err != nil {
		return d, false, unavailable(doing, err)
	}
	if err := s.mostRows(ctx); err != nil {
		return d, false, err
	}
	rows, err := s.read.QueryContext(ctx, s.dialect.form(selectDelivery+`d.id = $1`), id)
	if err != nil {
		return d, false, readError(ctx, doing, err)
	}
	ds, err := s.scanDeliveries(rows)
	if err != nil {
		return d, false, readError(ctx, doing, err)
	}
	if len(ds) == 0 {
		return d, false, nil
	}
	s.hooks.Load().judge(&ds[0])
	return ds[0], true, nil
}

// Attempts returns the recorded attempts of a delivery, first to last. What
// became of the delivery is not recorded with each: the State of all but the
// last is pending, and of the last, it is the delivery's.
func (s *Store) Attempts(ctx context.Context, delivery int64) ([]pombo.Attempt, error) {
	const doing = "reading attempts"
	d, ok, err := s.Delivery(ctx, delivery)
	if err != nil || !ok {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, s.dialect.form(`
		SELECT number, at, duration_us, address, status, error_code, error, response
		FROM pombo_attempt WHERE delivery_id = $1 ORDER BY number`), delivery)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	defer rows.Close()
	var all []pombo.Attempt
	for rows.Next() {
		a := pombo.Attempt{Delivery: delivery, State: pombo.Pending}
		var at sql.NullInt64
		var us int64
		err := rows.Scan(&a.Number, &at, &us, &a.Address, &a.Status, &a.ErrorCode, &a.Error, &a.Response)
		if err != nil {
			return nil, readError(ctx, doing, err)
		}
		a.At, a.Duration = fromMillis(at), time.Duration(us)*time.Microsecond
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(ctx, doing, err)
	}
	if n := len(all); n > 0 {
		last := &all[n-1]
		last.State, last.Reason, last.NextAttempt, last.Parked = d.State, d.Reason, d.NextAttempt, d.Parked
	}
	return all, nil
}

// Ping tells whether the database answers and, as far as the last write could
// tell, can be written. The error is of kind Unavailable.
func (s *Store) Ping(ctx context.Context) error {
	s.errMu.Lock()
	err := s.err
	s.errMu.Unlock()
	if err == nil {
		err = s.room()
	}
	if err == nil {
		err = s.read.PingContext(ctx)
	}
	if err != nil {
		return unavailable("asking the database", err)
	}
	return nil
}
