package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"pombo"
)

// CreateInstance stores a new instance, its webhook (or nil) and its first
// events, in one transaction: all or nothing. The webhook is in force for these
// events already; its Instance is set to i's ID, and its ID and times are filled
// in on success. Zero times of i are stored as now.
//
// A repeated call with an ID that is already stored is the same creation and
// succeeds. Errors: Forbidden if a living instance has the name; Invalid as for
// Append; Unavailable.
func (s *Store) CreateInstance(ctx context.Context, i pombo.Instance, w *pombo.Webhook, events ...pombo.Event) error {
	if i.ID == "" || i.Name == "" {
		return pombo.Errorf(pombo.Invalid, "an instance needs an ID and a name")
	}
	if i.Integration == "" {
		i.Integration = "WHATSAPP-BAILEYS"
	}
	if err := s.room(); err != nil {
		return err
	}
	op := &createOp{instance: i}
	var err error
	if op.settings, err = encode(i.Settings); err != nil {
		return err
	}
	if op.events, err = s.newAppend(events); err != nil {
		return err
	}
	if w != nil {
		hook := copyWebhook(*w)
		hook.Instance = i.ID
		if op.hook, err = s.newPutWebhook(hook); err != nil {
			return err
		}
	}
	if err := s.submitAll(ctx, op); err != nil {
		return err
	}
	if w != nil {
		*w = copyWebhook(op.hook.hook)
	}
	return nil
}

type createOp struct {
	instance pombo.Instance
	settings string
	hook     *putWebhookOp // nil: none
	events   appendOp
}

func (*createOp) name() string { return "create instance" }

func (op *createOp) weight() (events, bytes int) { return 1 + len(op.events), 0 }

