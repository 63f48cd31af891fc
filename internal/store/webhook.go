package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pombo"
	"pombo/internal/filter"
)

// MaxWebhooks is how many webhooks an instance may have.
const MaxWebhooks = 20

// PutWebhook stores w, and returns it as stored. With the ID of one of the
// instance's webhooks, it changes that one; otherwise the one at position 0 (that
// of POST /webhook/set), which is made if there is none. A changed one keeps its
// ID, position and CreatedAt. It is in force for every event that is appended
// after it. A changed URL applies to what is pending too; with Enabled false, what
// is pending becomes dead: disabled in the same transaction.
//
// Errors: Invalid without an instance (the global webhook comes from Options) or
// with a filter that does not compile, NotFound if there is no living instance,
// Unavailable.
func (s *Store) PutWebhook(ctx context.Context, w pombo.Webhook) (pombo.Webhook, error) {
	return s.submitWebhook(ctx, w, false)
}

// AddWebhook stores w as one more webhook of its instance, behind the others. It
// can be repeated with the ID that w was given. Errors: those of PutWebhook, and
// Invalid if the instance has MaxWebhooks.
func (s *Store) AddWebhook(ctx context.Context, w pombo.Webhook) (pombo.Webhook, error) {
	return s.submitWebhook(ctx, w, true)
}

func (s *Store) submitWebhook(ctx context.Context, w pombo.Webhook, add bool) (pombo.Webhook, error) {
	if w.Instance == "" {
		return pombo.Webhook{}, pombo.Errorf(pombo.Invalid, "a webhook needs an instance: the global one is set by WEBHOOK_GLOBAL_URL")
	}
	op, err := s.newPutWebhook(copyWebhook(w))
	if err != nil {
		return pombo.Webhook{}, err
	}
	op.add = add
	if err := s.submitAll(ctx, op); err != nil {
		return pombo.Webhook{}, err
	}
	return copyWebhook(op.hook), nil
}

// putWebhookOp stores hook, which afterwards is as stored.
type putWebhookOp struct {
	hook                     pombo.Webhook
	filter                   *filter.Filter // nil: none
	add                      bool
	events, headers, secrets string
}

func (s *Store) newPutWebhook(w pombo.Webhook) (*putWebhookOp, error) {
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
	if op.headers, err = encode(headers); err != nil {
		return nil, err
	}
	if op.secrets, err = encodeSecrets(w.Secrets); err != nil {
		return nil, err
	}
	if w.Filter != "" {
		// One that stays is not compiled again, and goes on counting its errors.
		if old, ok := s.hooks.Load().find(w.Instance, w.ID); ok && old.filter != nil && old.Filter == w.Filter {
			op.filter = old.filter
		} else if op.filter, err = filter.Compile(w.Filter); err != nil {
			return nil, err
		}
	}
	return op, nil
}

func (*putWebhookOp) name() string { return "put webhook" }

func (*putWebhookOp) weight() (events, bytes int) { return 1, 0 }

func (op *putWebhookOp) apply(ctx context.Context, t *txn) error {
	if err := t.living(ctx, op.hook.Instance); err != nil {
		return err
	}
	return op.put(ctx, t)
}

// place gives w the ID and position under which it is stored.
func (op *putWebhookOp) place(ctx context.Context, t *txn, w *pombo.Webhook) error {
	if w.Instance == "" {
		w.ID = pombo.GlobalWebhookID
	}
	old, exists := t.hooks.find(w.Instance, w.ID)
	if !exists && !op.add && w.Instance != "" {
		old, exists = t.hooks.first(w.Instance)
	}
	if exists {
		w.ID, w.Position, w.CreatedAt = old.ID, old.Position, old.CreatedAt
		return nil
	}
	w.Position = 0
	if op.add {
		if len(t.hooks.byInstance[w.Instance]) >= MaxWebhooks {
			return pombo.Errorf(pombo.Invalid, "the instance has %d webhooks, which is the most it can have: remove one first", MaxWebhooks)
		}
		err := t.row(ctx, `SELECT COALESCE(MAX(position), 0) + 1 FROM pombo_webhook WHERE instance_id = $1 AND position >= 0`,
			string(w.Instance)).Scan(&w.Position)
		if err != nil {
			return err
		}
	}
	if w.ID == "" {
		w.ID = newID("wh_")
	}
	return nil
}

