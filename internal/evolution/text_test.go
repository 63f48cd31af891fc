package evolution

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pombo"
)

func decodeText(t *testing.T, body string) *SendText {
	t.Helper()
	s, err := DecodeSendText([]byte(body))
	if err != nil {
		t.Fatalf("decoding %s: %v", body, err)
	}
	return s
}

func TestTextInV2(t *testing.T) {
	s := decodeText(t, `{"number":"5511999990000","text":"<b>\n\ud83d\ude00","delay":1.2e3,"linkPreview":"false","mentionsEveryOne":true,
		"mentioned":["5511988880000","5511988880000","123@lid"],
		"quoted":{"key":{"remoteJid":"5511999990000@s.whatsapp.net","fromMe":true,"id":"3A","participant":"1@lid","remoteJidAlt":"x"},"message":{"conversation":"old"},"pushName":"Ana","status":"READ"}}`)
	x := s.Text
	if s.Dialect != V2 || len(s.Warnings) > 0 {
		t.Errorf("dialect %d, warnings %q", s.Dialect, s.Warnings)
	}
	if x.Text != "<b>\n😀" || x.Delay != 1200*time.Millisecond || x.LinkPreview == nil || *x.LinkPreview || !x.MentionEveryone ||
		!slices.Equal(x.Mentioned, []string{"5511988880000", "123@lid"}) {
		t.Errorf("%+v", x)
	}
	q := x.Quoted
	if q == nil || q.ID != "3A" || q.RemoteJID != "5511999990000@s.whatsapp.net" || q.FromMe == nil || !*q.FromMe || q.Participant != "1@lid" || string(q.Message) != `{"conversation":"old"}` {
		t.Errorf("quoted %+v", q)
	}
}

func TestTextInV1(t *testing.T) {
	s := decodeText(t, `{"number":"120363000000000000@g.us","textMessage":{"text":"hi"},"options":{"delay":0,"presence":"composing","encoding":true,
		"mentions":{"everyOne":"true","mentioned":[]},"quoted":{"key":{"id":"3A"},"message":{}}}}`)
	x := s.Text
	if s.Dialect != V1 || len(s.Warnings) > 0 || x.Text != "hi" || x.Delay != 0 || !x.MentionEveryone || x.Mentioned != nil ||
		x.Quoted == nil || x.Quoted.ID != "3A" || x.Quoted.FromMe != nil || x.Quoted.Message != nil {
		t.Errorf("dialect %d, warnings %q, %+v", s.Dialect, s.Warnings, x)
	}
}

func TestTextAnswerFollowsRequest(t *testing.T) {
	sent := pombo.Sent{Data: []byte(`{"v":2}`), DataV1: []byte(`{"v":1}`)}
	if got := string(decodeText(t, `{"number":"1","textMessage":{"text":"x"}}`).Answer(sent)); got != `{"v":1}` {
		t.Error(got)
	}
	if got := string(decodeText(t, `{"number":"1","text":"x","textMessage":{"text":"y"}}`).Answer(sent)); got != `{"v":2}` {
		t.Error(got)
	}
}

func TestTextWarnings(t *testing.T) {
	s := decodeText(t, `{"number":"1","text":"x","dealy":5,"options":{"linkpreview":true,"mentions":{"everyon":true}}}`)
	want := []string{
		`unknown key "dealy" ignored, did you mean "delay"?`,
		`unknown key "options.mentions.everyon" ignored, did you mean "options.mentions.everyOne"?`,
		`unknown key "options.linkpreview" ignored, did you mean "options.linkPreview"?`,
	}
	if !slices.Equal(s.Warnings, want) {
		t.Errorf("warnings %q, want %q", s.Warnings, want)
	}
}

