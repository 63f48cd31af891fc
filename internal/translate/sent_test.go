package translate

import (
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"pombo"
)

func TestSent(t *testing.T) {
	o := Outgoing{
		ID: "3EB0C767D26A1D4E5F6A01", Chat: ana, Time: time.Unix(1751300010, 0), Device: device(own, 3),
		Message: &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("hi")}},
	}
	event, sent, err := scope().Sent(o)
	if err != nil {
		t.Fatal(err)
	}
	const v2 = `{"key":{"remoteJid":"5511999990000@s.whatsapp.net","fromMe":true,"id":"3EB0C767D26A1D4E5F6A01"},"pushName":"Você","status":"PENDING","message":{"conversation":"hi"},"contextInfo":null,"messageType":"conversation","messageTimestamp":1751300010,"owner":"my-instance","instanceId":"7b1f6c1e-0000-4000-8000-000000000001","source":"web"}`
	const v1 = `{"key":{"remoteJid":"5511999990000@s.whatsapp.net","fromMe":true,"id":"3EB0C767D26A1D4E5F6A01"},"message":{"extendedTextMessage":{"text":"hi"}},"messageTimestamp":"1751300010","status":"PENDING"}`
	if string(sent.Data) != v2 {
		t.Errorf("got  %s\nwant %s", sent.Data, v2)
	}
	if string(sent.DataV1) != v1 {
		t.Errorf("got  %s\nwant %s", sent.DataV1, v1)
	}
	if string(event.Data) != v2 || event.Name != pombo.SendMessage || event.Chat != ana.String() ||
		event.Key != "5511999990000@s.whatsapp.net|3EB0C767D26A1D4E5F6A01" {
		t.Errorf("got %+v", event)
	}

	o.Chat = group
	if _, sent, err = scope().Sent(o); err != nil {
		t.Fatal(err)
	}
	if got := string(parse(t, sent.DataV1)["participant"]); got != `"5511888880000:3@s.whatsapp.net"` {
		t.Errorf("participant is %s", got)
	}
}

// What we edit and delete is told, and answered in the form of both dialects.
func TestSentOrders(t *testing.T) {
	at := time.Unix(1751300020, 0)
	order := func(p *waE2E.ProtocolMessage) Outgoing {
		p.Key = &waCommon.MessageKey{RemoteJID: proto.String(ana.String()), FromMe: proto.Bool(true), ID: proto.String("3EB0C767D26A1D4E5F6A01")}
		return Outgoing{ID: "3EB0C767D26A1D4E5F6A02", Chat: ana, Time: at, Device: device(own, 3), Message: &waE2E.Message{ProtocolMessage: p}}
	}
	const key = `"protocolMessage":{"key":{"remoteJid":"5511999990000@s.whatsapp.net","fromMe":true,"id":"3EB0C767D26A1D4E5F6A01"}`
	check := func(golden string, event pombo.Event, sent pombo.Sent, err error, answer string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		goldenIn(t, "events", golden, shown(t, []pombo.Event{event}))
		want := `{"key":{"remoteJid":"5511999990000@s.whatsapp.net","fromMe":true,"id":"3EB0C767D26A1D4E5F6A02"},"message":{` + answer + `},"messageTimestamp":"1751300020","status":"PENDING"}`
		if string(sent.Data) != want || string(sent.DataV1) != want {
			t.Errorf("answers\n%s\n%s\nwant\n%s", sent.Data, sent.DataV1, want)
		}
	}
	event, sent, err := scope().SentEdit(order(&waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_MESSAGE_EDIT.Enum(), TimestampMS: proto.Int64(1751300020000),
		EditedMessage: &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("new")}},
	}))
	check("sent-edit", event, sent, err, key+`,"type":"MESSAGE_EDIT","editedMessage":{"extendedTextMessage":{"text":"new"}},"timestampMs":"1751300020000"}`)
	revoke := order(&waE2E.ProtocolMessage{Type: waE2E.ProtocolMessage_REVOKE.Enum()})
	event, sent, err = scope().SentRevoke(revoke, types.EmptyJID, text("hi"))
	check("sent-revoke", event, sent, err, key+`,"type":"REVOKE"}`)
}
