package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"pombo"
	"pombo/internal/docgen"
)

func TestDocumentsAreFresh(t *testing.T) {
	if err := docgen.Fresh(files("..")...); err != nil {
		t.Error(err)
	}
}

// Each event is told when it is sent, with an example, or why it is not; and
// what the golden files have is described.
func TestEntries(t *testing.T) {
	for name, e := range entries {
		if !name.Known() {
			t.Errorf("%s is no event", name)
		}
		example, err := e.example("..", name)
		if err != nil {
			t.Fatal(err)
		}
		if e.absent == "" && (e.when == "" || e.data == "" || !json.Valid(example)) {
			t.Errorf("%s lacks a part: %+v", name, e)
		}
	}
	files, err := filepath.Glob("../testdata/events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		var file []struct{ Event pombo.EventName }
		if err := read(path, &file); err != nil {
			t.Fatal(err)
		}
		for _, one := range file {
			if e := entries[one.Event]; e.golden == "" && e.made == nil {
				t.Errorf("%s has a golden file and no example", one.Event)
			}
		}
	}
}
