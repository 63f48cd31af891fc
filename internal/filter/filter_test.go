package filter

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pombo"
)

func subject(data string) *Subject {
	return &Subject{Instance: "shop", Event: pombo.Event{
		Name: pombo.MessagesUpsert, Sender: "5511@s.whatsapp.net", Data: json.RawMessage(data),
		Time: time.Date(2025, 6, 30, 12, 0, 0, 0, time.UTC),
	}}
}

func TestPass(t *testing.T) {
	const incoming = `{"key":{"fromMe":false,"remoteJid":"5511@s.whatsapp.net"},"messageTimestamp":1751300002,"messageType":"conversation","n":[1,2]}`
	const group = `{"key":{"fromMe":false,"remoteJid":"123@g.us"}}`
	for _, c := range []struct {
		text, data string
		pass       bool
		errors     int64
	}{
		{`data.key.fromMe == false && !data.key.remoteJid.endsWith('@g.us')`, incoming, true, 0},
		{`data.key.fromMe == false && !data.key.remoteJid.endsWith('@g.us')`, group, false, 0},
		{`event == "messages.upsert" && instance == "shop" && sender.startsWith("5511")`, `null`, true, 0},
		{`event in ["call", "send.message"]`, `{}`, false, 0},
		{`data.messageTimestamp > 1751300000 && data.n.exists(i, i == 2)`, incoming, true, 0},
		{`date_time < timestamp("2025-06-30T12:00:01Z")`, `{}`, true, 0},
		{`data.messageType.upperAscii() == "CONVERSATION"`, incoming, true, 0},
		{`has(data.key) && has(data.key.fromMe) && data.key.fromMe`, `{}`, false, 0},
		// What has no value passes and is counted.
		{`data.key.fromMe == false`, `{}`, true, 1},
		{`data.key.fromMe == false`, `[1]`, true, 1},
		{`data.messageType`, incoming, true, 1},
		// One side decides, whatever the other would give.
		{`data.nothing && false`, `{}`, false, 0},
	} {
		f, err := Compile(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		pass := f.Pass(subject(c.data))
		n, last := f.Errors()
		if pass != c.pass || n != c.errors || (n > 0) != (last != "") {
			t.Errorf("%s over %s: %v with %d errors (%s), want %v with %d", c.text, c.data, pass, n, last, c.pass, c.errors)
		}
	}
}

func TestCompileError(t *testing.T) {
	for text, want := range map[string]string{
		"data.key.":                          "line 1, column 10",
		"event ==\n  1":                      "line 1, column 7",
		"true &&\n  evnt == 'x'":             "line 2, column 3",
		"1 + 1":                              "true or false",
		"":                                   "line 1",
		strings.Repeat("(", 300) + "true":    "line 1",
		strings.Repeat(" ", MaxLength) + "1": "longer than",
	} {
		_, err := Compile(text)
		if pombo.KindOf(err) != pombo.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// An expression that would take for ever is cut, and the event passes.
func TestCostIsBounded(t *testing.T) {
	f, err := Compile(`data.all(a, data.all(b, data.all(c, a + b + c >= 0.0)))`)
	if err != nil {
		t.Fatal(err)
	}
	numbers := "[" + strings.TrimSuffix(strings.Repeat("1,", 2000), ",") + "]"
	began := time.Now()
	if !f.Pass(subject(numbers)) {
		t.Error("the event did not pass")
	}
	if n, last := f.Errors(); n != 1 || !strings.Contains(last, "cost") {
		t.Errorf("%d errors, the last %q", n, last)
	}
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
}
