package storetest

import (
	"testing"
	"time"

	"pombo"
)

// withFile gives e a file.
func withFile(e pombo.Event, id, message string) pombo.Event {
	e.Attachment = pombo.Attachment{ID: id, Offset: 7, Media: &pombo.Media{
		Message: message, Chat: "c@s.whatsapp.net", Type: "imageMessage", URL: "https://mmg.whatsapp.net/v/1", DirectPath: "/v/1",
		Key: []byte{1, 0xff}, Size: 1 << 40, FileName: "a\x00b.jpg",
	}}
	return e
}

func testMedia(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	idle := newInstance("idle") // has no webhook
	b.must(b.CreateInstance(b.ctx(), idle, nil))
	before := time.Now().Add(-time.Minute)

	wanted, unwanted := withFile(event(i, "a", 1), "aa", "3EB01"), withFile(event(idle, "a", 1), "bb", "3EB02")
	b.must(b.Append(b.ctx(), wanted, unwanted, event(i, "a", 2)))
	b.must(b.Append(b.ctx(), wanted)) // comes again
	ds := b.wantPending(w, "a/1", "a/2")
	equal(t, "attachment", ds[0].Event.Attachment, pombo.Attachment{ID: "aa", Offset: 7})
	equal(t, "no attachment", ds[1].Event.Attachment, pombo.Attachment{})
	equal(t, "announced attachment", b.report()[0].Event.Attachment, ds[0].Event.Attachment)

	b.reopen()
	for _, e := range []pombo.Event{wanted, unwanted} {
		m, ok, err := b.Media(b.ctx(), e.Attachment.ID)
		b.must(err)
		if !ok || m.At.Before(before) {
			t.Fatalf("the file %s: %v, at %v", e.Attachment.ID, ok, m.At)
		}
		want := *e.Attachment.Media
		want.ID, want.Instance, want.At = e.Attachment.ID, e.Instance, m.At
		equal(t, "media", m, want)
		same, _, err := b.MediaOfMessage(b.ctx(), e.Instance, m.Message)
		b.must(err)
		equal(t, "media of a message", same, m)

		m.URL, m.DirectPath, m.Missed = "", "/v/again", "no reason"
		b.must(b.UpdateMedia(b.ctx(), m))
		same, _, err = b.Media(b.ctx(), m.ID)
		b.must(err)
		equal(t, "updated media", same, m)
	}
	if _, ok, err := b.MediaOfMessage(b.ctx(), i.ID, "3EB02"); ok || err != nil {
		t.Errorf("the file of another instance's message: %v, %v", ok, err)
	}
	secret := b.MediaSecret()
	if len(secret) < 20 {
		t.Errorf("the secret has %d characters", len(secret))
	}
	b.reopen()
	equal(t, "secret", b.MediaSecret(), secret)
}

func testMediaForgotten(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	gone, _ := b.instance("gone")
	b.must(b.Append(b.ctx(), withFile(event(i, "a", 1), "aa", "1"), withFile(event(i, "a", 2), "bb", "2"), withFile(event(gone, "a", 1), "cc", "3")))
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: b.pendingOf(w)[0].ID, Number: 1, At: eventTime, Status: 200, State: pombo.Delivered}))
	b.barrier()
	check := func(want map[string]bool) {
		t.Helper()
		got, err := b.KnownMedia(b.ctx(), []string{"aa", "bb", "cc", "dd", `"`})
		b.must(err)
		equal(t, "known files", got, want)
	}
	check(map[string]bool{"aa": false, "bb": true, "cc": true})
	b.must(b.ForgetMedia(b.ctx(), time.Now().Add(-time.Hour)))
	check(map[string]bool{"aa": false, "bb": true, "cc": true})
	b.must(b.ForgetMedia(b.ctx(), time.Now().Add(time.Hour)))
	check(map[string]bool{"bb": true, "cc": true})
}

// A webhook that wants files has those of its events announced so.
func testMediaWanted(t *testing.T, b *bench) {
	b.global = &pombo.Webhook{URL: "http://global", Enabled: true, Events: []pombo.EventName{pombo.SendMessage}, Base64: true}
	b.open()
	i, w := b.instance("i")
	append1 := func(n int, name pombo.EventName) bool {
		e := withFile(event(i, "a", n), string(rune('a'+n)), "1")
		e.Name = name
		b.must(b.Append(b.ctx(), e))
		all := b.report()
		return all[len(all)-1].Event.Attachment.Wanted
	}
	equal(t, "wanted by none", append1(1, pombo.MessagesUpsert), false)
	equal(t, "wanted by the global one", append1(2, pombo.SendMessage), true)
	w.Base64 = true
	_, err := b.PutWebhook(b.ctx(), w)
	b.must(err)
	equal(t, "wanted by the instance's own", append1(3, pombo.MessagesUpsert), true)
}
