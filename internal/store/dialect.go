package store

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
)

// dialect is what SQL text must know of its database.
type dialect int

const (
	dialectSQLite dialect = iota
	dialectPostgres
)

// name is how dbutil calls the dialect.
func (d dialect) name() string {
	if d == dialectPostgres {
		return "postgres"
	}
	return "sqlite3"
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// form turns SQL with $1-style placeholders into the dialect's own. SQLite reads
// "$1" as a name, and its driver binds by number only for "?1".
func (d dialect) form(query string) string {
	if d == dialectSQLite {
		return placeholder.ReplaceAllString(query, "?$1")
	}
	return query
}

// statement is SQL that is run often. On SQLite it is compiled once for each
// connection; pgx does the same by itself.
type statement struct {
	text string
	stmt *sql.Stmt // nil on PostgreSQL
}

// prepare compiles query for db. It must not be called while a transaction
// holds SQLite's one writing connection: it needs that connection.
func prepare(ctx context.Context, d dialect, db *sql.DB, query string) (statement, error) {
	s := statement{text: d.form(query)}
	if d == dialectPostgres {
		return s, nil
	}
	stmt, err := db.PrepareContext(ctx, s.text)
	if err != nil {
		return statement{}, fmt.Errorf("preparing %q: %w", firstLine(query), err)
	}
	s.stmt = stmt
	return s, nil
}

func firstLine(query string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(query), "\n")
	return line
}

func (s statement) query(ctx context.Context, tx *sql.Tx, args []any) (*sql.Rows, error) {
	if s.stmt == nil {
		return tx.QueryContext(ctx, s.text, args...)
	}
	return tx.StmtContext(ctx, s.stmt).QueryContext(ctx, args...)
}

func (s statement) exec(ctx context.Context, tx *sql.Tx, args []any) (sql.Result, error) {
	if s.stmt == nil {
		return tx.ExecContext(ctx, s.text, args...)
	}
	return tx.StmtContext(ctx, s.stmt).ExecContext(ctx, args...)
}

func (s statement) read(ctx context.Context, db *sql.DB, args ...any) (*sql.Rows, error) {
	if s.stmt == nil {
		return db.QueryContext(ctx, s.text, args...)
	}
	return s.stmt.QueryContext(ctx, args...)
}

// bulkSizes are the numbers of rows for which a bulk statement exists, largest
// first. A few sizes keep the number of compiled statements small; the smallest
// must be 1.
var bulkSizes = [...]int{64, 16, 4, 1}

// bulk is one statement over a list of rows.
type bulk struct {
	sizes [len(bulkSizes)]statement
}

// failing makes a statement leave what it did when it fails: its transaction is
// rolled back in any case. Otherwise SQLite copies each page that the statement
// changes, to undo the statement alone.
var failing = strings.NewReplacer("INSERT INTO ", "INSERT OR FAIL INTO ", "UPDATE ", "UPDATE OR FAIL ")

// prepareBulk compiles head + rows + tail, where a row is a parenthesis of one
// placeholder for each cast. A cast names the type that PostgreSQL cannot infer
// for itself (in a VALUES list that is not an INSERT's); "" needs none. head may have
// placeholders, too, numbered from $1 on.
func prepareBulk(ctx context.Context, d dialect, db *sql.DB, head string, casts []string, tail string) (bulk, error) {
	var b bulk
	if d == dialectSQLite {
		head = failing.Replace(head)
	}
	for i, rows := range bulkSizes {
		var text strings.Builder
		text.WriteString(head)
		n := strings.Count(head, "$")
		for r := range rows {
			if r > 0 {
				text.WriteString(", ")
			}
			text.WriteByte('(')
			for c, cast := range casts {
				if c > 0 {
					text.WriteString(", ")
				}
				n++
				place := fmt.Sprintf("$%d", n)
				if d == dialectSQLite {
					place = "?" // a number is a name there, and names are searched for one by one
				}
				if cast == "" {
					text.WriteString(place)
				} else {
					fmt.Fprintf(&text, "CAST(%s AS %s)", place, cast)
				}
			}
			text.WriteByte(')')
		}
		text.WriteString(tail)
		s, err := prepare(ctx, d, db, text.String())
		if err != nil {
			return bulk{}, err
		}
		b.sizes[i] = s
	}
	return b, nil
}

// chunks calls do for consecutive parts [from, to) of n rows, each with the
// statement of its size.
func (b *bulk) chunks(n int, do func(from, to int, s statement) error) error {
	for from := 0; from < n; {
		for i, size := range bulkSizes {
			if from+size > n {
				continue
			}
			if err := do(from, from+size, b.sizes[i]); err != nil {
				return err
			}
			from += size
			break
		}
	}
	return nil
}
