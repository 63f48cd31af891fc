package evolution

import (
	"bytes"
	"encoding/json"
	"time"
)

// member is one member of an ordered object.
type member struct {
	key   string
	value any
}

// ordered is a JSON object whose members stay in the order given.
type ordered []member

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := encode(m.key)
		if err != nil {
			return nil, err
		}
		v, err := encode(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// has tells whether o has a member with the key.
func (o ordered) has(key string) bool {
	for _, m := range o {
		if m.key == key {
			return true
		}
	}
	return false
}

// encode is json.Marshal without the escaping of <, > and &, which JavaScript
// does not do either.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// raw encodes values of this package's own making, which cannot fail: they
// hold strings, numbers, booleans, and JSON that was checked before.
func raw(v any) json.RawMessage {
	b, err := encode(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

// timestamp writes t as JavaScript's toISOString does: UTC, milliseconds.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// nullable returns nil, thus null, for "".
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}
