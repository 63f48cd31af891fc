package evolution

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"pombo"
)

// DeliveryPage is a request for a list of deliveries (GET /webhook/deliveries).
type DeliveryPage struct {
	Query pombo.DeliveryQuery
	// Warnings are sentences about parameters that were not understood.
	Warnings []string
}

const defaultPage, largestPage = 50, 500

// deliveryParameters are the parameters of a list of deliveries.
var deliveryParameters = []string{"state", "event", "chat", "webhook", "from", "to", "limit", "cursor"}

// DecodeDeliveryPage reads the query of GET /webhook/deliveries. Errors are of kind
// Invalid.
func DecodeDeliveryPage(q url.Values) (*DeliveryPage, error) {
	var known ordered
	for _, name := range deliveryParameters {
		if v := q.Get(name); v != "" {
			known = append(known, member{name, v})
		}
	}
	p := &DeliveryPage{}
	p.Warnings = unknownParameters(q, deliveryParameters)
	p.Query.Limit = defaultPage
	for _, m := range known {
		v := m.value.(string)
		var err error
		switch m.key {
		case "limit":
			p.Query.Limit, err = strconv.Atoi(v)
			if err != nil || p.Query.Limit < 1 || p.Query.Limit > largestPage {
				return nil, pombo.Errorf(pombo.Invalid, "limit is %q: it must be a whole number from 1 to %d", clip(v, 40), largestPage)
			}
		case "cursor":
			p.Query.Before, err = decodeCursor(v)
		default:
			err = setDeliveryFilter(&p.Query, m.key, m.key, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// unknownParameters returns a sentence about each parameter of a query that is not
// known.
func unknownParameters(q url.Values, known []string) (warnings []string) {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if slices.Contains(known, name) {
			continue
		}
		w := fmt.Sprintf("unknown parameter %q ignored", clip(name, 60))
		if tip, near := closest(name, known); near {
			w += fmt.Sprintf(", did you mean %q?", tip)
		}
		warnings = append(warnings, w)
	}
	return warnings
}

// setDeliveryFilter sets one condition of a query; path names it in errors.
func setDeliveryFilter(q *pombo.DeliveryQuery, name, path, v string) (err error) {
	switch name {
	case "state":
		switch q.State = pombo.DeliveryState(strings.ToLower(v)); q.State {
		case pombo.Pending, pombo.Delivered, pombo.Dead:
		default:
			return pombo.Errorf(pombo.Invalid, "%s is %q: it must be pending, delivered or dead", path, clip(v, 40))
		}
	case "event":
		n, ok := eventByAnyName(v)
		if !ok {
			return pombo.Errorf(pombo.Invalid, "%s", unknownEvent(field{path: path, v: &value{kind: stringValue, text: v}}))
		}
		q.Event = n
	case "chat":
		q.Chat = chatOf(v)
	case "webhook":
		q.Webhook = v
	case "from":
		q.From, err = readTime(path, v)
	case "to":
		q.To, err = readTime(path, v)
	}
	return err
}

// eventByAnyName finds an event by its name or by its name on the wire.
func eventByAnyName(s string) (pombo.EventName, bool) {
	if n, ok := pombo.ParseEventName(s); ok {
		return n, true
	}
	for _, n := range pombo.EventNames() {
		if n.Wire() == s {
			return n, true
		}
	}
	return "", false
}

// chatOf returns the JID of a chat that may be given by a phone number.
func chatOf(s string) string {
	if strings.Contains(s, "@") {
		return s
	}
	return strings.TrimPrefix(s, "+") + "@s.whatsapp.net"
}

// readTime reads a time: RFC 3339, a date (its first moment in UTC), seconds since
// 1970, or a length of time before now, such as "2h" or "3d".
func readTime(path, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && n < 1<<33 {
		return time.Unix(n, 0), nil
	}
	if d, ok := readAge(s); ok {
		return time.Now().Add(-d), nil
	}
	return time.Time{}, pombo.Errorf(pombo.Invalid, "%s is %q: give a time such as 2025-06-30T12:00:00Z, a date, or how long ago, such as 2h or 3d", path, clip(s, 40))
}

// readAge reads a length of time above zero: days ("3d"), or what Go's durations have
// ("90m"), or both ("1d12h").
func readAge(s string) (time.Duration, bool) {
	var age time.Duration
	if days, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, false
		}
		age, s = time.Duration(n)*24*time.Hour, rest
	}
	if s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, false
		}
		age += d
	}
	return age, age > 0
}

func encodeCursor(c pombo.DeliveryCursor) string {
	return fmt.Sprintf("%d-%d", c.At.UnixMilli(), c.ID)
}

func decodeCursor(s string) (*pombo.DeliveryCursor, error) {
	at, id, ok := strings.Cut(s, "-")
	ms, err1 := strconv.ParseInt(at, 10, 64)
	n, err2 := strconv.ParseInt(id, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return nil, pombo.Errorf(pombo.Invalid, "cursor is %q: give the nextCursor of the answer before", clip(s, 40))
	}
	return &pombo.DeliveryCursor{At: time.UnixMilli(ms), ID: n}, nil
}

