package store

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"strings"
	"time"

	"pombo"
)

// millis is how a time is stored. The zero time is NULL.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func fromMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}

// stored returns t as it reads after a round trip through the database.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// clean makes s fit for both databases: PostgreSQL's text holds neither NUL nor
// invalid UTF-8, and refusing an event for a strange character would lose it.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// maxKey is the longest text, in bytes, that is put into an index. PostgreSQL
// refuses an index row of more than about 2,700 bytes.
const maxKey = 400

// cleanKey is clean for text that is indexed. Longer text is cut and ends in a
// digest of all of it, so that different texts stay different.
func cleanKey(s string) string {
	s = clean(s)
	if len(s) <= maxKey {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:maxKey-2*len(sum)-1], "") + "~" + hex.EncodeToString(sum[:])
}

// normal returns e as it reads after a round trip through the database, so that
// a delivery's body is the same whether or not it was read back.
func normal(e pombo.Event, now time.Time) pombo.Event {
	e.ID = 0
	e.Instance = pombo.InstanceID(cleanKey(string(e.Instance)))
	e.Key = cleanKey(e.Key)
	e.Chat = cleanKey(e.Chat)
	e.Sender = clean(e.Sender)
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Time = stored(e.Time)
	return e
}

// newID returns a random identifier of 26 characters (130 bits) after prefix.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }
