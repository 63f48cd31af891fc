package session

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"pombo"
)

// Writer commits. Write returns nil when the writes and the events are on the
// disk, all of them together; it can be repeated. If ctx ends while the commit is
// under way it waits for its outcome.
type Writer interface {
	Write(ctx context.Context, w *Writes, events ...pombo.Event) error
}

// Writes is what goes into one transaction: statements, then rows.
type Writes struct {
	statements []statement
	rows       []row
	bytes      int
}

// row is the new value of a thing, or that it is gone.
type row struct {
	key
	*entry
}

// entry is a change that is not committed yet.
type entry struct {
	value   []byte
	deleted bool
	at      int64 // of a buffered event: when the server sent it, Unix seconds
}

type statement struct {
	query string // in the database's own form
	args  []any
}

// Weight is how much of a transaction w takes.
func (w *Writes) Weight() (rows, bytes int) { return len(w.rows) + len(w.statements), w.bytes }

// Empty tells whether there is nothing to write.
func (w *Writes) Empty() bool { return len(w.rows) == 0 && len(w.statements) == 0 }

func (w *Writes) add(k key, e *entry) {
	w.rows = append(w.rows, row{k, e})
	w.bytes += len(e.value) + len(k.a) + len(k.b)
}

func (w *Writes) run(query string, args ...any) {
	w.statements = append(w.statements, statement{query, args})
}

// table is where things of a kind are kept, if they are rows with a value.
type table struct {
	kind   kind
	upsert [len(bulkSizes)]string
	remove string
	args   func(row) []any
	text   bool // the value is one, not bytes
}

// bulkSizes are the numbers of rows that one statement writes: few, so that few
// statements have to be kept compiled. The last is 1.
var bulkSizes = [...]int{32, 8, 4, 2, 1}

// queries are the statements in the form of the database.
type queries struct {
	form     func(string) string
	postgres bool
	tables   []table

	deleteSessions, deleteIdentities                                      string
	moved, meet                                                           string
	getSession, getIdentity, getSenderKey                                 string
	getPreKeys, lastPreKey, unuploadedPreKeys                             string
	insertPreKey, removePreKey, uploadedPreKeys                           string
	countPreKeys, getSecret                                               string
	dropOldLID, putLID, getLID, getNumber                                 string
	getBuffered, waitingBuffered, putBuffered, clearBuffered, ageBuffered string
	getContact, allContacts                                               string
	putNames, putPhone                                                    string
	getSessions, getLIDs                                                  [len(bulkSizes)]string
}

// prefixed is the condition that an address begins with the text that the
// parameter n is: a range that an index finds. On PostgreSQL the order of texts
// depends on the language, unless they are said to be mere bytes, which needs an
// index that says so, too: see Indexes.
func prefixed(postgres bool, column string, n int) string {
	if postgres {
		column += ` COLLATE "C"`
	}
	// The last character of a prefix is a colon, and the next one a semicolon.
	return fmt.Sprintf("(%[1]s >= $%[2]d AND %[1]s < substr($%[2]d, 1, length($%[2]d) - 1) || ';')", column, n)
}

// Indexes are statements that make the indexes which whatsmeow's tables lack for what
// is asked of each new contact: else a device would read all that it has, some 100,000
// rows. The table of sender keys has the group before the sender.
func Indexes(postgres bool) []string {
	if !postgres {
		return []string{`CREATE INDEX IF NOT EXISTS pombo_sender_key_sender ON whatsmeow_sender_keys (our_jid, sender_id)`}
	}
	return []string{
		`CREATE INDEX IF NOT EXISTS pombo_sender_key_sender ON whatsmeow_sender_keys (our_jid, sender_id COLLATE "C")`,
		`CREATE INDEX IF NOT EXISTS pombo_session_address ON whatsmeow_sessions (our_jid, their_id COLLATE "C")`,
		`CREATE INDEX IF NOT EXISTS pombo_identity_address ON whatsmeow_identity_keys (our_jid, their_id COLLATE "C")`,
	}
}

