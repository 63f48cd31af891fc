package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pombo"
)

// insertMedia keeps the files of events, also of those that no webhook wants.
// stored has those that were written, with their IDs if they were new.
func (t *txn) insertMedia(ctx context.Context, events []arrival, stored []wantedEvent) error {
	var ids map[string]int64
	for _, e := range events {
		m := e.Attachment.Media
		if m == nil || e.Attachment.ID == "" {
			continue
		}
		if ids == nil {
			ids = make(map[string]int64, len(stored))
			for _, s := range stored {
				ids[s.Attachment.ID] = s.ID
			}
		}
		info, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("encoding what is known of a file: %w", err)
		}
		var event any
		if id := ids[e.Attachment.ID]; id != 0 {
			event = id
		}
		// A message that comes again has the same file; its event may be new, if no
		// webhook wanted it the first time.
		_, err = t.exec(ctx, `
			INSERT INTO pombo_media (id, instance_id, message_id, info, event_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (id) DO UPDATE SET event_id = COALESCE(excluded.event_id, pombo_media.event_id)`,
			e.Attachment.ID, cleanKey(string(e.Instance)), cleanKey(m.Message), info, event, t.now.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

const selectMedia = `SELECT id, instance_id, message_id, info, path, missed, created_at FROM pombo_media WHERE `

// Media returns what is kept of a file; ok is false if nothing is.
func (s *Store) Media(ctx context.Context, id string) (m pombo.Media, ok bool, err error) {
	return s.readMedia(ctx, `id = $1`, clean(id))
}

// MediaOfMessage returns what is kept of the file of a message, the newest if
// several senders used the same ID; ok is false if nothing is.
func (s *Store) MediaOfMessage(ctx context.Context, instance pombo.InstanceID, message string) (m pombo.Media, ok bool, err error) {
	return s.readMedia(ctx, `instance_id = $1 AND message_id = $2 ORDER BY created_at DESC LIMIT 1`,
		cleanKey(string(instance)), cleanKey(message))
}

func (s *Store) readMedia(ctx context.Context, where string, args ...any) (m pombo.Media, ok bool, err error) {
	const doing = "reading what is known of a file"
	if err := s.askFault("read"); err != nil {
		return m, false, unavailable(doing, err)
	}
	var info []byte
	var id, instance, message, path, missed string
	var at int64
	err = s.read.QueryRowContext(ctx, s.dialect.form(selectMedia+where), args...).
		Scan(&id, &instance, &message, &info, &path, &missed, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return m, false, nil
	} else if err != nil {
		return m, false, readError(ctx, doing, err)
	}
	if err := json.Unmarshal(info, &m); err != nil {
		return m, false, fmt.Errorf("%s: %w", doing, err)
	}
	m.ID, m.Instance, m.Message, m.Missed, m.At = id, pombo.InstanceID(instance), message, missed, time.UnixMilli(at).UTC()
	if path != "" {
		m.URL, m.DirectPath = "", path
	}
	return m, true, nil
}

// UpdateMedia keeps m.DirectPath, if m has no URL, and m.Missed; what is not kept
// is left alone. It returns after the commit. Errors: Unavailable.
func (s *Store) UpdateMedia(ctx context.Context, m pombo.Media) error {
	op := mediaOp(m)
	return s.submit(ctx, op.name(), op)
}

type mediaOp pombo.Media

func (mediaOp) name() string { return "update media" }

func (mediaOp) weight() (events, bytes int) { return 1, 0 }

func (op mediaOp) apply(ctx context.Context, t *txn) error {
	path := ""
	if op.URL == "" {
		path = clean(op.DirectPath)
	}
	_, err := t.exec(ctx, `UPDATE pombo_media SET path = $2, missed = $3 WHERE id = $1`, op.ID, path, clean(op.Missed))
	return err
}

// ForgetMedia removes what is kept of files whose messages were appended before,
// or whose instance is deleted, unless a pending delivery needs it.
func (s *Store) ForgetMedia(ctx context.Context, before time.Time) error {
	return s.sweep(ctx, &sweepOp{
		query: `DELETE FROM pombo_media WHERE id IN (
			SELECT m.id FROM pombo_media m
			WHERE (m.created_at < $1 OR m.instance_id IN (SELECT id FROM pombo_instance WHERE deleted_at IS NOT NULL)) AND NOT ` + mediaNeeded + `
			LIMIT $2)`,
		args: []any{before.UnixMilli()},
	}, 0)
}

const mediaNeeded = `EXISTS (SELECT 1 FROM pombo_delivery d WHERE d.event_id = m.event_id AND d.state = 'pending')`

// KnownMedia returns which of the files something is kept of; true stands for
// those whose event has deliveries pending.
func (s *Store) KnownMedia(ctx context.Context, ids []string) (map[string]bool, error) {
	const doing = "reading which files are known"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	if err := s.allRows(ctx); err != nil {
		return nil, err
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	each := `SELECT value FROM json_each($1)`
	if s.dialect == dialectPostgres { // each database has its own word for it
		each = `SELECT jsonb_array_elements_text(CAST($1 AS jsonb))`
	}
	rows, err := s.read.QueryContext(ctx, s.dialect.form(`SELECT m.id, `+mediaNeeded+` FROM pombo_media m WHERE m.id IN (`+each+`)`), string(list))
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	defer rows.Close()
	known := map[string]bool{}
	for rows.Next() {
		var id string
		var needed bool
		if err := rows.Scan(&id, &needed); err != nil {
			return nil, readError(ctx, doing, err)
		}
		known[id] = needed
	}
	if err := rows.Err(); err != nil {
		return nil, readError(ctx, doing, err)
	}
	return known, nil
}

// MediaSecret is a random text of this database, from which the IDs of files are
// made.
func (s *Store) MediaSecret() string { return s.mediaSecret }
