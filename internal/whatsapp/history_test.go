package whatsapp

import (
	"context"
	"time"

	"pombo"
)

// noHistory is a store for phones that have none: those of these tests are quiet.
// What is told of history is tested with the real store, in package app.
type noHistory struct{ HistoryStore }

func (*noHistory) NextHistory(context.Context, pombo.InstanceID, time.Time) (pombo.HistoryPart, bool, error) {
	return pombo.HistoryPart{}, false, nil
}

func (*noHistory) ClearHistory(context.Context, pombo.InstanceID) error { return nil }