// put writes the row and puts the webhook in force.
func (op *putWebhookOp) put(ctx context.Context, t *txn) error {
	w := copyWebhook(op.hook)
	if err := op.place(ctx, t, &w); err != nil {
		return err
	}
	if w.CreatedAt.IsZero() {
		w.CreatedAt = t.now
	}
	w.CreatedAt, w.UpdatedAt = stored(w.CreatedAt), t.now
	w.URL, w.Filter = clean(w.URL), clean(w.Filter)
	h := &hook{Webhook: w, filter: op.filter}
	var instance any
	if w.Instance != "" {
		instance = string(w.Instance)
		if err := t.row(ctx, `SELECT name FROM pombo_instance WHERE id = $1`, instance).Scan(&h.instance); err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `
		INSERT INTO pombo_webhook (id, instance_id, position, url, enabled, events, by_events, base64, headers, filter, secrets, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (id) DO UPDATE SET url = excluded.url, enabled = excluded.enabled, events = excluded.events,
			by_events = excluded.by_events, base64 = excluded.base64, headers = excluded.headers, filter = excluded.filter,
			secrets = excluded.secrets, updated_at = excluded.updated_at`,
		w.ID, instance, int64(w.Position), w.URL, w.Enabled, op.events, w.ByEvents, w.Base64, op.headers, w.Filter, op.secrets,
		w.CreatedAt.UnixMilli(), w.UpdatedAt.UnixMilli())
	if err != nil {
		return err
	}
	if !w.Enabled {
		if err := t.disable(ctx, w.ID); err != nil {
			return err
		}
	}
	t.hooks = t.hooks.with(h)
	op.hook = w
	return nil
}

// RemoveWebhook removes one of an instance's webhooks; what is pending for it
// becomes dead: disabled in the same transaction. Its deliveries can be seen until
// they are too old. Errors: NotFound, Unavailable.
func (s *Store) RemoveWebhook(ctx context.Context, instance pombo.InstanceID, id string) error {
	op := &removeWebhookOp{instance, id}
	return s.submitAll(ctx, op)
}

type removeWebhookOp struct {
	instance pombo.InstanceID
	id       string
}

func (*removeWebhookOp) name() string { return "put webhook" }

func (*removeWebhookOp) weight() (events, bytes int) { return 1, 0 }

func (op *removeWebhookOp) apply(ctx context.Context, t *txn) error {
	if _, ok := t.hooks.find(op.instance, op.id); !ok || op.instance == "" {
		return noSuchWebhook(op.id)
	}
	_, err := t.exec(ctx, `
		UPDATE pombo_webhook SET enabled = FALSE, updated_at = $3,
			position = (SELECT CASE WHEN MIN(o.position) < 0 THEN MIN(o.position) ELSE 0 END - 1 FROM pombo_webhook o WHERE o.instance_id = $2)
		WHERE id = $1`,
		op.id, string(op.instance), t.now.UnixMilli())
	if err != nil {
		return err
	}
	if err := t.disable(ctx, op.id); err != nil {
		return err
	}
	t.hooks = t.hooks.withoutHook(op.instance, op.id)
	return nil
}

func noSuchWebhook(id string) error {
	return pombo.Errorf(pombo.NotFound, "The instance has no webhook %q: GET /webhook/list shows those that it has", id)
}

// Webhook returns the first webhook of a living instance, that of POST
// /webhook/set; ok is false if none was set.
func (s *Store) Webhook(_ context.Context, instance pombo.InstanceID) (w pombo.Webhook, ok bool, err error) {
	if h, ok := s.hooks.Load().first(instance); ok {
		return copyWebhook(h.Webhook), true, nil
	}
	return pombo.Webhook{}, false, nil
}

// InstanceWebhooks returns all webhooks of a living instance, by position.
func (s *Store) InstanceWebhooks(_ context.Context, instance pombo.InstanceID) ([]pombo.Webhook, error) {
	hooks := s.hooks.Load().byInstance[instance]
	all := make([]pombo.Webhook, len(hooks))
	for i, h := range hooks {
		all[i] = copyWebhook(h.Webhook)
	}
	return all, nil
}

const webhookColumns = `w.id, w.instance_id, w.position, w.url, w.enabled, w.events, w.by_events, w.base64, w.headers,
	w.filter, w.secrets, w.created_at, w.updated_at, i.name`

