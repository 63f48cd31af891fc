package pombotest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pombo"
)

// Shapes are the forms of events' data, as docs/events.md and the golden files show
// them. A field is optional if an example is without it, or the document writes it
// with a question mark.
type Shapes map[string]*shape // by wire name

// shape is what a JSON value may look like.
type shape struct {
	kinds    map[string]bool   // object, array, text, number, bool, null
	fields   map[string]*shape // of objects
	required map[string]bool   // fields that every example has
	items    *shape            // of arrays
}

var (
	documented = regexp.MustCompile("(?s)^([A-Z_]+)\n(.*?)\n```json\n(.*?)\n```")
	optional   = regexp.MustCompile(`(\w+)\?`)
)

// ReadShapes reads the examples of all events; root is the folder of the repository.
func ReadShapes(t testing.TB, root string) Shapes {
	t.Helper()
	out := Shapes{}
	add := func(event pombo.EventName, example any) {
		if out[event.Wire()] == nil {
			out[event.Wire()] = &shape{}
		}
		out[event.Wire()].learn(example)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "events.md"))
	if err != nil {
		t.Fatal(err)
	}
	optionals := map[pombo.EventName][]string{}
	for _, section := range strings.Split(string(text), "\n## ") {
		m := documented.FindStringSubmatch(section)
		if m == nil {
			continue
		}
		var example any
		if err := json.Unmarshal([]byte(m[3]), &example); err != nil {
			t.Fatalf("the example of %s: %v", m[1], err)
		}
		name := pombo.EventName(m[1])
		add(name, example)
		for _, field := range optional.FindAllStringSubmatch(m[2], -1) {
			optionals[name] = append(optionals[name], field[1])
		}
	}
	data := filepath.Join(root, "internal", "translate", "testdata")
	eachFile(t, filepath.Join(data, "events"), func(raw []byte) error {
		var file []struct {
			Event pombo.EventName
			Data  any
		}
		if err := json.Unmarshal(raw, &file); err != nil {
			return err
		}
		for _, one := range file {
			add(one.Event, one.Data)
		}
		return nil
	})
	for _, folder := range []string{"golden", "types"} {
		eachFile(t, filepath.Join(data, folder), func(raw []byte) error {
			var example any
			err := json.Unmarshal(raw, &example)
			add(pombo.MessagesUpsert, example)
			return err
		})
	}
	for name, fields := range optionals {
		out[name.Wire()].relax(fields)
	}
	return out
}

// relax makes fields of these names optional, wherever they stand.
func (s *shape) relax(fields []string) {
	for _, name := range fields {
		delete(s.required, name)
	}
	for _, f := range s.fields {
		f.relax(fields)
	}
	if s.items != nil {
		s.items.relax(fields)
	}
}

func eachFile(t testing.TB, folder string, read func([]byte) error) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files in %s (%v)", folder, err)
	}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := read(raw); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

// open are fields whose content differs from one message or reason to the next: what
// stands in them is not looked at.
var open = map[string]bool{"message": true, "contextInfo": true, "editedMessage": true, "presences": true}

func (s *shape) learn(v any) {
	if s.kinds == nil {
		s.kinds, s.fields = map[string]bool{}, map[string]*shape{}
	}
	first := !s.kinds["object"]
	s.kinds[kind(v)] = true
	switch v := v.(type) {
	case map[string]any:
		if first {
			s.required = map[string]bool{}
			for key := range v {
				s.required[key] = true
			}
		}
		for key := range s.required {
			if _, ok := v[key]; !ok {
				delete(s.required, key)
			}
		}
		for key, value := range v {
			if s.fields[key] == nil {
				s.fields[key] = &shape{}
			}
			s.fields[key].learn(value)
		}
	case []any:
		if s.items == nil {
			s.items = &shape{}
		}
		for _, item := range v {
			s.items.learn(item)
		}
	}
}

func kind(v any) string {
	switch v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "text"
	case float64:
		return "number"
	case bool:
		return "bool"
	}
	return "null"
}

// Check fails the test if a post's data has not the form of its event: a value of
// another kind, a field that no example has, or none where all of them have one.
func (s Shapes) Check(t testing.TB, p Post) {
	t.Helper()
	form := s[p.Event]
	if form == nil {
		t.Errorf("%s has no example", p.Event)
		return
	}
	var data any
	if err := json.Unmarshal(p.Data, &data); err != nil {
		t.Errorf("the data of %s: %v", p.Event, err)
		return
	}
	if err := form.check("data", data); err != nil {
		t.Errorf("%s is not as docs/events.md says: %v\n%s", p.Event, err, p.Data)
	}
}

func (s *shape) check(where string, v any) error {
	if !s.kinds[kind(v)] && len(s.kinds) > 0 {
		return fmt.Errorf("%s is of kind %s", where, kind(v))
	}
	switch v := v.(type) {
	case map[string]any:
		for key := range s.required {
			if _, ok := v[key]; !ok {
				return fmt.Errorf("%s has no %s", where, key)
			}
		}
		for key, value := range v {
			if open[key] {
				continue
			}
			if s.fields[key] == nil {
				return fmt.Errorf("%s.%s is in no example", where, key)
			}
			if err := s.fields[key].check(where+"."+key, value); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range v {
			if s.items == nil {
				continue
			}
			if err := s.items.check(fmt.Sprintf("%s[%d]", where, i), item); err != nil {
				return err
			}
		}
	}
	return nil
}
