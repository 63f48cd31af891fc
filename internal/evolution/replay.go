package evolution

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"pombo"
)

// ReplaySet is a request to deliver again (POST /webhook/replay).
type ReplaySet struct{ Replay pombo.Replay }

// replayFilters are the conditions of a replay without IDs.
var replayFilters = []string{"state", "event", "chat", "webhook", "from", "to"}

// DecodeReplay reads the body of POST /webhook/replay: ids, or conditions as in
// GET /webhook/deliveries, which may also stand within "filter". At least one is
// needed. Errors are of kind Invalid; also an unknown key is one, since a condition
// that is misspelled would otherwise make the call about much more.
func DecodeReplay(body []byte) (*ReplaySet, error) {
	top, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	o := newObject("", top)
	set := &ReplaySet{}
	dry, err := o.field("dryRun", "dry_run")
	if err != nil {
		return nil, err
	}
	if b, err := dry.bool(); err != nil {
		return nil, err
	} else if b != nil {
		set.Replay.DryRun = *b
	}
	ids, err := o.field("ids")
	if err != nil {
		return nil, err
	}
	if set.Replay.IDs, err = readIDs(ids); err != nil {
		return nil, err
	}
	n, err := readReplayFilters(o, &set.Replay.Query)
	if err != nil {
		return nil, err
	}
	inner, err := o.field("filter")
	if err != nil {
		return nil, err
	}
	within, err := inner.object()
	if err != nil {
		return nil, err
	}
	if within != nil {
		more, err := readReplayFilters(within, &set.Replay.Query)
		if err != nil {
			return nil, err
		}
		if n > 0 && more > 0 {
			return nil, pombo.Errorf(pombo.Invalid, "give the conditions either within filter or beside it, not both")
		}
		n += more
		if err := within.refuseUnknown(); err != nil {
			return nil, err
		}
	}
	if err := o.refuseUnknown(); err != nil {
		return nil, err
	}
	switch {
	case ids.given() && n > 0:
		return nil, pombo.Errorf(pombo.Invalid, "give either ids or conditions (%s), not both", strings.Join(replayFilters, ", "))
	case ids.given() && len(set.Replay.IDs) == 0:
		return nil, pombo.Errorf(pombo.Invalid, "ids is empty: give the ids of deliveries as GET /webhook/deliveries shows them")
	case !ids.given() && n == 0:
		return nil, pombo.Errorf(pombo.Invalid, "give ids, or at least one of the conditions %s; for example {\"state\":\"dead\"}", strings.Join(replayFilters, ", "))
	}
	return set, nil
}

func readReplayFilters(o *object, q *pombo.DeliveryQuery) (n int, err error) {
	for _, name := range replayFilters {
		f, err := o.field(name)
		if err != nil {
			return n, err
		}
		if !f.given() {
			continue
		}
		text := f.v.text
		if f.v.kind != stringValue && (f.v.kind != numberValue || name != "from" && name != "to") {
			return n, f.wrong("a string")
		}
		if text == "" {
			continue
		}
		n++
		if err := setDeliveryFilter(q, name, f.path, text); err != nil {
			return n, err
		}
	}
	return n, nil
}

// readIDs reads the IDs of deliveries, as texts or as numbers.
func readIDs(f field) ([]int64, error) {
	if !f.given() {
		return nil, nil
	}
	if f.v.kind != arrayValue {
		return nil, f.wrong("an array of the ids of deliveries")
	}
	ids := make([]int64, 0, len(f.v.list))
	for i := range f.v.list {
		item := field{path: f.path + "[" + strconv.Itoa(i) + "]", v: &f.v.list[i]}
		id, err := strconv.ParseInt(item.v.text, 10, 64)
		if err != nil || item.v.kind != stringValue && item.v.kind != numberValue {
			return nil, item.wrong("the id of a delivery, as GET /webhook/deliveries shows it")
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Answer returns the body of the answer.
func (s *ReplaySet) Answer(r pombo.ReplayResult) json.RawMessage {
	return raw(ordered{
		{"dryRun", s.Replay.DryRun},
		{"matched", r.Matched},
		{"replayed", r.Replayed},
		{"alreadyPending", r.Pending},
		{"webhookOff", r.Off},
		{"notFound", r.Missing},
	})
}

// PingSet is a request to post a sample (POST /webhook/test).
type PingSet struct {
	Ping     pombo.Ping
	Warnings []string
}

// DecodePing reads the body of POST /webhook/test, which may be empty: the event
// is MESSAGES_UPSERT and the webhook the first, unless it says otherwise. Errors
// are of kind Invalid.
func DecodePing(body []byte) (*PingSet, error) {
	set := &PingSet{Ping: pombo.Ping{Event: pombo.MessagesUpsert}}
	if len(strings.TrimSpace(string(body))) == 0 {
		return set, nil
	}
	top, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	o := newObject("", top)
	event, err := o.field("event")
	if err != nil {
		return nil, err
	}
	name, err := event.text()
	if err != nil {
		return nil, err
	}
	if name != "" {
		n, ok := eventByAnyName(name)
		if !ok {
			return nil, pombo.Errorf(pombo.Invalid, "%s", unknownEvent(event))
		}
		set.Ping.Event = n
	}
	hook, err := o.field("webhook", "webhookId")
	if err != nil {
		return nil, err
	}
	if set.Ping.Webhook, err = hook.text(); err != nil {
		return nil, err
	}
	set.Warnings = o.unknown()
	return set, nil
}

// Pinged is the answer to POST /webhook/test.
func Pinged(r pombo.PingResult) json.RawMessage {
	row := ordered{
		{"webhook", r.WebhookID},
		{"event", r.Event},
		{"url", nullable(r.URL)},
		{"messageId", r.MessageID},
		{"ok", r.Attempt.Status/100 == 2 && r.Attempt.ErrorCode == ""},
	}
	return raw(append(row, attemptRow(r.Attempt)[1:]...))
}
