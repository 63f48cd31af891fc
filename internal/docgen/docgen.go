// Package docgen writes generated files, and tells which are stale. What is in them
// its callers know: the commands gen of other packages.
package docgen

import (
	"bytes"
	"fmt"
	"os"
)

// File is a generated file.
type File struct {
	Path string
	Make func() ([]byte, error) // its content
}

// Main writes files, and ends the process with status 1 if that fails.
func Main(files ...File) {
	for _, f := range files {
		if err := f.write(); err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}

func (f File) write() error {
	b, err := f.Make()
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.Path, b, 0o644); err != nil {
		return fmt.Errorf("writing a generated file: %w", err)
	}
	return nil
}

// Fresh returns an error that names the first of files that is not what Main would
// write.
func Fresh(files ...File) error {
	for _, f := range files {
		want, err := f.Make()
		if err != nil {
			return err
		}
		got, err := os.ReadFile(f.Path)
		if err != nil {
			return fmt.Errorf("reading a generated file: %w", err)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s is stale: run make generate", f.Path)
		}
	}
	return nil
}
