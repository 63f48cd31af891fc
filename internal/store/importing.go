package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
	"go.mau.fi/whatsmeow/types"

	"pombo"
)

// Source is a database in which whatsmeow's own store (sqlstore) has kept paired
// devices: that of WuzAPI, GOWA, Evolution Go, or of any other program that uses
// whatsmeow. It is only read.
type Source struct {
	db      *sql.DB
	dialect dialect
	version int
	redact  func(error) error
}

// SourceDevice is a device in a Source.
type SourceDevice struct {
	JID      types.JID
	LID      types.JID
	PushName string
}

// The versions of sqlstore's tables that can be read: since version 5 JIDs are
// written as they are now, and a database says from which version on another
// program can use it.
const oldestSource, newestSource = 5, 11

// OpenSource opens a database at the path of an SQLite file, or a postgresql:// URL
// (its parameter "schema" names the schema). Errors say what to do, and hold no
// password.
func OpenSource(ctx context.Context, from string) (*Source, error) {
	s := &Source{redact: func(err error) error { return err }}
	if strings.HasPrefix(from, "postgresql://") || strings.HasPrefix(from, "postgres://") {
		u, err := parsePostgresURL(from)
		if err != nil {
			return nil, err
		}
		if parsed, err := url.Parse(from); err == nil && !parsed.Query().Has("schema") {
			delete(u.config.RuntimeParams, "search_path") // where the other program has its tables
		}
		s.db, s.dialect, s.redact = stdlib.OpenDB(*u.config), dialectPostgres, u.redact
	} else {
		path := strings.TrimPrefix(strings.TrimPrefix(from, "sqlite:"), "file:")
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			return nil, pombo.Errorf(pombo.Invalid, "%s is no file: give the path of the SQLite database, or a postgresql:// URL", path)
		}
		if err := checkSource(path); err != nil {
			return nil, err
		}
		uri := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "mode=ro&_pragma=query_only(1)"}
		s.db = openLiteDB(uri.String())
	}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(s.redact(err), s.db.Close())
	}
	return s, nil
}

func checkSource(path string) error {
	const magic = "SQLite format 3\x00"
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the database to import from: %w", err)
	}
	defer file.Close()
	head := make([]byte, len(magic))
	if n, _ := file.Read(head); string(head[:n]) != magic {
		return pombo.Errorf(pombo.Invalid, "%s is no SQLite database", path)
	}
	return nil
}

// check reads the version of the tables.
func (s *Source) check(ctx context.Context) error {
	if err := s.db.PingContext(ctx); err != nil {
		return pombo.Errorf(pombo.Unavailable, "the database to import from cannot be opened: %w", s.redact(err))
	}
	has, err := s.columns(ctx, whatsmeowVersionName)
	if err != nil {
		return err
	}
	if len(has) == 0 {
		return pombo.Errorf(pombo.Invalid, "there are no tables of whatsmeow in this database: if the program keeps several, give the one with the table whatsmeow_device")
	}
	var compat sql.NullInt64
	query := `SELECT version, NULL FROM ` + whatsmeowVersionName
	if has["compat"] {
		query = `SELECT version, compat FROM ` + whatsmeowVersionName
	}
	if err := s.db.QueryRowContext(ctx, query).Scan(&s.version, &compat); err != nil {
		return fmt.Errorf("reading the version of whatsmeow's tables: %w", err)
	}
	switch {
	case s.version < oldestSource:
		return pombo.Errorf(pombo.Invalid, "whatsmeow's tables have version %d there: start a newer version of the other program once, which upgrades them", s.version)
	case s.version > newestSource && (!compat.Valid || compat.Int64 > newestSource):
		return pombo.Errorf(pombo.Invalid, "whatsmeow's tables have version %d there, and this Pombo knows those up to %d: use a newer Pombo", s.version, newestSource)
	}
	return nil
}

