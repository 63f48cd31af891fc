package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"

	"pombo"
	"pombo/internal/store"
)

// Events whose digests are the same by chance are all stored, and known again.
func TestDigestsClash(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		s.SetDigest(func(...string) int64 { return 1<<63 - 2 })
		i, w := hooked(t, s, "i")
		other, elsewhere := hooked(t, s, "other")
		ctx := within(t)
		must(t, s.Append(ctx, event(i, "a")))
		must(t, s.Append(ctx, event(i, "b"), event(i, "a"), event(i, "c"), event(other, "a"), event(i, "b")))
		must(t, s.Append(ctx, event(i, "c")))
		update := event(i, "a")
		update.Name, update.Chat = pombo.MessagesUpdate, "another"
		must(t, s.Append(ctx, update))
		wantKeys(t, s, w, "MESSAGES_UPSERT a", "MESSAGES_UPSERT b", "MESSAGES_UPSERT c", "MESSAGES_UPDATE a")
		wantKeys(t, s, elsewhere, "MESSAGES_UPSERT a")
		ds, err := s.Deliveries(ctx, pombo.DeliveryQuery{Instance: i.ID, Chat: "another", Limit: 10})
		must(t, err)
		if len(ds) != 1 || ds[0].Event.Name != pombo.MessagesUpdate {
			t.Errorf("listed by its chat: %v", ds)
		}
	})
}

func wantKeys(t *testing.T, s *store.Store, w pombo.Webhook, want ...string) {
	t.Helper()
	ds, err := s.Pending(within(t), w.ID, 0, 100)
	must(t, err)
	var got []string
	for _, d := range ds {
		got = append(got, fmt.Sprint(d.Event.Name, " ", d.Event.Key))
	}
	if !slices.Equal(got, want) {
		t.Errorf("pending: %q, want %q", got, want)
	}
}

// A database of the version before digests opens as it is: nothing of it is lost,
// told again, or gets an ID that was given out.
func TestUpgradeToDigests(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		ctx := within(t)
		old, err := store.OldDatabase(ctx, uri, 6)
		must(t, err)
		fillOld(ctx, t, old)
		must(t, old.Close())

		s := open(t, store.Options{URI: uri})
		i := pombo.Instance{ID: "instance"}
		hooks, err := s.Webhooks(ctx)
		must(t, err)
		if len(hooks) != 1 {
			t.Fatalf("webhooks %v", hooks)
		}
		known := event(i, "b")
		known.Chat = "chat-b"
		must(t, s.Append(ctx, known, event(i, "new")))
		wantKeys(t, s, hooks[0], "MESSAGES_UPSERT b", "MESSAGES_UPSERT new")
		ds, err := s.Deliveries(ctx, pombo.DeliveryQuery{Instance: i.ID, Chat: "chat-b", Limit: 10})
		must(t, err)
		if len(ds) != 1 || ds[0].ID != 2 || ds[0].Event.Key != "b" {
			t.Errorf("listed by its chat: %+v", ds)
		}
		detail, err := s.SeeDelivery(ctx, i.ID, 1, false)
		must(t, err)
		if detail.State != pombo.Delivered || len(detail.Attempts) != 1 || detail.Attempts[0].Status != 200 || string(detail.Event.Data) != `{"n":1}` {
			t.Errorf("what was delivered: %+v", detail)
		}
		ds, err = s.Deliveries(ctx, pombo.DeliveryQuery{Instance: i.ID, State: pombo.Pending, Limit: 1})
		must(t, err)
		if ds[0].ID < 4 || ds[0].Event.ID < 4 { // 3 was given out, and removed
			t.Errorf("the new delivery is %d, of event %d", ds[0].ID, ds[0].Event.ID)
		}
		if err := s.Do(ctx, `UPDATE pombo_delivery SET event_id = 99 WHERE id = 2`); err == nil {
			t.Error("a delivery can be of an event that does not exist")
		}
		must(t, s.Do(ctx, `DELETE FROM pombo_delivery WHERE id = 1`))
		if attempts, err := s.Attempts(ctx, 1); err != nil || len(attempts) > 0 {
			t.Errorf("attempts of a delivery that was removed: %v, %v", attempts, err)
		}
	})
}

// fillOld puts three deliveries in: one that was made, one that is pending, and one that was
// removed again.
func fillOld(ctx context.Context, t *testing.T, db *sql.DB) {
	t.Helper()
	for _, query := range []string{
		`INSERT INTO pombo_instance (id, name, token, integration, number, jid, lid, profile_name, profile_picture_url, settings, disconnection_code, disconnection_object, created_at, updated_at)
			VALUES ('instance', 'i', 't', 'WHATSAPP-BAILEYS', '', '', '', '', '', '{}', 0, '', 0, 0)`,
		`INSERT INTO pombo_webhook (id, instance_id, url, enabled, events, by_events, base64, headers, created_at, updated_at)
			VALUES ('hook', 'instance', 'http://n8n:5678/webhook', TRUE, '[]', FALSE, FALSE, '{}', 0, 0)`,
		`INSERT INTO pombo_event (instance_id, name, key, chat, sender, time, data, created_at) VALUES
			('instance', 'MESSAGES_UPSERT', 'a', 'chat-a', '', 0, '{"n":1}', 0),
			('instance', 'MESSAGES_UPSERT', 'b', 'chat-b', '', 0, '{"n":2}', 0),
			('instance', 'MESSAGES_UPSERT', 'c', 'chat-c', '', 0, '{"n":3}', 0)`,
		`INSERT INTO pombo_delivery (event_id, webhook_id, instance_id, chat, state, attempts, created_at, ended_at) VALUES
			(1, 'hook', 'instance', 'chat-a', 'delivered', 1, 0, 1)`,
		`INSERT INTO pombo_delivery (event_id, webhook_id, instance_id, chat, created_at) VALUES
			(2, 'hook', 'instance', 'chat-b', 0), (3, 'hook', 'instance', 'chat-c', 0)`,
		`INSERT INTO pombo_attempt (delivery_id, number, at, duration_us, address, status, error_code, error) VALUES (1, 1, 0, 1, '', 200, '', '')`,
		`DELETE FROM pombo_delivery WHERE id = 3`,
		`DELETE FROM pombo_event WHERE id = 3`,
	} {
		_, err := db.ExecContext(ctx, query)
		must(t, err)
	}
}