// Deliveries is the answer to GET /webhook/deliveries: a page, and the cursor of
// the next one, null after the last.
func (p *DeliveryPage) Deliveries(ds []pombo.DeliverySummary) json.RawMessage {
	rows := make([]ordered, len(ds))
	for i, d := range ds {
		rows[i] = deliveryRow(d.Delivery)
		if d.Last != nil {
			rows[i] = append(rows[i], member{"lastAttempt", attemptRow(*d.Last)})
		}
	}
	var next any
	if n := len(ds); n > 0 && n == p.Query.Limit {
		next = encodeCursor(ds[n-1].Cursor())
	}
	return raw(ordered{{"deliveries", rows}, {"nextCursor", next}})
}

func deliveryRow(d pombo.Delivery) ordered {
	row := ordered{
		{"id", strconv.FormatInt(d.ID, 10)},
		{"messageId", d.MessageID},
		{"webhook", d.WebhookID},
		{"event", d.Event.Name},
		{"chat", nullable(d.Event.Chat)},
		{"state", d.State},
	}
	if d.Reason != "" {
		row = append(row, member{"reason", d.Reason})
	}
	row = append(row, member{"attempts", d.Attempts}, member{"createdAt", timestamp(d.CreatedAt)})
	for _, m := range []struct {
		key string
		at  time.Time
	}{{"nextAttemptAt", d.NextAttempt}, {"endedAt", d.EndedAt}, {"replayedAt", d.ReplayedAt}} {
		if !m.at.IsZero() {
			row = append(row, member{m.key, timestamp(m.at)})
		}
	}
	if d.Parked {
		row = append(row, member{"parked", true})
	}
	return row
}

func attemptRow(a pombo.Attempt) ordered {
	row := ordered{
		{"number", a.Number},
		{"at", timestamp(a.At)},
		{"durationMs", float64(a.Duration.Microseconds()) / 1000},
		{"address", nullable(a.Address)},
		{"status", nil},
	}
	if a.Status != 0 {
		row[len(row)-1].value = a.Status
	}
	if a.ErrorCode != "" {
		row = append(row, member{"errorCode", a.ErrorCode}, member{"error", a.Error})
	}
	if a.Response != nil {
		row = append(row, member{"response", responseText(a.Response)})
	}
	return row
}

// responseText is the beginning of an answer's body as text; a character that is
// cut at its end is left out.
func responseText(b []byte) string {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				b = b[:len(b)-i]
			}
			break
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// DecodeDeliveryView reads the query of GET /webhook/deliveries/{instance}/{id}: file
// tells whether the payload's file is asked for. Errors are of kind Invalid.
func DecodeDeliveryView(q url.Values) (file bool, warnings []string, err error) {
	switch v := strings.ToLower(q.Get("file")); v {
	case "", "false":
	case "true":
		file = true
	default:
		return false, nil, pombo.Errorf(pombo.Invalid, "file is %q: it must be true or false", clip(v, 40))
	}
	return file, unknownParameters(q, []string{"file"}), nil
}

// DeliveryFound is the answer to GET /webhook/deliveries/{instance}/{id}. If the
// content of the payload's file is there, its base64 belongs between head and tail;
// otherwise tail is empty.
func DeliveryFound(d pombo.DeliveryDetail) (head, tail []byte) {
	row := append(deliveryRow(d.Delivery), member{"url", nullable(d.URL)})
	if f := d.File; f != nil {
		row = append(row, member{"payloadFile", ordered{
			{"path", "data.message.base64"}, {"bytes", f.Size}, {"fetched", f.Fetched}, {"shown", f.Content != nil},
		}})
	}
	attempts := make([]ordered, len(d.Attempts))
	for i, a := range d.Attempts {
		attempts[i] = attemptRow(a)
	}
	head = raw(row)
	head = append(head[:len(head)-1:len(head)-1], `,"payload":`...)
	end := append([]byte(`,"attemptLog":`), raw(attempts)...)
	end = append(end, '}')
	if d.File == nil || d.File.Content == nil {
		return slices.Concat(head, d.Payload, end), nil
	}
	insert := InsertFile()
	return slices.Concat(head, d.Payload[:d.File.At], insert.Before), slices.Concat(insert.After, d.Payload[d.File.At:], end)
}

// WebhooksHealth is the answer to GET /webhook/health.
func WebhooksHealth(hs []pombo.WebhookHealth, now time.Time) json.RawMessage {
	rows := make([]ordered, len(hs))
	for i, h := range hs {
		row := ordered{
			{"id", h.Webhook.ID},
			{"position", h.Webhook.Position},
			{"enabled", h.Webhook.Enabled},
			{"circuit", nullable(h.Circuit)},
			{"backlog", h.Backlog},
			{"oldestPendingAt", optionalTime(h.Oldest)},
			{"oldestPendingSeconds", nil},
			{"lastSuccessAt", optionalTime(h.LastSuccess)},
			{"attempts24h", h.Attempts},
			{"successRate24h", nil},
		}
		if !h.Oldest.IsZero() {
			row[6].value = max(0, int64(now.Sub(h.Oldest).Seconds()))
		}
		if h.Attempts > 0 {
			row[9].value = float64(h.Successes*10_000/h.Attempts) / 10_000
		}
		if !h.OpenUntil.IsZero() {
			row = append(row, member{"nextProbeAt", timestamp(h.OpenUntil)})
		}
		if h.FilterErrors > 0 {
			row = append(row, member{"filterErrors", h.FilterErrors}, member{"filterLastError", h.FilterLastError})
		}
		rows[i] = row
	}
	return raw(ordered{{"webhooks", rows}})
}

func optionalTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return timestamp(t)
}