func TestTextRefusals(t *testing.T) {
	tests := []struct{ body, want string }{
		{`{}`, "number is missing or empty"},
		{`{"number":" ","text":"x"}`, "number is missing or empty"},
		{`{"number":"abc","text":"x"}`, "has no digits"},
		{`{"number":5511999990000,"text":"x"}`, `number is the number 5511999990000: it must be a string, so put it in double quotes: "5511999990000"`},
		{`{"number":"1"}`, "Text is required: text is missing or empty"},
		{`{"number":"1","text":" \n"}`, "Text is required"},
		{`{"number":"1","textMessage":{}}`, "Text is required: textMessage.text is missing or empty"},
		{`{"number":"1","textMessage":"x"}`, `textMessage is the string "x": it must be an object`},
		{`{"number":"1","text":["x"]}`, "text is an array: it must be a string"},
		{`{"number":"1","text":"x","delay":"5"}`, `delay is the string "5": it must be a whole number of milliseconds from 0 to 300000, without quotes`},
		{`{"number":"1","text":"x","delay":-1}`, "from 0 to 300000"},
		{`{"number":"1","text":"x","delay":300001}`, "from 0 to 300000"},
		{`{"number":"1","text":"x","delay":1e400}`, "from 0 to 300000"},
		{`{"number":"1","text":"x","delay":1.5}`, "a whole number"},
		{`{"number":"1","text":"x","options":{"delay":-1}}`, "options.delay is the number -1"},
		{`{"number":"1","text":"x","options":"y"}`, "options is the string \"y\": it must be an object"},
		{`{"number":"1","text":"x","quoted":{}}`, "quoted.key is missing"},
		{`{"number":"1","text":"x","quoted":{"key":{}}}`, "quoted.key.id is missing or empty"},
		{`{"number":"1","text":"x","quoted":{"key":"3A"}}`, `quoted.key is the string "3A": it must be an object`},
		{`{"number":"1","text":"x","quoted":{"key":{"id":"3A"},"message":"old"}}`, `quoted.message is the string "old"`},
		{`{"number":"1","text":"x","quoted":{"key":{"id":"3A","fromMe":1}}}`, "quoted.key.fromMe is the number 1"},
		{`{"number":"1","text":"x","mentioned":"5511988880000"}`, `for example ["5511988880000"]`},
		{`{"number":"1","text":"x","mentioned":["@ana"]}`, `mentioned[0]: number "@ana" has no digits`},
		{`{"number":"1","text":"x","mentions":5}`, "mentions is the number 5"},
		{`{"number":"1","text":"x","everyOne":"no"}`, "it must be true or false"},
	}
	for _, test := range tests {
		_, err := DecodeSendText([]byte(test.body))
		if pombo.KindOf(err) != pombo.Invalid || !strings.Contains(errText(err), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.body, err, test.want)
		}
	}
}

func FuzzDecodeSendText(f *testing.F) {
	for _, seed := range []string{
		`{"number":"120363000000000000@g.us","textMessage":{"text":"hi"},"options":{"delay":1,"mentions":{"everyOne":true,"mentioned":["1"]},"quoted":{"key":{"id":"3A"},"message":{"a":[1,{}]}}}}`,
		`{"number":"5511999990000","text":"\ud800","delay":1e2,"linkPreview":"true","mentioned":["1"],"quoted":null}`,
		`{"number":"1","text":null,"textMessage":null,"options":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := DecodeSendText(body)
		if err != nil {
			if pombo.KindOf(err) != pombo.Invalid || err.Error() == "" {
				t.Fatalf("error %v of kind %v", err, pombo.KindOf(err))
			}
			return
		}
		if _, err := CreateJID(s.Text.Number); err != nil || strings.TrimSpace(s.Text.Text) == "" || s.Text.Delay < 0 || s.Text.Delay > maxDelay {
			t.Fatalf("accepted %+v", s.Text)
		}
		if q := s.Text.Quoted; q != nil && (q.ID == "" || q.Message != nil && !json.Valid(q.Message)) {
			t.Fatalf("accepted the quote %+v", q)
		}
	})
}