// columns returns the columns of a table, none if it does not exist.
func (s *Source) columns(ctx context.Context, table string) (map[string]bool, error) {
	query := `SELECT name FROM pragma_table_info(?1)`
	if s.dialect == dialectPostgres {
		query = `SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`
	}
	rows, err := s.db.QueryContext(ctx, query, table)
	if err != nil {
		return nil, fmt.Errorf("looking at the table %s: %w", table, err)
	}
	defer rows.Close()
	has := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		has[name] = true
	}
	return has, rows.Err()
}

// Devices lists the paired devices.
func (s *Source) Devices(ctx context.Context) (list []SourceDevice, err error) {
	defer func() { err = s.redact(err) }()
	has, err := s.columns(ctx, "whatsmeow_device")
	if err != nil {
		return nil, err
	}
	lid := "NULL"
	if has["lid"] {
		lid = "lid"
	}
	rows, err := s.db.QueryContext(ctx, `SELECT jid, `+lid+`, push_name FROM whatsmeow_device ORDER BY jid`)
	if err != nil {
		return nil, fmt.Errorf("reading the devices: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d SourceDevice
		var lid sql.NullString
		if err := rows.Scan(&d.JID, &lid, &d.PushName); err != nil {
			return nil, fmt.Errorf("reading a device: %w", err)
		}
		if lid.String != "" {
			if d.LID, err = types.ParseJID(lid.String); err != nil {
				return nil, fmt.Errorf("reading the LID of %s: %w", d.JID, err)
			}
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

// Close closes the database.
func (s *Source) Close() error { return s.db.Close() }

// Import takes over a device, with all that whatsmeow keeps of it, and makes an
// instance of it, in one transaction. i.JID names the device.
//
// Errors: Conflict if this database has the device; Forbidden if the name is taken;
// Unavailable.
func (s *Store) Import(ctx context.Context, from *Source, i pombo.Instance) error {
	if i.ID == "" || i.Name == "" || i.JID == "" {
		return pombo.Errorf(pombo.Invalid, "an instance that is imported needs an ID, a name and a JID")
	}
	if i.Integration == "" {
		i.Integration = "WHATSAPP-BAILEYS"
	}
	create := &createOp{instance: i}
	var err error
	if create.settings, err = encode(i.Settings); err != nil {
		return err
	}
	op := importOp{create: create, from: from}
	if err := s.submitAll(ctx, op); err != nil {
		return from.redact(err)
	}
	return nil
}

type importOp struct {
	create *createOp
	from   *Source
}

func (importOp) name() string { return "import" }

func (importOp) weight() (events, bytes int) { return maxBatchEvents, 0 }

func (op importOp) apply(ctx context.Context, t *txn) error {
	jid := op.create.instance.JID
	var there int
	if err := t.row(ctx, `SELECT COUNT(*) FROM whatsmeow_device WHERE jid = $1`, jid).Scan(&there); err != nil {
		return err
	}
	if there > 0 {
		return pombo.Errorf(pombo.Conflict, "the device %s is in this database already", jid)
	}
	if err := op.create.apply(ctx, t); err != nil {
		return err
	}
	for _, table := range importedTables {
		if err := op.from.copyTable(ctx, t, table, jid); err != nil {
			// Not a refusal: rows have been written.
			return fmt.Errorf("importing %s: %w", table.name, op.from.redact(err))
		}
	}
	return nil
}

// importedTable is a table of whatsmeow's; owner is the column that names the
// device, "" if the rows are of all.
type importedTable struct {
	name, owner string
	columns     []string
}

// importedTables are in the order in which their rows can refer to each other.
var importedTables = []importedTable{
	{"whatsmeow_device", "jid", []string{
		"jid", "lid", "facebook_uuid", "registration_id", "noise_key", "identity_key", "signed_pre_key", "signed_pre_key_id",
		"signed_pre_key_sig", "adv_key", "adv_details", "adv_account_sig", "adv_account_sig_key", "adv_device_sig",
		"platform", "business_name", "push_name", "lid_migration_ts",
	}},
	{"whatsmeow_identity_keys", "our_jid", []string{"our_jid", "their_id", "identity"}},
	{"whatsmeow_pre_keys", "jid", []string{"jid", "key_id", "key", "uploaded"}},
	{"whatsmeow_sessions", "our_jid", []string{"our_jid", "their_id", "session"}},
	{"whatsmeow_sender_keys", "our_jid", []string{"our_jid", "chat_id", "sender_id", "sender_key"}},
	{"whatsmeow_app_state_sync_keys", "jid", []string{"jid", "key_id", "key_data", "timestamp", "fingerprint"}},
	{"whatsmeow_app_state_version", "jid", []string{"jid", "name", "version", "hash"}},
	{"whatsmeow_app_state_mutation_macs", "jid", []string{"jid", "name", "version", "index_mac", "value_mac"}},
	{"whatsmeow_contacts", "our_jid", []string{
		"our_jid", "their_jid", "first_name", "full_name", "push_name", "business_name", "redacted_phone",
	}},
	{"whatsmeow_chat_settings", "our_jid", []string{"our_jid", "chat_jid", "muted_until", "pinned", "archived"}},
	{"whatsmeow_message_secrets", "our_jid", []string{"our_jid", "chat_jid", "sender_jid", "message_id", "key"}},
	{"whatsmeow_privacy_tokens", "our_jid", []string{"our_jid", "their_jid", "token", "timestamp"}},
	{"whatsmeow_event_buffer", "our_jid", []string{
		"our_jid", "ciphertext_hash", "plaintext", "server_timestamp", "insert_timestamp",
	}},
	{"whatsmeow_lid_map", "", []string{"lid", "pn"}},
}

// importRows is how many rows one statement inserts.
const importRows = 50

// copyTable copies what is there of a table: an older version lacks some.
func (s *Source) copyTable(ctx context.Context, t *txn, table importedTable, jid string) error {
	has, err := s.columns(ctx, table.name)
	if err != nil || len(has) == 0 {
		return err
	}
	var columns []string
	for _, c := range table.columns {
		if has[c] {
			columns = append(columns, c)
		}
	}
	query, args := `SELECT `+strings.Join(columns, ", ")+` FROM `+table.name, []any(nil)
	if table.owner != "" {
		query, args = query+` WHERE `+table.owner+` = $1`, []any{jid}
	}
	rows, err := s.db.QueryContext(ctx, s.dialect.form(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var values []any
	flush := func() error {
		if len(values) == 0 {
			return nil
		}
		_, err := t.exec(ctx, insertMany(table.name, columns, len(values)/len(columns)), values...)
		values = values[:0]
		return err
	}
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, c := range columns {
			values = append(values, imported(c, row[i]))
		}
		if len(values) == importRows*len(columns) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return flush()
}

// insertMany is a statement that inserts rows that are not there.
func insertMany(table string, columns []string, rows int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", table, strings.Join(columns, ", "))
	n := 0
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for c := range columns {
			if c > 0 {
				b.WriteString(", ")
			}
			n++
			fmt.Fprintf(&b, "$%d", n)
		}
		b.WriteByte(')')
	}
	b.WriteString(" ON CONFLICT DO NOTHING")
	return b.String()
}

// imported turns a value into the type of its column: SQLite has no booleans, and
// gives a text as it was put in.
func imported(column string, value any) any {
	switch column {
	case "uploaded", "pinned", "archived":
		if n, ok := value.(int64); ok {
			return n != 0
		}
	case "facebook_uuid":
		return nil // of accounts that are not WhatsApp's
	}
	if b, ok := value.([]byte); ok && textColumns[column] {
		return string(b)
	}
	if s, ok := value.(string); ok && !textColumns[column] {
		return []byte(s)
	}
	return value
}

var textColumns = map[string]bool{
	"jid": true, "lid": true, "pn": true, "our_jid": true, "their_id": true, "their_jid": true, "chat_id": true,
	"sender_id": true, "name": true, "platform": true, "business_name": true, "push_name": true, "first_name": true,
	"full_name": true, "redacted_phone": true, "chat_jid": true, "sender_jid": true, "message_id": true,
}
