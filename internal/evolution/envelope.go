package evolution

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"pombo"
)

// EnvelopeInput is what an event's envelope is made of.
type EnvelopeInput struct {
	Event       pombo.EventName
	Instance    string          // the instance's name
	Data        json.RawMessage // valid JSON; empty means null
	Destination string          // the webhook's URL as configured, without the suffix "by events"
	Time        time.Time       // when the event happened
	Sender      string          // the instance's own JID; omitted if ""
	ServerURL   string          // omitted if ""
	APIKey      string          // the instance's key; "" is sent as null
}

// Envelope returns the body of a POST to a webhook: event, instance, data,
// destination, date_time, sender, server_url, apikey, in this order, that of
// Evolution API 1.5 and later. date_time is in UTC with milliseconds; the
// original writes local time with a "Z". The same input gives the same bytes. at is
// where in the body the data begins.
func Envelope(in EnvelopeInput) (body []byte, at int) {
	b := make([]byte, 0, len(in.Data)+512)
	b = append(b, `{"event":`...)
	b = appendString(b, in.Event.Wire())
	b = append(b, `,"instance":`...)
	b = appendString(b, in.Instance)
	b = append(b, `,"data":`...)
	at = len(b)
	if len(in.Data) == 0 {
		b = append(b, "null"...)
	} else {
		b = append(b, in.Data...)
	}
	b = append(b, `,"destination":`...)
	b = appendString(b, in.Destination)
	b = append(b, `,"date_time":"`...)
	b = in.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, '"')
	if in.Sender != "" {
		b = append(b, `,"sender":`...)
		b = appendString(b, in.Sender)
	}
	if in.ServerURL != "" {
		b = append(b, `,"server_url":`...)
		b = appendString(b, in.ServerURL)
	}
	b = append(b, `,"apikey":`...)
	if in.APIKey == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, in.APIKey)
	}
	return append(b, '}'), at
}

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}

// EventURL returns where an event is posted to: base itself or, for a webhook
// "by events", base with the event's own path below it. The suffix joins the
// path, whether or not base ends with a slash or has a query string; the
// original appends it to the text, which breaks both.
func EventURL(base string, byEvents bool, e pombo.EventName) (string, error) {
	if err := checkURL("url", base); err != nil {
		return "", err
	}
	if !byEvents {
		return base, nil
	}
	suffix := e.PathSuffix()
	if suffix == "" {
		return "", fmt.Errorf("finding the path of event %q: there is no such event", e)
	}
	path, query := base, ""
	if i := strings.IndexByte(path, '#'); i >= 0 {
		path = path[:i] // a fragment is never sent
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i:]
	}
	return strings.TrimRight(path, "/") + "/" + suffix + query, nil
}