// Webhooks returns the webhooks to deliver to, ordered by ID: the global one if
// there is one, those of living instances, enabled or not, and those of deleted
// instances that still have deliveries to make.
func (s *Store) Webhooks(ctx context.Context) ([]pombo.Webhook, error) {
	const doing = "reading webhooks"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	if err := s.allRows(ctx); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT `+webhookColumns+`
		FROM pombo_webhook w LEFT JOIN pombo_instance i ON i.id = w.instance_id
		WHERE w.instance_id IS NULL OR (i.deleted_at IS NULL AND w.position >= 0)
			OR EXISTS (SELECT 1 FROM pombo_delivery d WHERE d.webhook_id = w.id AND d.state = 'pending' AND d.id + 0 > w.dead_through)
		ORDER BY w.id`)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	all, err := scanWebhooks(rows)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	kept := make([]pombo.Webhook, 0, len(all))
	for _, h := range all {
		w := h.Webhook
		if w.ID == pombo.GlobalWebhookID && !s.hasGlobal {
			continue // of an earlier configuration; nothing of it is pending
		}
		kept = append(kept, w)
	}
	return kept, nil
}

// scanWebhooks reads rows of webhookColumns; filters are not compiled.
func scanWebhooks(rows *sql.Rows) ([]*hook, error) {
	defer rows.Close()
	var all []*hook
	for rows.Next() {
		var h hook
		w := &h.Webhook
		var instance, name sql.NullString
		var events, headers, secrets string
		var created, updated sql.NullInt64
		err := rows.Scan(&w.ID, &instance, &w.Position, &w.URL, &w.Enabled, &events, &w.ByEvents, &w.Base64, &headers,
			&w.Filter, &secrets, &created, &updated, &name)
		if err != nil {
			return nil, err
		}
		w.Instance, h.instance = pombo.InstanceID(instance.String), name.String
		if err := json.Unmarshal([]byte(events), &w.Events); err != nil {
			return nil, fmt.Errorf("decoding the events of webhook %s: %w", w.ID, err)
		}
		// The error of a failed decoding could quote a secret: leave it out.
		if json.Unmarshal([]byte(headers), &w.Headers) != nil {
			return nil, fmt.Errorf("decoding the headers of webhook %s: no JSON object of strings", w.ID)
		}
		if w.Secrets, err = decodeSecrets(secrets); err != nil {
			return nil, fmt.Errorf("decoding the secrets of webhook %s: %w", w.ID, err)
		}
		if len(w.Events) == 0 {
			w.Events = nil
		}
		if len(w.Headers) == 0 {
			w.Headers = nil
		}
		w.CreatedAt, w.UpdatedAt = fromMillis(created), fromMillis(updated)
		all = append(all, &h)
	}
	return all, rows.Err()
}

// storedSecret is a signing secret as the column secrets has it.
type storedSecret struct {
	Key   string `json:"key"`
	Until int64  `json:"until,omitempty"` // milliseconds; 0: no end
}

func encodeSecrets(secrets []pombo.SigningSecret) (string, error) {
	rows := make([]storedSecret, len(secrets))
	for i, s := range secrets {
		rows[i].Key = s.Key
		if !s.Until.IsZero() {
			rows[i].Until = s.Until.UnixMilli()
		}
	}
	return encode(rows)
}

func decodeSecrets(text string) ([]pombo.SigningSecret, error) {
	var rows []storedSecret
	if json.Unmarshal([]byte(text), &rows) != nil {
		return nil, errors.New("no JSON array of secrets")
	}
	var secrets []pombo.SigningSecret
	for _, r := range rows {
		s := pombo.SigningSecret{Key: r.Key}
		if r.Until != 0 {
			s.Until = time.UnixMilli(r.Until).UTC()
		}
		secrets = append(secrets, s)
	}
	return secrets, nil
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
		WHERE i.deleted_at IS NULL AND w.position >= 0
		ORDER BY w.position`)
	if err != nil {
		return nil, err
	}
	all, err := scanWebhooks(rows)
	if err != nil {
		return nil, err
	}
	r := &registry{byInstance: make(map[pombo.InstanceID][]*hook, len(all))}
	if r.deadThrough, err = loadDeadThrough(ctx, q); err != nil {
		return nil, err
	}
	known := s.hooks.Load()
	for _, h := range all {
		h.filter = s.compiled(known, h)
		if h.Instance == "" {
			r.global = h
		} else {
			r.byInstance[h.Instance] = append(r.byInstance[h.Instance], h)
		}
	}
	return r, nil
}

// compiled returns the filter of a webhook that was read: the one in known, if it
// is the same. One that does not compile was stored by another version, whose
// language was a different one: the webhook gets all events rather than none.
func (s *Store) compiled(known *registry, h *hook) *filter.Filter {
	if h.Filter == "" {
		return nil
	}
	if known != nil {
		if old, ok := known.find(h.Instance, h.ID); ok && old.filter != nil && old.Filter == h.Filter {
			return old.filter
		}
	}
	f, err := filter.Compile(h.Filter)
	if err != nil {
		s.log.Error("the filter of a webhook is not understood: it gets all its events; set the filter again", "webhook", h.ID, "error", err)
		return nil
	}
	return f
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
	put, err := t.s.newPutWebhook(w)
	if err != nil {
		return err
	}
	return put.put(ctx, t)
}
