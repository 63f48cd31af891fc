package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.mau.fi/libsignal/logger"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// maxLogLine cuts what whatsmeow logs: some of its lines hold a whole stanza.
const maxLogLine = 500

// waLogger lets whatsmeow write to our log. Stanzas (its loggers "Recv" and
// "Send") are left out altogether: they hold keys, codes for pairing and what
// people write.
type waLogger struct {
	log   *slog.Logger
	least slog.Level // of the library's own levels
}

func newWALogger(log *slog.Logger, least slog.Level) waLog.Logger { return waLogger{log, least} }

func (l waLogger) Errorf(msg string, args ...any) { l.write(slog.LevelError, msg, args) }
func (l waLogger) Warnf(msg string, args ...any)  { l.write(slog.LevelWarn, msg, args) }
func (l waLogger) Infof(msg string, args ...any)  { l.write(slog.LevelInfo, msg, args) }
func (l waLogger) Debugf(msg string, args ...any) { l.write(slog.LevelDebug, msg, args) }

func (l waLogger) Sub(module string) waLog.Logger {
	if module == "Recv" || module == "Send" {
		return waLog.Noop
	}
	return waLogger{l.log.With("module", module), l.least}
}

// write lowers each level by one step: what is an error to the library (a
// message that cannot be decrypted, a lost connection) is daily life here, and
// what matters is logged by the session itself.
func (l waLogger) write(level slog.Level, msg string, args []any) {
	if level < l.least || msg == handlerFailed {
		return
	}
	level -= slog.LevelInfo - slog.LevelDebug
	for _, a := range args {
		if err, ok := a.(error); ok && meant(err) {
			return
		}
	}
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	text := fmt.Sprintf(msg, args...)
	if len(text) > maxLogLine {
		text = text[:maxLogLine] + "…"
	}
	l.log.Log(context.Background(), level, text, "from", "whatsmeow") //nolint:sloglint // the library made the text
}

// meant tells whether an error is as it is meant to be.
func meant(err error) bool {
	return errors.Is(err, errLater) || errors.Is(err, errShut) || errors.Is(err, errKept)
}

// handlerFailed is what whatsmeow logs when it shall not confirm a message
// (message.go, decryptMessages). That is no failure: see handle.
const handlerFailed = "Handler for %s failed"

// libsignal writes to the standard output unless it is told otherwise, through a
// variable that it sets on first use without a lock. What it says is not needed:
// that a message did not fit one state of a session means nothing while others are
// tried, and what fits none is an error that it returns.
func init() {
	var none logger.Loggable = noLog{}
	logger.Setup(&none)
}

type noLog struct{}

func (noLog) Debug(string, string)   {}
func (noLog) Info(string, string)    {}
func (noLog) Warning(string, string) {}
func (noLog) Error(string, string)   {}
func (noLog) Configure(string)       {}
