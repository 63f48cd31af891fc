package evolution

import (
	"strings"
	"testing"

	"pombo"
)

func TestDecodeSettingsSet(t *testing.T) {
	before := pombo.Settings{GroupsIgnore: true, MsgCall: "before"}
	for _, c := range []struct {
		name, body string
		dialect    Dialect
		want       pombo.Settings
		warning    string
	}{
		{"all of 1.x", `{"reject_call":true,"msg_call":"no","groups_ignore":false,"always_online":true,"read_messages":true,"read_status":true,"sync_full_history":true}`, V1,
			pombo.Settings{RejectCall: true, MsgCall: "no", AlwaysOnline: true, ReadMessages: true, ReadStatus: true, SyncFullHistory: true}, ""},
		{"all of 2.x", `{"rejectCall":true,"msgCall":"","groupsIgnore":false,"alwaysOnline":false,"readMessages":false,"readStatus":false,"syncFullHistory":false,"wavoipToken":""}`, V2,
			pombo.Settings{RejectCall: true}, ""},
		{"some", `{"alwaysOnline":"true"}`, V2, pombo.Settings{AlwaysOnline: true, GroupsIgnore: true, MsgCall: "before"}, ""},
		{"null stays", `{"msg_call":null,"groups_ignore":null,"read_status":false}`, V1, before, ""},
		{"the answer sent back", `{"instanceName":"x","settings":{"readStatus":true}}`, V2, pombo.Settings{ReadStatus: true, GroupsIgnore: true, MsgCall: "before"}, ""},
		{"misspelt", `{"rejectCall":true,"msgCalls":"x"}`, V2, pombo.Settings{RejectCall: true, GroupsIgnore: true, MsgCall: "before"}, `did you mean "msgCall"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := DecodeSettingsSet([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := set.Change.Apply(before); got != c.want || set.Dialect != c.dialect {
				t.Errorf("got %+v in dialect %d, want %+v in %d", got, set.Dialect, c.want, c.dialect)
			}
			if w := strings.Join(set.Warnings, "; "); !strings.Contains(w, c.warning) || (w == "") != (c.warning == "") {
				t.Errorf("warnings %q, want %q", w, c.warning)
			}
		})
	}
	for _, body := range []string{``, `{}`, `{"wavoipToken":""}`, `{"rejectCall":"yes"}`, `{"msgCall":5}`, `{"settings":[]}`, `{"rejectCall":true,"reject_call":false}`} {
		if _, err := DecodeSettingsSet([]byte(body)); pombo.KindOf(err) != pombo.Invalid || err.Error() == "" {
			t.Errorf("%s gives %v", body, err)
		}
	}
}
