package evolution

import (
	"encoding/json"

	"pombo"
)

// SettingsSet is a request to change an instance's settings (POST /settings/set).
type SettingsSet struct {
	Change pombo.SettingsChange
	// Dialect is the one that the keys are spelled in, which the answer follows.
	Dialect  Dialect
	Warnings []string
}

// DecodeSettingsSet reads the body of POST /settings/set, with the keys spelled
// rejectCall (2.x) or reject_call (1.x), at the top level or within "settings",
// where the answer has them. The original refuses a body that lacks one of them;
// here what is left out stays, but one key is needed. Errors are of kind Invalid.
func DecodeSettingsSet(body []byte) (*SettingsSet, error) {
	top, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	o := newObject("", top)
	f, err := o.field("settings")
	if err != nil {
		return nil, err
	}
	inner, err := f.object()
	if err != nil {
		return nil, err
	}
	if inner != nil {
		o = inner
	}
	set := &SettingsSet{}
	set.Change, err = readSettings(o, func(f field, camel string) {
		if set.Dialect == 0 {
			set.Dialect = spelling(f, camel)
		}
	})
	if err != nil {
		return nil, err
	}
	// What the answer and a row carry besides, so that they can be sent back.
	o.ignore("wavoipToken", "id", "createdAt", "updatedAt", "instanceId", "instanceName", "instance")
	set.Warnings = o.unknown()
	if set.Dialect == 0 {
		return nil, pombo.Errorf(pombo.Invalid,
			"The body has none of the settings: send one or more of rejectCall, msgCall, groupsIgnore, alwaysOnline, readMessages, readStatus, syncFullHistory%s",
			firstOf(set.Warnings))
	}
	return set, nil
}

// readSettings reads settings from o, each in either spelling, and tells of each
// field, with the spelling of 2.x, whether it is there or not.
func readSettings(o *object, tell func(f field, camel string)) (c pombo.SettingsChange, err error) {
	for _, flag := range []struct {
		camel, snake string
		dst          **bool
	}{
		{"rejectCall", "reject_call", &c.RejectCall},
		{"groupsIgnore", "groups_ignore", &c.GroupsIgnore},
		{"alwaysOnline", "always_online", &c.AlwaysOnline},
		{"readMessages", "read_messages", &c.ReadMessages},
		{"readStatus", "read_status", &c.ReadStatus},
		{"syncFullHistory", "sync_full_history", &c.SyncFullHistory},
	} {
		f, err := o.field(flag.camel, flag.snake)
		if err != nil {
			return c, err
		}
		tell(f, flag.camel)
		if *flag.dst, err = f.bool(); err != nil {
			return c, err
		}
	}
	f, err := o.field("msgCall", "msg_call")
	if err != nil {
		return c, err
	}
	tell(f, "msgCall")
	c.MsgCall, err = f.string()
	return c, err
}

// spelling returns the dialect of a field's key, or 0 if the field is not there.
func spelling(f field, camel string) Dialect {
	switch f.key {
	case "":
		return 0
	case camel:
		return V2
	}
	return V1
}

// Answer returns the body of the answer: all settings as they are now, spelled as
// in the request.
func (s *SettingsSet) Answer(instance string, now pombo.Settings) json.RawMessage {
	return raw(ordered{{"settings", ordered{
		{"instanceName", instance}, {"settings", Settings(s.Dialect, now)},
	}}})
}

// Settings returns the body of the answer to GET /settings/find.
func Settings(d Dialect, s pombo.Settings) json.RawMessage {
	if d == V1 {
		return raw(settingsV1(s))
	}
	return raw(append(settingsV2(s), member{"wavoipToken", ""}))
}
