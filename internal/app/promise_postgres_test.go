package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"pombo/internal/pombotest"
	"pombo/internal/store/storetest"
)

// foreign are tables as the Evolution API leaves them in its schema.
const foreign = `
CREATE SCHEMA evolution_api;
CREATE TABLE evolution_api."Instance" (id TEXT PRIMARY KEY, name VARCHAR(255) NOT NULL UNIQUE, token VARCHAR(255));
CREATE TABLE evolution_api."Webhook" (id TEXT PRIMARY KEY, url VARCHAR(500) NOT NULL, "instanceId" TEXT NOT NULL UNIQUE
	REFERENCES evolution_api."Instance" (id) ON DELETE CASCADE);
CREATE TABLE evolution_api._prisma_migrations (id VARCHAR(36) PRIMARY KEY, checksum VARCHAR(64) NOT NULL);
INSERT INTO evolution_api."Instance" VALUES ('1', 'shop', 'theirs');
INSERT INTO evolution_api."Webhook" VALUES ('1', 'http://old.example.com', '1');
INSERT INTO evolution_api._prisma_migrations VALUES ('1', 'abc');`

// described tells all about the tables that are not ours: their columns, their
// constraints and their rows.
const described = `
SELECT concat_ws(' ', 'column', table_schema, table_name, ordinal_position, column_name, data_type, is_nullable)
	FROM information_schema.columns WHERE table_schema NOT LIKE 'pg\_%' AND table_schema <> 'information_schema'
	AND table_name NOT LIKE 'pombo\_%' AND table_name NOT LIKE 'whatsmeow\_%'
UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid))
	FROM pg_constraint WHERE conrelid IN ('evolution_api."Instance"'::regclass, 'evolution_api."Webhook"'::regclass)
UNION ALL SELECT 'row ' || i::text FROM evolution_api."Instance" i
UNION ALL SELECT 'row ' || w::text FROM evolution_api."Webhook" w
UNION ALL SELECT 'row ' || m::text FROM evolution_api._prisma_migrations m
UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%'
ORDER BY 1`

// The main flow on PostgreSQL, with the URL of an Evolution API's .env: our
// tables stand beside those of the Evolution API, which stay as they are.
func TestPromisePostgres(t *testing.T) {
	uri := storetest.Postgres(t)
	db, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	describe := func() string {
		t.Helper()
		rows, err := db.Query(t.Context(), described)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	before := describe()

	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	p := newPromise(t, "DATABASE_CONNECTION_URI="+uri+separator+"schema=evolution_api")
	if rows := p.get("/instance/fetchInstances"); rows != "[]" {
		t.Errorf("a new gateway has the instances %s", rows)
	}
	p.pair("")
	p.set(map[string]any{"enabled": true, "url": p.receiver.URL + "/hook", "webhookByEvents": false, "events": []string{"MESSAGES_UPSERT", "SEND_MESSAGE", "CALL"}})
	found := p.get("/webhook/find/" + shop)
	for run := range 2 {
		text := fmt.Sprint("hello ", run)
		id := p.network.Write(contact, phone, text)
		if post := p.arrives(p.receiver, id); post.Path != "/hook" {
			t.Errorf("posted to %s", post.Path)
		}
		sent := p.gateway.SendText(shop, contact, text)
		p.receiver.Wait(t, "send.message", func(post pombotest.Post) bool { return post.Message().Key.ID == sent })
		if inbox := p.network.Inbox(contact); len(inbox) != run+1 || inbox[run].Text != text {
			t.Errorf("the contact has %+v", inbox)
		}
		p.gateway.Stop()
		p.gateway.Start()
		if got := p.get("/webhook/find/" + shop); got != found {
			t.Errorf("after a restart the webhook is %s, before %s", got, found)
		}
		pombotest.WaitState(t, p.gateway.Client, shop, "open")
	}
	p.gateway.Must("DELETE", "/instance/delete/"+shop, nil, nil)
	p.gateway.Stop()

	if after := describe(); after != before {
		t.Errorf("what is not ours was\n%s\nand is\n%s", before, after)
	}
	var ours int
	const count = `SELECT count(*) FROM pg_tables WHERE schemaname = 'evolution_api' AND (tablename LIKE 'pombo\_%' OR tablename LIKE 'whatsmeow\_%')`
	if err := db.QueryRow(t.Context(), count).Scan(&ours); err != nil || ours < 10 {
		t.Errorf("%d of our tables are in the schema, %v", ours, err)
	}
	p.network.CheckRules(t)
}
