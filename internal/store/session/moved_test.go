package session_test

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"pombo/internal/store"
)

// What has to move to a contact's LID is looked up, for each new contact: none of the
// tables is read as a whole.
func TestMovedPlan(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s, err := store.Open(t.Context(), store.Options{URI: uri})
		must(t, err)
		defer s.Close()
		d := pair(t, s.Devices(), s.Devices().NewDevice())
		plan := planOf(t, uri, d.MovedQuery())
		if ranges := regexp.MustCompile(`(?m)^.*(>\?.*<\?|>= .*< ).*$`).FindAllString(plan, -1); len(ranges) != 3 {
			t.Errorf("%d ranges, want one of sessions, identities and sender keys:\n%s", len(ranges), plan)
		}
		// Only these have texts as bytes, whatever the database's language is.
		if ours := strings.Count(plan, "pombo_"); strings.HasPrefix(uri, "postgres") && ours != 3 {
			t.Errorf("%d indexes of ours, want three:\n%s", ours, plan)
		}
	})
}

// planOf is how a database that has rows would run a query: SQLite's words have "?" for
// values, as in (a>? AND a<?), PostgreSQL's the values, as in ((a >= 'x') AND (a < 'y')).
func planOf(t *testing.T, uri, query string) string {
	t.Helper()
	driver, explain := "pgx", "EXPLAIN "
	path, lite := strings.CutPrefix(uri, "sqlite:")
	if lite {
		driver, explain, uri = "sqlite", "EXPLAIN QUERY PLAN ", path
	}
	db, err := sql.Open(driver, uri)
	must(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1) // the setting is the connection's
	if !lite {
		_, err = db.ExecContext(t.Context(), "SET search_path = pombo; SET enable_seqscan = off") // the tables are empty
		must(t, err)
	}
	rows, err := db.QueryContext(t.Context(), explain+query, "me", "551199:")
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	var plan strings.Builder
	line := make([]any, len(columns))
	for i := range line {
		line[i] = new(sql.NullString)
	}
	for rows.Next() {
		must(t, rows.Scan(line...))
		text := line[len(line)-1].(*sql.NullString).String
		if !strings.Contains(text, "Filter:") {
			plan.WriteString(text + "\n")
		}
	}
	must(t, rows.Err())
	return plan.String()
}