func (op *createOp) apply(ctx context.Context, t *txn) error {
	i := &op.instance
	var id string
	err := t.row(ctx, `SELECT id FROM pombo_instance WHERE id = $1 OR (name = $2 AND deleted_at IS NULL) ORDER BY id = $1 DESC LIMIT 1`,
		string(i.ID), clean(i.Name)).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case id != string(i.ID):
		return pombo.Errorf(pombo.Forbidden, "This name %q is already in use.", i.Name)
	default:
		return t.append(ctx, op.events)
	}
	if i.CreatedAt.IsZero() {
		i.CreatedAt = t.now
	}
	if i.UpdatedAt.IsZero() {
		i.UpdatedAt = t.now
	}
	_, err = t.exec(ctx, `
		INSERT INTO pombo_instance (id, name, token, integration, number, jid, lid, profile_name, profile_picture_url,
			settings, disconnection_code, disconnection_object, disconnected_at, jwt_id, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		append(op.values(), millis(i.CreatedAt), millis(i.UpdatedAt))...)
	if err != nil {
		return err
	}
	if op.hook != nil {
		if err := op.hook.put(ctx, t); err != nil {
			return err
		}
	}
	return t.append(ctx, op.events)
}

// values are the columns id to jwt_id.
func (op *createOp) values() []any { return instanceValues(op.instance, op.settings) }

func instanceValues(i pombo.Instance, settings string) []any {
	return []any{
		string(i.ID), clean(i.Name), clean(i.Token), clean(i.Integration), clean(i.Number), clean(i.JID), clean(i.LID),
		clean(i.ProfileName), clean(i.ProfilePictureURL), settings,
		int64(i.Disconnection.Code), clean(i.Disconnection.Object), millis(i.Disconnection.At),
		clean(i.JWTID),
	}
}

// UpdateInstance stores all of i save CreatedAt, which never changes, and
// UpdatedAt, which becomes now; and events with it, in one transaction.
//
// Errors: NotFound if there is no living instance with i's ID; Forbidden if
// another one has its name; Invalid as for Append; Unavailable.
func (s *Store) UpdateInstance(ctx context.Context, i pombo.Instance, events ...pombo.Event) error {
	op := &updateOp{instance: i}
	var err error
	if op.settings, err = encode(i.Settings); err != nil {
		return err
	}
	if op.events, err = s.newAppend(events); err != nil {
		return err
	}
	return s.submitAll(ctx, op)
}

type updateOp struct {
	instance pombo.Instance
	settings string
	events   appendOp
}

func (*updateOp) name() string { return "update instance" }

func (op *updateOp) weight() (events, bytes int) { return 1 + len(op.events), 0 }

func (op *updateOp) apply(ctx context.Context, t *txn) error {
	i := op.instance
	if err := t.living(ctx, i.ID); err != nil {
		return err
	}
	var other string
	err := t.row(ctx, `SELECT id FROM pombo_instance WHERE name = $1 AND deleted_at IS NULL AND id <> $2`,
		clean(i.Name), string(i.ID)).Scan(&other)
	if err == nil {
		return pombo.Errorf(pombo.Forbidden, "This name %q is already in use.", i.Name)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = t.exec(ctx, `
		UPDATE pombo_instance SET name = $2, token = $3, integration = $4, number = $5, jid = $6, lid = $7,
			profile_name = $8, profile_picture_url = $9, settings = $10, disconnection_code = $11,
			disconnection_object = $12, disconnected_at = $13, jwt_id = $14, updated_at = $15
		WHERE id = $1`,
		append(instanceValues(i, op.settings), millis(t.now))...)
	if err != nil {
		return err
	}
	return t.append(ctx, op.events)
}

// living refuses with NotFound if there is no living instance id.
func (t *txn) living(ctx context.Context, id pombo.InstanceID) error {
	var one int
	err := t.row(ctx, `SELECT 1 FROM pombo_instance WHERE id = $1 AND deleted_at IS NULL`, string(id)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return pombo.Errorf(pombo.NotFound, "The instance %s does not exist", id)
	}
	return err
}

// GiveUp makes what is pending for the instance's own webhooks dead: disabled. It
// is the first step of a deletion; the events of the deletion itself come after
// it and are delivered. What is pending for the global webhook stays pending: the
// one who asked for it is still there.
//
// An instance without a webhook, or deleted, has nothing to give up. Error:
// Unavailable.
func (s *Store) GiveUp(ctx context.Context, id pombo.InstanceID) error {
	op := &giveUpOp{id: id}
	return s.submitAll(ctx, op)
}

type giveUpOp struct{ id pombo.InstanceID }

func (*giveUpOp) name() string { return "give up deliveries" }

func (*giveUpOp) weight() (events, bytes int) { return 1, 0 }

func (op *giveUpOp) apply(ctx context.Context, t *txn) error {
	for _, h := range t.hooks.byInstance[op.id] {
		if err := t.disable(ctx, h.ID); err != nil {
			return err
		}
	}
	return nil
}

// DeleteInstance deletes an instance: its name is free at once, and the given
// events are the last that are appended for its own webhooks. All of that is one
// transaction. What is pending is still delivered (see GiveUp); rows stay until
// then. Its history is not fetched any more.
//
// A repeated call succeeds. Errors: NotFound if the instance never was; Invalid
// as for Append; Unavailable.
func (s *Store) DeleteInstance(ctx context.Context, id pombo.InstanceID, events ...pombo.Event) error {
	op := &deleteOp{id: id}
	var err error
	if op.events, err = s.newAppend(events); err != nil {
		return err
	}
	return s.submitAll(ctx, op)
}

type deleteOp struct {
	id     pombo.InstanceID
	events appendOp
}

func (*deleteOp) name() string { return "delete instance" }

func (op *deleteOp) weight() (events, bytes int) { return 1 + len(op.events), 0 }

func (op *deleteOp) apply(ctx context.Context, t *txn) error {
	var deleted sql.NullInt64
	err := t.row(ctx, `SELECT deleted_at FROM pombo_instance WHERE id = $1`, string(op.id)).Scan(&deleted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return pombo.Errorf(pombo.NotFound, "The instance %s does not exist", op.id)
	case err != nil:
		return err
	case deleted.Valid:
		return nil
	}
	if _, err := t.exec(ctx, `UPDATE pombo_instance SET deleted_at = $2, updated_at = $2 WHERE id = $1`,
		string(op.id), t.now.UnixMilli()); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM pombo_history WHERE instance_id = $1`, cleanKey(string(op.id))); err != nil {
		return err
	}
	if err := t.append(ctx, op.events); err != nil {
		return err
	}
	t.hooks = t.hooks.without(op.id)
	return nil
}

// Instances returns the living instances, oldest first.
func (s *Store) Instances(ctx context.Context) ([]pombo.Instance, error) {
	const doing = "reading instances"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT id, name, token, integration, number, jid, lid, profile_name, profile_picture_url, settings,
			disconnection_code, disconnection_object, disconnected_at, jwt_id, created_at, updated_at
		FROM pombo_instance WHERE deleted_at IS NULL ORDER BY created_at, id`)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	defer rows.Close()
	var all []pombo.Instance
	for rows.Next() {
		i, err := scanInstance(rows)
		if err != nil {
			return nil, readError(ctx, doing, err)
		}
		all = append(all, i)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(ctx, doing, err)
	}
	return all, nil
}

func scanInstance(rows *sql.Rows) (pombo.Instance, error) {
	var i pombo.Instance
	var settings string
	var disconnected, created, updated sql.NullInt64
	err := rows.Scan(&i.ID, &i.Name, &i.Token, &i.Integration, &i.Number, &i.JID, &i.LID, &i.ProfileName,
		&i.ProfilePictureURL, &settings, &i.Disconnection.Code, &i.Disconnection.Object, &disconnected, &i.JWTID, &created, &updated)
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal([]byte(settings), &i.Settings); err != nil {
		return i, fmt.Errorf("decoding the settings of instance %s: %w", i.ID, err)
	}
	i.Disconnection.At = fromMillis(disconnected)
	i.CreatedAt, i.UpdatedAt = fromMillis(created), fromMillis(updated)
	return i, nil
}

// encode makes the JSON that a TEXT column holds.
func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding a column: %w", err)
	}
	return string(text), nil
}
