package session_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"pombo/internal/store"
)

// What has to move to a contact's LID is looked up, for each new contact: none of the
// tables is read as a whole.
func TestMovedPlan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pombo.db")
	s, err := store.Open(t.Context(), store.Options{URI: "sqlite:" + path})
	must(t, err)
	defer s.Close()
	d := pair(t, s.Devices(), s.Devices().NewDevice())
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+d.MovedQuery(), "me", "551199:")
	must(t, err)
	defer rows.Close()
	ranges := 0
	for rows.Next() {
		var id, parent, unused int
		var detail string
		must(t, rows.Scan(&id, &parent, &unused, &detail))
		if strings.Contains(detail, ">?") && strings.Contains(detail, "<?") {
			ranges++
		} else if strings.Contains(detail, "whatsmeow_") {
			t.Errorf("not a range of addresses: %s", detail)
		}
	}
	must(t, rows.Err())
	if ranges != 3 {
		t.Errorf("%d ranges, want one of sessions, identities and sender keys", ranges)
	}
}
