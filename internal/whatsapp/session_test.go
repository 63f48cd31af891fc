package whatsapp

import (
	"strings"
	"testing"

	"pombo"
	"pombo/internal/sandbox"
)

func TestPairReceiveSend(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	if jid := w.reg.paired(); !strings.HasPrefix(jid, account1+":") {
		t.Errorf("the registry has %q", jid)
	}
	id := w.write("Oi!")
	e := w.event(pombo.MessagesUpsert, id)
	if e.Chat != chat1 || e.Sender != jid1 || !strings.Contains(string(e.Data), `"conversation":"Oi!"`) {
		t.Errorf("got %+v\n%s", e, e.Data)
	}
	w.eventually("the message is confirmed", func() bool { return w.confirmed()[id] })

	sent, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "Olá"})
	if err != nil {
		t.Fatal(err)
	}
	if e := w.event(pombo.SendMessage, sent.ID); string(e.Data) != string(sent.Data) {
		t.Errorf("the event has %s, the answer %s", e.Data, sent.Data)
	}
	w.event(pombo.MessagesUpdate, `"status":"DELIVERY_ACK"`)
	got, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: contact1})
	if err != nil || len(got) != 1 || got[0].Text != "Olá" || got[0].ID != sent.ID {
		t.Errorf("the contact has %+v, %v", got, err)
	}
	states := ""
	for _, e := range w.sink.named(pombo.ConnectionUpdate) {
		states += string(e.Data)
	}
	if strings.Count(states, `"state":"connecting"`) != 1 || strings.Count(states, `"state":"open"`) != 1 {
		t.Errorf("the states told are %s", states)
	}
}
