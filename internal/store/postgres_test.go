package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pombo"
	"pombo/internal/store"
	"pombo/internal/store/storetest"
)

func TestParsePostgresURL(t *testing.T) {
	type parts struct {
		schema  string
		conns   int
		ignored string
		host    string
	}
	for raw, want := range map[string]parts{
		"postgresql://u:p@db:5432/evolution?schema=public":                                                 {"public", 0, "", "db"},
		"postgres://u:p@db/evolution":                                                                      {"pombo", 0, "", "db"},
		"postgresql://u:p@db/e?schema=evolution_api&connection_limit=5&pool_timeout=10":                    {"evolution_api", 5, "pool_timeout", "db"},
		"postgresql://u:p@db/e?sslmode=disable&sslaccept=strict&socket_timeout=3&pgbouncer=false":          {"pombo", 0, "socket_timeout sslaccept", "db"},
		"postgresql://u:p@localhost/e?host=/var/run/postgresql&application_name=x&options=-c%20geqo%3Doff": {"pombo", 0, "", "/var/run/postgresql"},
		"postgresql://u:p%40%2F%23@db/e?statement_cache_size=0":                                            {"pombo", 0, "statement_cache_size", "db"},
		"postgresql://u:p@db/e?schema=a%22b":                                                               {`a"b`, 0, "", "db"},
	} {
		u, err := store.ParsePostgresURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if u.Schema() != want.schema || u.Conns() != want.conns || strings.Join(u.Ignored(), " ") != want.ignored || u.Host() != want.host {
			t.Errorf("%s: schema %q, %d connections, ignored %q, host %q", raw, u.Schema(), u.Conns(), u.Ignored(), u.Host())
		}
		params := u.RuntimeParams()
		if got, path := params["search_path"], (pgx.Identifier{want.schema}).Sanitize(); got != path {
			t.Errorf("%s: search path %s", raw, got)
		}
		for name := range params {
			switch name {
			case "search_path", "application_name", "options":
			default:
				t.Errorf("%s: the server would be asked to set %s", raw, name)
			}
		}
	}
	for raw, want := range map[string]string{
		"postgresql://u:s3cret@db:port/e":                              "percent-encoded",
		"postgresql://u:s3c/ret@db/e":                                  "percent-encoded",
		"postgresql://u:s3c%ret@db/e":                                  "percent-encoded",
		"postgresql://u:s3cret@db/e?sslmode=maybe":                     "percent-encoded",
		"postgresql://u:s3cret@db/e?a=%zz":                             "percent-encoded",
		"postgresql://u:s3cret@db/e?pgbouncer=true":                    "PgBouncer",
		"postgresql://u:s3cret@db/e?connection_limit=many":             "connection_limit",
		"postgresql://u:s3cret@db/e?connection_limit=0":                "connection_limit",
		"postgresql://u:s3cret@db/e?schema=pg_catalog":                 "schema",
		"postgresql://u:s3cret@db/e?schema=" + strings.Repeat("x", 64): "schema",
	} {
		_, err := store.ParsePostgresURL(raw)
		if err == nil || !strings.Contains(err.Error(), want) || pombo.KindOf(err) != pombo.Invalid {
			t.Errorf("%s: error %v, want one about %s", raw, err, want)
		} else if strings.Contains(err.Error(), "s3c") || strings.Contains(err.Error(), "ret@") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// admin is a connection of a superuser to the database of uri.
func admin(t *testing.T, uri string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(within(t), uri)
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close(context.Background())) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, query string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(within(t), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// with returns uri with a changed user or parameter.
func with(t *testing.T, uri string, change func(u *url.URL, q url.Values)) string {
	t.Helper()
	u, err := url.Parse(uri)
	must(t, err)
	q := u.Query()
	change(u, q)
	u.RawQuery = q.Encode()
	return u.String()
}

func inSchema(t *testing.T, uri, schema string) string {
	return with(t, uri, func(_ *url.URL, q url.Values) { q.Set("schema", schema) })
}

func tables(t *testing.T, conn *pgx.Conn, schema string) string {
	t.Helper()
	var names string
	must(t, conn.QueryRow(within(t), `SELECT COALESCE(string_agg(table_name, ' ' ORDER BY table_name), '')
		FROM information_schema.tables WHERE table_schema = $1`, schema).Scan(&names))
	return names
}

// Pombo moves into the schema of an Evolution API and leaves its tables alone.
// Several schemas of one database know nothing of each other.
func TestPostgresSchemas(t *testing.T) {
	t.Parallel()
	uri := storetest.Postgres(t)
	conn := admin(t, uri)
	run(t, conn, `CREATE SCHEMA evolution_api`)
	for _, table := range []string{"Instance", "Webhook", "Message", "_prisma_migrations"} {
		run(t, conn, `CREATE TABLE evolution_api."`+table+`" (id TEXT PRIMARY KEY, name TEXT)`)
		run(t, conn, `INSERT INTO evolution_api."`+table+`" VALUES ('1', 'theirs')`)
	}
	before := tables(t, conn, "evolution_api")

	evolution := open(t, store.Options{URI: inSchema(t, uri, "evolution_api")})
	plain := open(t, store.Options{URI: uri})
	odd := open(t, store.Options{URI: inSchema(t, uri, `Odd "name"; --`)})
	for k, s := range []*store.Store{evolution, plain, odd} {
		i, w := hooked(t, s, "same name")
		for n := range k + 1 {
			must(t, s.Append(within(t), event(i, fmt.Sprint(n))))
		}
		ds, err := s.Pending(within(t), w.ID, 0, 10)
		must(t, err)
		if len(ds) != k+1 {
			t.Errorf("%d pending, want %d", len(ds), k+1)
		}
	}
	ours := tables(t, conn, "pombo")
	if got := tables(t, conn, `Odd "name"; --`); got != ours || ours == "" {
		t.Errorf("tables %s, want %s", got, ours)
	}
	if got := tables(t, conn, "public"); got != "" {
		t.Errorf("tables in public: %s", got)
	}
	for _, name := range strings.Fields(ours) {
		if !strings.HasPrefix(name, "pombo_") && !strings.HasPrefix(name, "whatsmeow_") {
			t.Errorf("the table %s could be another program's", name)
		}
	}
	for _, name := range strings.Fields(before) {
		var rows int
		must(t, conn.QueryRow(within(t), `SELECT COUNT(*) FROM evolution_api.`+pgx.Identifier{name}.Sanitize()+` WHERE name = 'theirs'`).Scan(&rows))
		if rows != 1 {
			t.Errorf("%s holds %d rows", name, rows)
		}
	}
}

// A role that may not create schemas uses one that exists.
func TestPostgresRole(t *testing.T) {
	t.Parallel()
	uri := storetest.Postgres(t)
	conn := admin(t, uri)
	role := "role_" + strings.TrimPrefix(mustParse(t, uri).Path, "/")
	run(t, conn, `CREATE ROLE `+role+` LOGIN PASSWORD 's3cret'`)
	t.Cleanup(func() {
		run(t, conn, `DROP OWNED BY `+role)
		run(t, conn, `DROP ROLE `+role)
	})
	run(t, conn, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	// The role's own settings must not matter.
	run(t, conn, `ALTER ROLE `+role+` SET search_path = public`)
	run(t, conn, `ALTER ROLE `+role+` SET synchronous_commit = off`)
	as := func(password string) string {
		return with(t, uri, func(u *url.URL, _ url.Values) { u.User = url.UserPassword(role, password) })
	}
	_, err := store.Open(within(t), store.Options{URI: as("s3cret")})
	if pombo.KindOf(err) != pombo.Forbidden || !strings.Contains(err.Error(), "CREATE SCHEMA") {
		t.Errorf("without a schema: %v", err)
	}
	_, err = store.Open(within(t), store.Options{URI: as("wrong-s3cret")})
	if err == nil || !strings.Contains(err.Error(), "check user and password") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("with a wrong password: %v", err)
	}
	run(t, conn, `CREATE SCHEMA pombo AUTHORIZATION `+role)
	s := open(t, store.Options{URI: as("s3cret")})
	i, _ := hooked(t, s, "i")
	must(t, s.Append(within(t), event(i, "a")))
	// Every connection of the pool, also new ones, has our schema and durability.
	for range 5 {
		c, err := s.Reads().Conn(within(t))
		must(t, err)
		defer c.Close()
		var schema, durable string
		must(t, c.QueryRowContext(within(t), `SELECT current_schema(), current_setting('synchronous_commit')`).Scan(&schema, &durable))
		if schema != "pombo" || durable != "on" {
			t.Errorf("schema %s, synchronous_commit %s", schema, durable)
		}
	}
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	must(t, err)
	return u
}

func TestPostgresUnreachable(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"postgresql://u:s3cret@127.0.0.1:1/db":                                              "cannot be reached",
		with(t, storetest.Postgres(t), func(u *url.URL, _ url.Values) { u.Path = "/none" }): "create it",
	} {
		_, err := store.Open(within(t), store.Options{URI: uri})
		if pombo.KindOf(err) != pombo.Unavailable || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The writer's connection is lost and comes back, with its lock.
func TestPostgresReconnect(t *testing.T) {
	t.Parallel()
	uri := storetest.Postgres(t)
	s := open(t, store.Options{URI: uri})
	i, w := hooked(t, s, "i")
	ctx := within(t)
	acked := 0
	for round := range 3 {
		must(t, s.LoseWriter(ctx))
		for n := range 10 {
			e := event(i, fmt.Sprintf("%d/%d", round, n))
			waitUntil(t, func() bool {
				err := s.Append(ctx, e)
				if err != nil && !errors.Is(err, store.ErrUnavailable) {
					t.Fatalf("append: %v", err)
				}
				return err == nil
			})
			acked++
		}
	}
	ds, err := s.Pending(ctx, w.ID, 0, 1000)
	must(t, err)
	if len(ds) != acked {
		t.Errorf("%d pending, want %d", len(ds), acked)
	}
	_, err = store.Open(ctx, store.Options{URI: uri, LockWait: 100 * time.Millisecond})
	if pombo.KindOf(err) != pombo.Conflict {
		t.Errorf("a second Pombo: %v", err)
	}
}

// While another process has the lock, nothing is committed.
func TestPostgresLockLost(t *testing.T) {
	t.Parallel()
	uri := storetest.Postgres(t)
	s := open(t, store.Options{URI: uri})
	i, w := hooked(t, s, "i")
	ctx := within(t)
	// The thief waits for the lock that the lost connection lets go of.
	thief := admin(t, uri)
	run(t, thief, `SET application_name = 'thief'`)
	var class, key int64
	must(t, thief.QueryRow(ctx, `SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&class, &key))
	got := make(chan error, 1)
	go func() {
		_, err := thief.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, int32(uint32(class)), int32(uint32(key)))
		got <- err
	}()
	waitUntil(t, func() bool {
		var waits bool
		must(t, s.Reads().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits))
		return waits
	})
	must(t, s.LoseWriter(ctx))
	must(t, <-got)
	for range 3 {
		if err := s.Append(ctx, event(i, "a")); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("append without the lock: %v", err)
		}
	}
	run(t, thief, `SELECT pg_advisory_unlock_all()`)
	waitUntil(t, func() bool { return s.Append(ctx, event(i, "a")) == nil })
	ds, err := s.Pending(ctx, w.ID, 0, 10)
	must(t, err)
	if len(ds) != 1 {
		t.Errorf("%d pending, want 1", len(ds))
	}
}

// The questions that dispatch asks all the time are index scans without sorting.
func TestPostgresPlans(t *testing.T) {
	t.Parallel()
	uri := storetest.Postgres(t)
	s := open(t, store.Options{URI: uri})
	i, w := hooked(t, s, "i")
	fillPending(t, s, i, w, 50_000)
	conn := admin(t, uri)
	run(t, conn, `SET search_path = pombo`)
	run(t, conn, `ANALYZE`)
	for query, want := range map[string]string{
		strings.NewReplacer("$1", quoted(w.ID), "$2", "100", "$3", "100").Replace(store.PendingQuery):                                           "pombo_delivery_pending",
		strings.NewReplacer("$1", quoted(w.ID), "$2", quoted(string(i.ID)), "$3", "'chat7'", "$4", "100", "$5", "100").Replace(store.LaneQuery): "pombo_delivery_lane",
		strings.NewReplacer("$1", quoted(w.ID), "$2", "0", "$3", "100").Replace(store.ParkedQuery):                                              "pombo_delivery_parked",
	} {
		rows, err := conn.Query(within(t), "EXPLAIN "+query)
		must(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		must(t, err)
		plan := strings.Join(lines, "\n")
		if !strings.Contains(plan, "Index Scan using "+want) || strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("plan:\n%s\nwant %s", plan, want)
		}
	}
}

func quoted(s string) string { return "'" + s + "'" }
