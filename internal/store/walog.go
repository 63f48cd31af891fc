package store

import (
	"fmt"
	"log/slog"

	waLog "go.mau.fi/whatsmeow/util/log"
)

// waLogger gives whatsmeow's tables a logger.
type waLogger struct{ log *slog.Logger }

var _ waLog.Logger = waLogger{}

func (l waLogger) Errorf(msg string, args ...any) { l.log.Error(fmt.Sprintf(msg, args...)) }
func (l waLogger) Warnf(msg string, args ...any)  { l.log.Warn(fmt.Sprintf(msg, args...)) }
func (l waLogger) Infof(msg string, args ...any)  { l.log.Debug(fmt.Sprintf(msg, args...)) }
func (l waLogger) Debugf(msg string, args ...any) {}

func (l waLogger) Sub(module string) waLog.Logger { return waLogger{l.log.With("module", module)} }
