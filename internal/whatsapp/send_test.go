package whatsapp

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/encoding/protojson"

	"pombo"
	"pombo/internal/sandbox"
)

// received is the last message that the contact got.
func (w *world) received() *waE2E.Message {
	w.t.Helper()
	got, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: contact1})
	if err != nil || len(got) == 0 {
		w.t.Fatalf("the contact has %+v, %v", got, err)
	}
	var m waE2E.Message
	if err := protojson.Unmarshal(got[len(got)-1].Message, &m); err != nil {
		w.t.Fatal(err)
	}
	return &m
}

func TestNumberNotOnWhatsApp(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	_, err := w.session.SendText(w.ctx(), pombo.Text{Number: "5511900000099", Text: "x"})
	var known *pombo.Error
	if pombo.KindOf(err) != pombo.Invalid {
		t.Fatalf("got %v", err)
	}
	known = err.(*pombo.Error) //nolint:errorlint // the error itself
	detail, err := json.Marshal(known.Detail)
	if want := `[{"jid":"5511900000099@s.whatsapp.net","exists":false,"number":"5511900000099"}]`; err != nil || string(detail) != want {
		t.Errorf("got %s, %v, want %s", detail, err, want)
	}
	if _, err := w.session.SendText(w.ctx(), pombo.Text{Number: "xyz", Text: "x"}); pombo.KindOf(err) != pombo.Invalid {
		t.Errorf("no number: %v", err)
	}
	if _, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: " \n"}); pombo.KindOf(err) != pombo.Invalid {
		t.Errorf("no text: %v", err)
	}
}

func TestSentIsKeptBeforeItGoesOut(t *testing.T) {
	w := newWorld(t, func(w *world) { w.timing.patience = 20 * time.Millisecond })
	w.pair()
	w.sent.setFail(errBroken)
	if _, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "x"}); pombo.KindOf(err) != pombo.Unavailable {
		t.Errorf("got %v", err)
	}
	if got, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: contact1}); err != nil || len(got) != 0 {
		t.Errorf("the contact has %+v, %v", got, err)
	}
}

// A database that is full is no reason to let a caller wait as long as a message that came
// does, or to give up the connection: nothing was sent, and he is told why.
func TestSendIsNotKept(t *testing.T) {
	w := newWorld(t, func(w *world) { w.timing.keep = 50 * time.Millisecond })
	w.pair()
	w.sent.setFail(pombo.Errorf(pombo.Unavailable, "raise POMBO_MAX_DISK"))
	_, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "refused"})
	if pombo.KindOf(err) != pombo.Unavailable || !strings.Contains(err.Error(), "was not sent") || !strings.Contains(err.Error(), "raise POMBO_MAX_DISK") {
		t.Errorf("got %v", err)
	}
	w.sent.setFail(nil)
	if _, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "taken"}); err != nil {
		t.Errorf("over the same connection: %v", err)
	}
	if got, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: contact1}); err != nil || len(got) != 1 {
		t.Errorf("the contact has %+v, %v", got, err)
	}
}

func TestRefusedMessage(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.fault(sandbox.FaultRequest{Kind: sandbox.FaultReject, Code: 463, Count: 1})
	_, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "x"})
	if pombo.KindOf(err) != pombo.Invalid || !strings.Contains(err.Error(), "463") {
		t.Errorf("got %v", err)
	}
	if got := w.sink.named(pombo.SendMessage); len(got) != 0 {
		t.Errorf("an event was told: %s", got[0].Data)
	}
}

func TestQuote(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	theirs := w.write("original")
	w.event(pombo.MessagesUpsert, theirs)
	ours, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "nossa"})
	if err != nil {
		t.Fatal(err)
	}
	no := false
	for name, c := range map[string]struct {
		quoted pombo.Quoted
		author string
		text   string
	}{
		"given":              {pombo.Quoted{ID: theirs, FromMe: &no, Message: []byte(`{"conversation":"original"}`)}, chat1, "original"},
		"given, as extended": {pombo.Quoted{ID: theirs, RemoteJID: contact1, Message: []byte(`{"extendedTextMessage":{"text":"original","contextInfo":{"stanzaId":"x"}}}`)}, chat1, "original"},
		"looked up":          {pombo.Quoted{ID: ours.ID}, jid1, "nossa"},
		"unknown":            {pombo.Quoted{ID: "3A00"}, chat1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sent, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "resposta", Quoted: &c.quoted, Mentioned: []string{"5511900000001"}})
			if err != nil {
				t.Fatal(err)
			}
			info := w.received().GetExtendedTextMessage().GetContextInfo()
			m := info.GetQuotedMessage()
			if info.GetStanzaID() != c.quoted.ID || info.GetParticipant() != c.author || m.GetConversation()+m.GetExtendedTextMessage().GetText() != c.text {
				t.Errorf("got %v", info)
			}
			if m.GetExtendedTextMessage().GetContextInfo() != nil || info.RemoteJID != nil {
				t.Errorf("got %v", info)
			}
			if got := info.GetMentionedJID(); len(got) != 1 || got[0] != "5511900000001@s.whatsapp.net" {
				t.Errorf("mentioned are %v", got)
			}
			if !strings.Contains(string(sent.Data), `"contextInfo":{"stanzaId":"`+c.quoted.ID+`"`) {
				t.Errorf("the answer is %s", sent.Data)
			}
		})
	}
	for name, q := range map[string]pombo.Quoted{
		"no ID": {}, "no message": {ID: "x", Message: []byte(`[`)}, "no JID": {ID: "x", RemoteJID: "abc"},
	} {
		if _, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "x", Quoted: &q}); pombo.KindOf(err) != pombo.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestDelay(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	start := time.Now()
	if _, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "calma", Delay: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("it was sent after %s", took)
	}
}

func TestMessageID(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := newMessageID()
		if !regexp.MustCompile(`^3EB0[0-9A-F]{18}$`).MatchString(id) || seen[id] {
			t.Fatalf("got %q", id)
		}
		seen[id] = true
	}
}

func TestLookups(t *testing.T) {
	c := newLookups()
	if _, ok := c.get("1"); ok {
		t.Error("an answer to a question that was not asked")
	}
	c.put("1", mustJID(t, chat1))
	if jid, ok := c.get("1"); !ok || jid.String() != chat1 {
		t.Errorf("got %v, %v", jid, ok)
	}
	for i := range lookupMax + 5 {
		c.put("n"+strconv.Itoa(i), mustJID(t, chat1))
	}
	if len(c.seen) > lookupMax {
		t.Errorf("%d answers are kept", len(c.seen))
	}
}