func newQueries(postgres bool, form func(string) string) *queries {
	q := &queries{form: form, postgres: postgres}
	at := func(column string) string { return prefixed(postgres, column, 2) }
	// One statement, since it is asked of every new contact.
	moved := fmt.Sprintf(`SELECT %d, their_id, '', session FROM whatsmeow_sessions WHERE our_jid = $1 AND `, sessionKind) + at("their_id") +
		fmt.Sprintf(` UNION ALL SELECT %d, their_id, '', identity FROM whatsmeow_identity_keys WHERE our_jid = $1 AND `, identityKind) + at("their_id") +
		fmt.Sprintf(` UNION ALL SELECT %d, chat_id, sender_id, sender_key FROM whatsmeow_sender_keys WHERE our_jid = $1 AND `, senderKeyKind) + at("sender_id")
	for text, into := range map[string]*string{
		`SELECT session FROM whatsmeow_sessions WHERE our_jid = $1 AND their_id = $2`:                         &q.getSession,
		`SELECT identity FROM whatsmeow_identity_keys WHERE our_jid = $1 AND their_id = $2`:                   &q.getIdentity,
		`SELECT sender_key FROM whatsmeow_sender_keys WHERE our_jid = $1 AND chat_id = $2 AND sender_id = $3`: &q.getSenderKey,
		`DELETE FROM whatsmeow_sessions WHERE our_jid = $1 AND ` + at("their_id"):                             &q.deleteSessions,
		`DELETE FROM whatsmeow_identity_keys WHERE our_jid = $1 AND ` + at("their_id"):                        &q.deleteIdentities,
		moved:          &q.moved,
		meeting(moved): &q.meet,

		`SELECT key_id, key FROM whatsmeow_pre_keys WHERE jid = $1 AND key_id >= $2 AND key_id < $3`:              &q.getPreKeys,
		`SELECT COALESCE(MAX(key_id), 0) FROM whatsmeow_pre_keys WHERE jid = $1`:                                  &q.lastPreKey,
		`SELECT key_id, key FROM whatsmeow_pre_keys WHERE jid = $1 AND uploaded = false ORDER BY key_id LIMIT $2`: &q.unuploadedPreKeys,
		`INSERT INTO whatsmeow_pre_keys (jid, key_id, key, uploaded) VALUES ($1, $2, $3, $4)`:                     &q.insertPreKey,
		`DELETE FROM whatsmeow_pre_keys WHERE jid = $1 AND key_id = $2`:                                           &q.removePreKey,
		`UPDATE whatsmeow_pre_keys SET uploaded = true WHERE jid = $1 AND key_id <= $2`:                           &q.uploadedPreKeys,
		`SELECT COUNT(*) FROM whatsmeow_pre_keys WHERE jid = $1 AND uploaded = true`:                              &q.countPreKeys,
		`SELECT key, sender_jid FROM whatsmeow_message_secrets WHERE our_jid = $1 AND chat_jid IN ($2, $3)
			AND sender_jid IN ($4, $5) AND message_id = $6`: &q.getSecret,

		`DELETE FROM whatsmeow_lid_map WHERE lid <> $1 AND pn = $2`:                                                &q.dropOldLID,
		`INSERT INTO whatsmeow_lid_map (lid, pn) VALUES ($1, $2) ON CONFLICT (lid) DO UPDATE SET pn = excluded.pn`: &q.putLID,
		`SELECT lid FROM whatsmeow_lid_map WHERE pn = $1`:                                                          &q.getLID,
		`SELECT pn FROM whatsmeow_lid_map WHERE lid = $1`:                                                          &q.getNumber,

		`SELECT plaintext, server_timestamp, insert_timestamp FROM whatsmeow_event_buffer WHERE our_jid = $1 AND ciphertext_hash = $2`: &q.getBuffered,
		`SELECT ciphertext_hash FROM whatsmeow_event_buffer WHERE our_jid = $1 AND plaintext IS NOT NULL`:                              &q.waitingBuffered,
		`INSERT INTO whatsmeow_event_buffer (our_jid, ciphertext_hash, plaintext, server_timestamp, insert_timestamp)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (our_jid, ciphertext_hash) DO UPDATE SET plaintext = excluded.plaintext`: &q.putBuffered,
		`UPDATE whatsmeow_event_buffer SET plaintext = NULL WHERE our_jid = $1 AND ciphertext_hash = $2`: &q.clearBuffered,
		`DELETE FROM whatsmeow_event_buffer WHERE insert_timestamp < $1`:                                 &q.ageBuffered,

		`SELECT first_name, full_name, push_name, business_name, redacted_phone FROM whatsmeow_contacts
			WHERE our_jid = $1 AND their_jid = $2`: &q.getContact,
		`SELECT their_jid, first_name, full_name, push_name, business_name, redacted_phone FROM whatsmeow_contacts
			WHERE our_jid = $1`: &q.allContacts,
		upsertContact("first_name", "full_name"): &q.putNames,
		upsertContact("redacted_phone"):          &q.putPhone,
	} {
		*into = form(text)
	}
	for i, n := range bulkSizes {
		q.getSessions[i] = form(`SELECT their_id, session FROM whatsmeow_sessions WHERE our_jid = $1 AND their_id IN (` + placeholders(2, n) + `)`)
		q.getLIDs[i] = form(`SELECT pn, lid FROM whatsmeow_lid_map WHERE pn IN (` + placeholders(1, n) + `)`)
	}
	q.tables = newTables(postgres, form)
	return q
}

