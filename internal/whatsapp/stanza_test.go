package whatsapp

import (
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"

	"pombo"
	"pombo/internal/sandbox"
)

func TestStanzasAreWatched(t *testing.T) {
	if !new(line).watchStanzas(whatsmeow.NewClient(&store.Device{}, nil)) {
		t.Error("whatsmeow's table of handlers has another name, or another kind")
	}
}

// What cannot be read is told before it is confirmed: while its event cannot be
// stored, WhatsApp hears nothing of it.
func TestUndecryptableIsToldBeforeItsConfirmation(t *testing.T) {
	for _, kind := range []string{"damaged", "view_once"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, nil)
			w.pair()
			w.write("first")
			w.event(pombo.MessagesUpsert, "first")
			const tries = 30
			failed := 0
			confirmed := false
			w.sink.setFail(func(events []pombo.Event) error {
				if events[0].Name != pombo.MessagesUndecryptable || failed == tries {
					return nil
				}
				if confirmed = confirmed || w.confirmed()["SECRET"]; !confirmed {
					failed++
				}
				return errBroken
			})
			if _, err := w.box.SendMessage(w.ctx(), sandbox.SendRequest{ID: "SECRET", From: contact1, To: account1, Text: "second", Unreadable: kind}); err != nil {
				t.Fatal(err)
			}
			w.event(pombo.MessagesUndecryptable, `"SECRET"`)
			w.eventually("it is confirmed", func() bool { return w.confirmed()["SECRET"] })
			if confirmed || failed != tries {
				t.Errorf("WhatsApp was told of it while its event could not be stored (after %d tries)", failed)
			}
			if kind == "damaged" {
				w.event(pombo.MessagesUpsert, "second") // it was asked for again
			}
			w.write("third")
			w.event(pombo.MessagesUpsert, "third")
			if n := len(w.sink.named(pombo.MessagesUndecryptable)); n != 1 {
				t.Errorf("it was told %d times", n)
			}
		})
	}
}
