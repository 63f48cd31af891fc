package store

import (
	"context"
	"database/sql"
	"strconv"

	"pombo"
)

// messageID derives a delivery's webhook-id.
func (s *Store) messageID(id int64) string {
	return "msg_" + s.uid + "_" + strconv.FormatInt(id, 36)
}

const selectDelivery = `
	SELECT d.id, d.webhook_id, d.state, d.reason, d.attempts, d.next_attempt_at, d.parked, d.created_at,
		d.ended_at, d.replayed_at, d.attempts_before,
		e.id, e.instance_id, e.name, e.key, e.chat, e.sender, e.time, e.data, e.media_id, e.media_offset
	FROM pombo_delivery d JOIN pombo_event e ON e.id = d.event_id
	WHERE `

// The state is written out, not a parameter: only so do the databases see that
// the partial indexes fit.
const selectPending = selectDelivery + `d.state = 'pending' AND `

// The indexes are on id + 0; the schema says why.
const (
	pendingQuery = selectPending + `d.webhook_id = $1 AND d.id + 0 > $2 ORDER BY d.id + 0 LIMIT $3`
	laneQuery    = selectPending + `d.webhook_id = $1 AND d.instance_id = $2 AND d.chat = $3 AND d.id + 0 > $4 ORDER BY d.id + 0 LIMIT $5`
	// NOT, so that SQLite has no use for another index here.
	parkedQuery = selectPending + `d.parked AND d.webhook_id = $1 AND NOT (d.id + 0 <= $2) ORDER BY d.next_attempt_at, d.id + 0 LIMIT $3`
	afterQuery  = selectPending + `d.id > $1 ORDER BY d.id`
)

// Pending returns deliveries that are pending for a webhook, oldest first: at
// most limit, with IDs above after. They include those whose next attempt is in
// the future, and parked ones. From the start on (after is 0), everything that was
// settled before the call counts.
func (s *Store) Pending(ctx context.Context, webhookID string, after int64, limit int) ([]pombo.Delivery, error) {
	if after == 0 {
		if err := s.flushSettles(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.allRows(ctx); err != nil {
		return nil, err
	}
	after = max(after, s.hooks.Load().deadThrough[webhookID])
	return s.readPending(ctx, s.pending, webhookID, after, limit)
}

// PendingInLane is Pending for one lane of a webhook.
func (s *Store) PendingInLane(ctx context.Context, webhookID string, lane pombo.Lane, after int64, limit int) ([]pombo.Delivery, error) {
	if err := s.allRows(ctx); err != nil {
		return nil, err
	}
	after = max(after, s.hooks.Load().deadThrough[webhookID])
	return s.readPending(ctx, s.pendingInLane, webhookID, string(lane.Instance), lane.Chat, after, limit)
}

// Parked returns at most limit deliveries that are pending and parked for a
// webhook: those first whose next attempt is due first, also in the future.
// Everything that was settled before the call counts.
func (s *Store) Parked(ctx context.Context, webhookID string, limit int) ([]pombo.Delivery, error) {
	if err := s.flushSettles(ctx); err != nil {
		return nil, err
	}
	if err := s.allRows(ctx); err != nil {
		return nil, err
	}
	return s.readPending(ctx, s.parked, webhookID, s.hooks.Load().deadThrough[webhookID], limit)
}

func (s *Store) readPending(ctx context.Context, query statement, args ...any) ([]pombo.Delivery, error) {
	const doing = "reading pending deliveries"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	rows, err := query.read(ctx, s.read, args...)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	ds, err := s.scanDeliveries(rows)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	return ds, nil
}

// pendingAfter returns all pending deliveries with IDs above after.
func (s *Store) pendingAfter(ctx context.Context, q querier, hooks *registry, after int64) ([]pombo.Delivery, error) {
	rows, err := q.QueryContext(ctx, s.dialect.form(afterQuery), after)
	if err != nil {
		return nil, err
	}
	all, err := s.scanDeliveries(rows)
	if err != nil {
		return nil, err
	}
	pending := all[:0]
	for _, d := range all {
		if hooks.judge(&d); d.State == pombo.Pending {
			pending = append(pending, d)
		}
	}
	return pending, nil
}

func (s *Store) scanDeliveries(rows *sql.Rows) ([]pombo.Delivery, error) {
	defer rows.Close()
	var ds []pombo.Delivery
	for rows.Next() {
		var d pombo.Delivery
		e := &d.Event
		var next, created, ended, replayed, at sql.NullInt64
		var data []byte
		err := rows.Scan(&d.ID, &d.WebhookID, &d.State, &d.Reason, &d.Attempts, &next, &d.Parked, &created,
			&ended, &replayed, &d.AttemptsBefore,
			&e.ID, &e.Instance, &e.Name, &e.Key, &e.Chat, &e.Sender, &at, &data,
			&e.Attachment.ID, &e.Attachment.Offset)
		if err != nil {
			return nil, err
		}
		d.MessageID = s.messageID(d.ID)
		d.NextAttempt, d.CreatedAt = fromMillis(next), fromMillis(created)
		d.EndedAt, d.ReplayedAt = fromMillis(ended), fromMillis(replayed)
		e.Time, e.Data = fromMillis(at), data
		ds = append(ds, d)
	}
	return ds, rows.Err()
}

// CountPending returns how many deliveries are pending for a webhook; it stops
// counting at limit.
func (s *Store) CountPending(ctx context.Context, webhookID string, limit int) (int, error) {
	const doing = "counting pending deliveries"
	if err := s.askFault("read"); err != nil {
		return 0, unavailable(doing, err)
	}
	if err := s.allRows(ctx); err != nil {
		return 0, err
	}
	var n int
	err := s.read.QueryRowContext(ctx, s.dialect.form(`
		SELECT COUNT(*) FROM (SELECT 1 FROM pombo_delivery WHERE state = 'pending' AND webhook_id = $1 AND id + 0 > $2 LIMIT $3) AS first`),
		webhookID, s.hooks.Load().deadThrough[webhookID], limit).Scan(&n)
	if err != nil {
		return 0, readError(ctx, doing, err)
	}
	return n, nil
}

// WebhooksWithPending returns the IDs of the webhooks that have deliveries
// pending, in order.
func (s *Store) WebhooksWithPending(ctx context.Context) ([]string, error) {
	const doing = "reading which webhooks have deliveries pending"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	if err := s.allRows(ctx); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT w.id FROM pombo_webhook w
		WHERE EXISTS (SELECT 1 FROM pombo_delivery d WHERE d.webhook_id = w.id AND d.state = 'pending' AND d.id + 0 > w.dead_through)
		ORDER BY w.id`)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, readError(ctx, doing, err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(ctx, doing, err)
	}
	return ids, nil
}
