package evolution

import (
	"encoding/json"
	"strings"
	"testing"

	"pombo"
)

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name, body string
		want       []string
	}{
		{"empty", "", []string{"The body is empty"}},
		{"white space", " \n", []string{"The body is empty"}},
		{"byte order mark only", "\xef\xbb\xbf", []string{"The body is empty"}},
		{"UTF-16", "\xff\xfe{\x00}\x00", []string{"UTF-16"}},
		{"gzip", "\x1f\x8b\x08", []string{"compressed"}},
		{"Latin-1", "{\"a\":\"n\xe3o\"}", []string{"line 1, column 8", "0xE3 is not UTF-8"}},
		{"the document's comment", "{\n\"events\": [\n// \"APPLICATION_STARTUP\",\n\"CALL\"]}", []string{"line 3, column 1", "JSON has no comments"}},
		{"a comment after a value", "{\"a\": 1 // x\n}", []string{"line 1, column 9", "JSON has no comments"}},
		{"a comment as the document's last", "{\"events\":[\"CALL\"\n// \"NEW_JWT_TOKEN\"\n]}", []string{"line 2, column 1", "JSON has no comments"}},
		{"block comment", "{/* x */}", []string{"column 2", "JSON has no comments"}},
		{"trailing comma in an array", "{\"events\": [\n\"CALL\",\n]}", []string{"line 3, column 1", "remove the comma after the last element (line 2, column 7)"}},
		{"trailing comma in an object", "{\"a\":1,}", []string{"column 8", "remove the comma after the last element (line 1, column 7)"}},
		{"comma without an element", "{\"a\":[,1]}", []string{"column 7", `found ","`}},
		{"missing comma in an array", "{\"events\":[\n\"CALL\"\n\"X\"]}", []string{"line 3, column 1", "a comma is missing before it"}},
		{"missing comma in an object", "{\"a\":true\n\"b\":1}", []string{"line 2, column 1", "a comma is missing before it"}},
		{"single quotes", "{'a':1}", []string{"column 2", `use double quotes (")`}},
		{"single quotes in a value", "{\"a\":'x'}", []string{"column 6", `use double quotes (")`}},
		{"typographic quotes", "{“a”:1}", []string{"column 2", "typographic"}},
		{"typographic quotes in a value", "{\"ção\": “x”}", []string{"column 9", "typographic"}},
		{"the document's placeholder", `{"url": [webhookUrl]}`, []string{"column 10", "[webhookUrl] is a placeholder"}},
		{"a placeholder with spaces", `{"url": [ webhook url ]}`, []string{"[webhook url] is a placeholder"}},
		{"a template's placeholder", `{"a": {{ $json.x }} }`, []string{"{{ … }} is a template's placeholder"}},
		{"key without quotes", `{url: "x"}`, []string{"column 2", `found "url"`, "put it in double quotes"}},
		{"value without quotes", `{"url": https://a.b}`, []string{"column 9", `found "https"`, "put it in double quotes"}},
		{"a number with a plus", `{"number": +5511}`, []string{"column 12", "put it in double quotes"}},
		{"a number with a leading zero", `{"number": 0115511}`, []string{"column 12", "starts with 0"}},
		{"Python's True", `{"enabled": True}`, []string{"column 13", "write true"}},
		{"Python's None", `{"token": None}`, []string{"write null"}},
		{"undefined", `{"token": undefined}`, []string{"write null"}},
		{"yess", `{"enabled": yess}`, []string{`found "yess"`}},
		{"quote within a text", `{"text": "say "hi" now"}`, []string{"column 16", `within a text, write " as \"`}},
		{"line break within a text", "{\"text\": \"a\nb\"}", []string{"line 1, column 12", `write it as \n`, "line 1, column 10"}},
		{"tab within a text", "{\"text\": \"a\tb\"}", []string{`write it as \t`}},
		{"NUL within a text", "{\"text\": \"a\x00b\"}", []string{"leave it out"}},
		{"escaped NUL", `{"text": "a\u0000b"}`, []string{`\u0000 is not allowed`}},
		{"backslash", `{"text": "C:\dir"}`, []string{"column 13", `write a backslash as \\`}},
		{"broken unicode escape", `{"text": "\u12G4"}`, []string{"four hexadecimal digits"}},
		{"string without end", `{"text": "abc}`, []string{"column 10", "never ends"}},
		{"string that ends in an escape", `{"text": "abc\`, []string{"the body ends"}},
		{"object without end", `{"a": {"b": 1}`, []string{"column 15", `the '{' of line 1, column 1 is not closed`}},
		{"array without end", `{"a": [1`, []string{"the body ends", `the '[' of line 1, column 7 is not closed`}},
		{"ends after a key", `{"a"`, []string{"the body ends where a colon"}},
		{"ends after a colon", `{"a":`, []string{"the body ends where a value"}},
		{"ends after the bracket", `{`, []string{"the body ends where a key"}},
		{"no colon", `{"a" 1}`, []string{"column 6", `a colon after the key "a"`}},
		{"minus", `{"a": -}`, []string{"a digit"}},
		{"decimal point", `{"a": 1.}`, []string{"decimal point"}},
		{"exponent", `{"a": 1e}`, []string{"exponent"}},
		{"one bracket too many", `{"a": 1}}`, []string{"column 9", "one closing bracket too many"}},
		{"two objects", "{}\n{}", []string{"line 2, column 1", "send one object only"}},
		{"a form", `enabled=true&url=https%3A%2F%2Fa.b`, []string{"column 1", "looks like a form"}},
		{"a word", `hello`, []string{"column 1", `found "hello"`}},
		{"an array", `[{"a":1}]`, []string{"must be a JSON object", "without the [ ]"}},
		{"encoded twice", `"{\"a\":1}"`, []string{"encoded twice"}},
		{"null", `null`, []string{"it is null"}},
		{"too deep", `{"a":` + strings.Repeat("[", 100), []string{"nested deeper"}},
		{"too many values", `{"a":[` + strings.Repeat("1,", 60_000) + `1]}`, []string{"more than 50000 values"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseObject([]byte(test.body))
			if pombo.KindOf(err) != pombo.Invalid {
				t.Fatalf("error %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestParse(t *testing.T) {
	v, err := parseObject([]byte("\xef\xbb\xbf {\"b\":1,\"a\":\"x\\u00e7\\ud83d\\ude00\\ud800\\/\\b\\f\\r\\t\\n\\\"\\\\ç\",\"b\":[null,true,false,{}],\"\":-1.5E+3} \n"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(v.keys, ",") != "b,a," {
		t.Errorf("keys %q", v.keys)
	}
	if got, want := v.list[1].text, "xç😀\uFFFD/\b\f\r\t\n\"\\ç"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if b, ok := v.get("b"); !ok || string(b.raw) != `[null,true,false,{}]` {
		t.Errorf("of a key given twice, %v counts", b)
	}
	if n, ok := v.get(""); !ok || n.text != "-1.5E+3" {
		t.Errorf("number %v", n)
	}
}

// FuzzParse compares the parser with encoding/json.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{documentRequest, `{"a":[1,-0,0.5,1e9,"\ud83d\ude00"],"a":null}`, "{\"a\":\"\x7f\"}", "{\"\xe3\":1}", "{//", `{"a":[b]}`, "{\"a\":1,\n}", `{"":[1e700]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := parseObject(body)
		if err != nil {
			if pombo.KindOf(err) != pombo.Invalid || err.Error() == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		plain := strings.TrimPrefix(string(body), "\xef\xbb\xbf")
		decoder := json.NewDecoder(strings.NewReader(plain))
		decoder.UseNumber() // numbers of any size are JSON
		var want map[string]any
		if err := decoder.Decode(&want); err != nil || !json.Valid([]byte(plain)) {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if len(want) != len(v.keys) {
			t.Fatalf("keys %q, want %v", v.keys, want)
		}
		for i, key := range v.keys {
			if s, isString := want[key].(string); isString && s != v.list[i].text {
				t.Fatalf("%q: %q, want %q", key, v.list[i].text, s)
			}
		}
	})
}

func TestClosest(t *testing.T) {
	candidates := []string{"enabled", "events", "url", "webhookByEvents"}
	for word, want := range map[string]string{
		"enable": "enabled", "Enabled": "enabled", "evnets": "events", "uri": "url", "webhook_by_events": "webhookByEvents", "even": "events",
	} {
		if got, near := closest(word, candidates); got != want || !near {
			t.Errorf("%q: %q, %t, want %q", word, got, near, want)
		}
	}
	for _, word := range []string{"x", "payload", "zzzzzz"} {
		if got, near := closest(word, candidates); near {
			t.Errorf("%q: %q seems near", word, got)
		}
	}
	if _, near := closest("x", nil); near {
		t.Error("something is near to nothing")
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ça", "ca", 1}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance of %q and %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
