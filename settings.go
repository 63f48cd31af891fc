package pombo

// SettingsChange is a request to change settings (POST /settings/set). What is
// nil stays.
type SettingsChange struct {
	RejectCall, GroupsIgnore, AlwaysOnline, ReadMessages, ReadStatus, SyncFullHistory *bool

	MsgCall *string
}

// Apply returns s with the change made.
func (c SettingsChange) Apply(s Settings) Settings {
	for _, f := range []struct {
		dst   *bool
		value *bool
	}{
		{&s.RejectCall, c.RejectCall},
		{&s.GroupsIgnore, c.GroupsIgnore},
		{&s.AlwaysOnline, c.AlwaysOnline},
		{&s.ReadMessages, c.ReadMessages},
		{&s.ReadStatus, c.ReadStatus},
		{&s.SyncFullHistory, c.SyncFullHistory},
	} {
		if f.value != nil {
			*f.dst = *f.value
		}
	}
	if c.MsgCall != nil {
		s.MsgCall = *c.MsgCall
	}
	return s
}
