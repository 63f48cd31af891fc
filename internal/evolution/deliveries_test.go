package evolution

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"pombo"
)

func TestDeliveryTimes(t *testing.T) {
	for text, age := range map[string]time.Duration{"90m": 90 * time.Minute, "2h": 2 * time.Hour, "3d": 72 * time.Hour, "1d12h": 36 * time.Hour} {
		p, err := DecodeDeliveryPage(url.Values{"from": {text}})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := time.Since(p.Query.From); got < age || got > age+time.Minute {
			t.Errorf("%s is %v ago, want %v", text, got, age)
		}
	}
	for text, want := range map[string]string{
		"2025-06-30T12:00:00Z": "2025-06-30T12:00:00Z", "2025-06-30T12:00:00+02:00": "2025-06-30T10:00:00Z", "2025-06-30": "2025-06-30T00:00:00Z",
		"1751284800": "2025-06-30T12:00:00Z",
	} {
		p, err := DecodeDeliveryPage(url.Values{"to": {text}})
		if err != nil || p.Query.To.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"d", "0d", "-1d", "1d-2h", "2dd", "2x", "tomorrow", "-2h", "0"} {
		if _, err := DecodeDeliveryPage(url.Values{"from": {text}}); pombo.KindOf(err) != pombo.Invalid || !strings.Contains(err.Error(), "3d") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestReplayRefusesWhatItDoesNotKnow(t *testing.T) {
	for body, want := range map[string]string{
		`{"state":"dead","form":"1h"}`:                  `there is no "form", did you mean "from"?`,
		`{"filter":{"state":"dead","xyzzy":1}}`:         `there is no "filter.xyzzy"`,
		`{"state":"dead","filter":{"event":"CALL"}}`:    "give the conditions either within filter or beside it, not both",
		`{"event":"CALLS"}`:                             `event: "CALLS" is not an event, did you mean "CALL"?`,
		`{"filter":{"event":"ALL_OF_THEM_AND_MORE_X"}}`: `filter.event: "ALL_OF_THEM_AND_MORE_X" is not an event; the closest name is "LOGOUT_INSTANCE"`,
	} {
		if _, err := DecodeReplay([]byte(body)); pombo.KindOf(err) != pombo.Invalid || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", body, err, want)
		}
	}
}
