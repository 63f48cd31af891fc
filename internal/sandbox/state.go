package sandbox

import "encoding/json"

// rowKey names a row of the store.
type rowKey struct{ table, key string }

// The store's tables. Each maps a key to a value.
const (
	tableMeta         = "meta"
	tableUsers        = "users"         // by number
	tableDevices      = "devices"       // by number:id
	tablePreKeys      = "prekeys"       // companions' one-time keys, by number:id/key id; empty value: handed out
	tablePhonePreKeys = "phone_prekeys" // phones' one-time keys, by number/key id
	tableSessions     = "sessions"      // Signal sessions, by number/number:id
	tableStanzas      = "stanzas"       // by number:id/sequence
	tableMessages     = "messages"      // by sequence
	tableConfirmed    = "confirmed"     // by number/sequence
	tableSeen         = "seen"          // by number/stanza
	tableViolations   = "violations"    // by sequence
)

// encodeJSON encodes a value that does not change, when its row is written.
func encodeJSON(value any) func() []byte {
	return func() []byte {
		raw, err := json.Marshal(value)
		if err != nil { // all values are plain data
			return []byte("null")
		}
		return raw
	}
}
