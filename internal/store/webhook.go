package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"pombo"
)

// PutWebhook stores w as the webhook of its instance, and returns it as stored:
// an instance's first webhook is given an ID, a changed one keeps its ID and
// CreatedAt. It is in force for every event that is appended after it. A changed
// URL applies to what is pending too; with Enabled false, what is pending becomes
// dead: disabled in the same transaction.
//
// Errors: Invalid without an instance (the global webhook comes from Options),
// NotFound if there is no living instance, Unavailable.
func (s *Store) PutWebhook(ctx context.Context, w pombo.Webhook) (pombo.Webhook, error) {
	if w.Instance == "" {
		return pombo.Webhook{}, pombo.Errorf(pombo.Invalid, "a webhook needs an instance: the global one is set by WEBHOOK_GLOBAL_URL")
	}
	op, err := newPutWebhook(copyWebhook(w))
	if err != nil {
		return pombo.Webhook{}, err
	}
	if err := s.submit(ctx, op.name(), op); err != nil {
		return pombo.Webhook{}, err
	}
	return copyWebhook(op.hook), nil
}

// putWebhookOp stores hook, which afterwards is as stored.
type putWebhookOp struct {
	hook            pombo.Webhook
	events, headers string
}

func newPutWebhook(w pombo.Webhook) (*putWebhookOp, error) {
	op := &putWebhookOp{hook: w}
	events, headers := w.Events, w.Headers
	if events == nil {
		events = []pombo.EventName{}
	}
	if headers == nil {
		headers = map[string]string{}
	}
	var err error
	if op.events, err = encode(events); err != nil {
		return nil, err
	}
	op.headers, err = encode(headers)
	return op, err
}

func (*putWebhookOp) name() string { return "put webhook" }

func (*putWebhookOp) weight() (events, bytes int) { return 1, 0 }

func (op *putWebhookOp) apply(ctx context.Context, t *txn) error {
	if err := t.living(ctx, op.hook.Instance); err != nil {
		return err
	}
	return op.put(ctx, t)
}

// put writes the row and puts the webhook in force.
func (op *putWebhookOp) put(ctx context.Context, t *txn) error {
	w := copyWebhook(op.hook)
	old, exists := t.hooks.byInstance[w.Instance]
	var instance any = string(w.Instance)
	if w.Instance == "" {
		w.ID, instance = pombo.GlobalWebhookID, nil
		if exists = t.hooks.global != nil; exists {
			old = *t.hooks.global
		}
	}
	switch {
	case exists:
		w.ID, w.CreatedAt = old.ID, old.CreatedAt
	case w.ID == "":
		w.ID = newID("wh_")
	}
	if w.CreatedAt.IsZero() {
		w.CreatedAt = t.now
	}
	w.CreatedAt, w.UpdatedAt = stored(w.CreatedAt), t.now
	w.URL = clean(w.URL)
	_, err := t.exec(ctx, `
		INSERT INTO pombo_webhook (id, instance_id, url, enabled, events, by_events, base64, headers, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET url = excluded.url, enabled = excluded.enabled, events = excluded.events,
			by_events = excluded.by_events, base64 = excluded.base64, headers = excluded.headers, updated_at = excluded.updated_at`,
		w.ID, instance, w.URL, w.Enabled, op.events, w.ByEvents, w.Base64, op.headers,
		w.CreatedAt.UnixMilli(), w.UpdatedAt.UnixMilli())
	if err != nil {
		return err
	}
	if !w.Enabled {
		if err := t.disable(ctx, w.ID); err != nil {
			return err
		}
	}
	t.hooks = t.hooks.with(w)
	op.hook = w
	return nil
}

// Webhook returns the webhook of a living instance; ok is false if none was set.
func (s *Store) Webhook(_ context.Context, instance pombo.InstanceID) (w pombo.Webhook, ok bool, err error) {
	w, ok = s.hooks.Load().byInstance[instance]
	return copyWebhook(w), ok, nil
}

const webhookColumns = `w.id, w.instance_id, w.url, w.enabled, w.events, w.by_events, w.base64, w.headers, w.created_at, w.updated_at`

// Webhooks returns the webhooks to deliver to, ordered by ID: the global one if
// there is one, those of living instances, enabled or not, and those of deleted
// instances that still have deliveries to make.
func (s *Store) Webhooks(ctx context.Context) ([]pombo.Webhook, error) {
	const doing = "reading webhooks"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT `+webhookColumns+`
		FROM pombo_webhook w LEFT JOIN pombo_instance i ON i.id = w.instance_id
		WHERE w.instance_id IS NULL OR i.deleted_at IS NULL
			OR EXISTS (SELECT 1 FROM pombo_delivery d WHERE d.webhook_id = w.id AND d.state = 'pending' AND d.id + 0 > w.dead_through)
		ORDER BY w.id`)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	all, err := scanWebhooks(rows)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	kept := all[:0]
	for _, w := range all {
		if w.ID == pombo.GlobalWebhookID && !s.hasGlobal {
			continue // of an earlier configuration; nothing of it is pending
		}
		kept = append(kept, w)
	}
	return kept, nil
}

func scanWebhooks(rows *sql.Rows) ([]pombo.Webhook, error) {
	defer rows.Close()
	var all []pombo.Webhook
	for rows.Next() {
		var w pombo.Webhook
		var instance sql.NullString
		var events, headers string
		var created, updated sql.NullInt64
		err := rows.Scan(&w.ID, &instance, &w.URL, &w.Enabled, &events, &w.ByEvents, &w.Base64, &headers, &created, &updated)
		if err != nil {
			return nil, err
		}
		w.Instance = pombo.InstanceID(instance.String)
		if err := json.Unmarshal([]byte(events), &w.Events); err != nil {
			return nil, fmt.Errorf("decoding the events of webhook %s: %w", w.ID, err)
		}
		// The error of a failed decoding could quote a header: leave it out.
		if json.Unmarshal([]byte(headers), &w.Headers) != nil {
			return nil, fmt.Errorf("decoding the headers of webhook %s: no JSON object of strings", w.ID)
		}
		if len(w.Events) == 0 {
			w.Events = nil
		}
		if len(w.Headers) == 0 {
			w.Headers = nil
		}
		w.CreatedAt, w.UpdatedAt = fromMillis(created), fromMillis(updated)
		all = append(all, w)
	}
	return all, rows.Err()
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// loadRegistry reads the webhooks that get new events.
func (s *Store) loadRegistry(ctx context.Context, q querier) (*registry, error) {
	rows, err := q.QueryContext(ctx, `
		SELECT `+webhookColumns+`
		FROM pombo_webhook w LEFT JOIN pombo_instance i ON i.id = w.instance_id
		WHERE i.deleted_at IS NULL`)
	if err != nil {
		return nil, err
	}
	all, err := scanWebhooks(rows)
	if err != nil {
		return nil, err
	}
	r := &registry{byInstance: make(map[pombo.InstanceID]pombo.Webhook, len(all))}
	if r.deadThrough, err = loadDeadThrough(ctx, q); err != nil {
		return nil, err
	}
	for _, w := range all {
		if w.Instance == "" {
			r.global = &w
		} else {
			r.byInstance[w.Instance] = w
		}
	}
	return r, nil
}

// globalOp stores the global webhook of the configuration; nil switches off the
// one that was configured before.
type globalOp struct{ hook *pombo.Webhook }

func (globalOp) name() string { return "put webhook" }

func (globalOp) weight() (events, bytes int) { return 1, 0 }

func (op globalOp) apply(ctx context.Context, t *txn) error {
	w := pombo.Webhook{}
	switch {
	case op.hook != nil:
		w = copyWebhook(*op.hook)
		w.Instance = ""
	case t.hooks.global == nil || !t.hooks.global.Enabled:
		return nil
	}
	put, err := newPutWebhook(w)
	if err != nil {
		return err
	}
	return put.put(ctx, t)
}
