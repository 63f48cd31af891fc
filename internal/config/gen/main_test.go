package main

import (
	"testing"

	"pombo/internal/docgen"
)

func TestDocumentIsFresh(t *testing.T) {
	if err := docgen.Fresh(document("..")); err != nil {
		t.Error(err)
	}
}
