package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"

	"pombo/internal/config"
)

// newLogger makes the log: text for people, JSON for machines.
func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.Log.Level}
	f, isFile := w.(*os.File)
	onTerminal := isFile && isatty.IsTerminal(f.Fd())
	if cfg.Log.Format == "text" || cfg.Log.Format == "auto" && onTerminal {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