func (t *table) value(r row) any {
	if t.text {
		return string(r.value)
	}
	return r.value
}

func upsertContact(columns ...string) string {
	var set []string
	for _, c := range columns {
		set = append(set, c+` = excluded.`+c)
	}
	return `INSERT INTO whatsmeow_contacts (our_jid, their_jid, ` + strings.Join(columns, `, `) + `) VALUES (` + placeholders(1, 2+len(columns)) + `)
		ON CONFLICT (our_jid, their_jid) DO UPDATE SET ` + strings.Join(set, `, `)
}

// placeholders is n of them from number first on.
func placeholders(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

func newTables(postgres bool, form func(string) string) []table {
	upsert := func(head string, columns int, tail string) (texts [len(bulkSizes)]string) {
		for i, n := range bulkSizes {
			rows := make([]string, n)
			for r := range rows {
				rows[r] = `(` + placeholders(1+r*columns, columns) + `)`
			}
			texts[i] = form(head + ` VALUES ` + strings.Join(rows, `, `) + ` ` + tail)
		}
		return texts
	}
	name := func(kind kind, column string) table {
		return table{
			kind: kind,
			upsert: upsert(`INSERT INTO whatsmeow_contacts (our_jid, their_jid, `+column+`)`, 3,
				`ON CONFLICT (our_jid, their_jid) DO UPDATE SET `+column+` = excluded.`+column),
			args: func(r row) []any { return []any{r.jid, r.a} },
			text: true,
		}
	}
	tables := []table{
		{
			kind: sessionKind,
			upsert: upsert(`INSERT INTO whatsmeow_sessions (our_jid, their_id, session)`, 3,
				`ON CONFLICT (our_jid, their_id) DO UPDATE SET session = excluded.session`),
			remove: form(`DELETE FROM whatsmeow_sessions WHERE our_jid = $1 AND their_id = $2`),
			args:   func(r row) []any { return []any{r.jid, r.a} },
		},
		{
			kind: identityKind,
			upsert: upsert(`INSERT INTO whatsmeow_identity_keys (our_jid, their_id, identity)`, 3,
				`ON CONFLICT (our_jid, their_id) DO UPDATE SET identity = excluded.identity`),
			remove: form(`DELETE FROM whatsmeow_identity_keys WHERE our_jid = $1 AND their_id = $2`),
			args:   func(r row) []any { return []any{r.jid, r.a} },
		},
		{
			kind: senderKeyKind,
			upsert: upsert(`INSERT INTO whatsmeow_sender_keys (our_jid, chat_id, sender_id, sender_key)`, 4,
				`ON CONFLICT (our_jid, chat_id, sender_id) DO UPDATE SET sender_key = excluded.sender_key`),
			remove: form(`DELETE FROM whatsmeow_sender_keys WHERE our_jid = $1 AND chat_id = $2 AND sender_id = $3`),
			args:   func(r row) []any { return []any{r.jid, r.a, r.b} },
		},
		{
			// The first secret of a message stays.
			kind: secretKind,
			upsert: upsert(`INSERT INTO whatsmeow_message_secrets (our_jid, chat_jid, sender_jid, message_id, key)`, 5,
				`ON CONFLICT (our_jid, chat_jid, sender_jid, message_id) DO NOTHING`),
			args: func(r row) []any {
				chat, sender, _ := strings.Cut(r.a, " ")
				return []any{r.jid, chat, sender, r.b}
			},
		},
		name(pushKind, "push_name"),
		name(businessKind, "business_name"),
	}
	if !postgres {
		// Whoever had the LID or the number before has it no more. PostgreSQL takes two
		// statements for that: see applyOther.
		tables = append(tables, table{
			kind:   lidKind,
			upsert: upsert(`INSERT OR REPLACE INTO whatsmeow_lid_map (pn, lid)`, 2, ``),
			args:   func(r row) []any { return []any{r.a} },
			text:   true,
		})
	}
	return tables
}

// Apply makes writes in a transaction; what they say of one thing, the last says.
func (c *Container) Apply(ctx context.Context, tx *sql.Tx, all ...*Writes) error {
	last := map[key]*entry{}
	var order []key
	for _, w := range all {
		for _, s := range w.statements {
			// A statement may be about what rows before it have changed.
			if err := c.applyRows(ctx, tx, order, last); err != nil {
				return err
			}
			order = order[:0]
			clear(last)
			if _, err := tx.ExecContext(ctx, s.query, s.args...); err != nil {
				return err
			}
		}
		for _, r := range w.rows {
			if _, seen := last[r.key]; !seen {
				order = append(order, r.key)
			} else if r.kind == secretKind {
				continue
			}
			last[r.key] = r.entry
		}
	}
	return c.applyRows(ctx, tx, order, last)
}

func (c *Container) applyRows(ctx context.Context, tx *sql.Tx, order []key, last map[key]*entry) error {
	for i := range c.q.tables {
		if err := c.applyTable(ctx, tx, &c.q.tables[i], order, last); err != nil {
			return err
		}
	}
	for _, k := range order {
		if err := c.applyOther(ctx, tx, row{k, last[k]}); err != nil {
			return err
		}
	}
	return nil
}

func (c *Container) applyTable(ctx context.Context, tx *sql.Tx, t *table, order []key, last map[key]*entry) error {
	var put []row
	for _, k := range order {
		switch r := (row{k, last[k]}); {
		case k.kind != t.kind:
		case r.deleted:
			if _, err := tx.ExecContext(ctx, t.remove, t.args(r)...); err != nil {
				return err
			}
		default:
			put = append(put, r)
		}
	}
	for len(put) > 0 {
		for i, n := range bulkSizes {
			if n > len(put) {
				continue
			}
			var args []any
			for _, r := range put[:n] {
				args = append(append(args, t.args(r)...), t.value(r))
			}
			if _, err := tx.ExecContext(ctx, t.upsert[i], args...); err != nil {
				return err
			}
			put = put[n:]
			break
		}
	}
	return nil
}

// applyOther writes what is no row with a value, and rare.
func (c *Container) applyOther(ctx context.Context, tx *sql.Tx, r row) error {
	var err error
	switch r.kind {
	case preKeyKind: // only used ones
		_, err = tx.ExecContext(ctx, c.q.removePreKey, r.jid, preKeyID(r.a))
	case lidKind:
		if !c.q.postgres {
			return nil // a table
		}
		if _, err = tx.ExecContext(ctx, c.q.dropOldLID, string(r.value), r.a); err == nil {
			_, err = tx.ExecContext(ctx, c.q.putLID, string(r.value), r.a)
		}
	case bufferKind:
		if r.deleted {
			_, err = tx.ExecContext(ctx, c.q.clearBuffered, r.jid, []byte(r.a))
		} else {
			_, err = tx.ExecContext(ctx, c.q.putBuffered, r.jid, []byte(r.a), r.value, r.at, time.Now().UnixMilli())
		}
	}
	return err
}
