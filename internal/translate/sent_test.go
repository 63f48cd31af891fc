package translate

import (
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
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
