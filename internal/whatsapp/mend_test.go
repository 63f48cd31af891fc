package whatsapp

import (
	"testing"

	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/store"
)

// Most sessions have no former states, and need not be read to be mended.
func TestHasFormer(t *testing.T) {
	if hasFormer(nil) {
		t.Error("no session has former states")
	}
	for _, c := range []struct {
		former []*record.StateStructure
		want   bool
	}{
		{nil, false},
		{[]*record.StateStructure{}, false},
		{[]*record.StateStructure{{SessionVersion: 3}}, true},
	} {
		session := store.SignalProtobufSerializer.Session.Serialize(&record.SessionStructure{
			SessionState: &record.StateStructure{SessionVersion: 3}, PreviousStates: c.former,
		})
		if got := hasFormer(session); got != c.want {
			t.Errorf("%d former states: %t for %s", len(c.former), got, session)
		}
	}
}
