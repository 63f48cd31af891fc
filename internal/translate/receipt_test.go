package translate

import (
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

func receiptOf(kind types.ReceiptType, ids ...string) *events.Receipt {
	return &events.Receipt{
		MessageSource: types.MessageSource{Chat: anaLID, Sender: device(anaLID, 0), SenderAlt: ana},
		MessageIDs:    ids, Timestamp: time.UnixMilli(1751300012000), Type: kind,
	}
}

func TestReceipt(t *testing.T) {
	for kind, status := range map[types.ReceiptType]string{
		types.ReceiptTypeDelivered: "DELIVERY_ACK", types.ReceiptTypeRead: "READ", types.ReceiptTypePlayed: "PLAYED",
	} {
		out, err := scope().Event(receiptOf(kind, "A", "B"))
		if err != nil || len(out) != 2 {
			t.Fatalf("%s: got %d events, %v; want one for each message", kind, len(out), err)
		}
		want := `{"keyId":"B","id":"B","remoteJid":"5511999990000@s.whatsapp.net","remoteJidAlt":"123456789012345@lid","fromMe":true,"status":"` +
			status + `","datetime":1751300012000,"owner":"my-instance","instanceId":"7b1f6c1e-0000-4000-8000-000000000001"}`
		if got := string(out[1].Data); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if out[0].Name != pombo.MessagesUpdate || out[0].Chat != ana.String() || out[0].Key == out[1].Key {
			t.Errorf("got %+v", out)
		}
	}
}

// Each device of a recipient confirms on its own; together they are one event for
// each status.
func TestReceiptKeyIgnoresTheDevice(t *testing.T) {
	phone, web := receiptOf(types.ReceiptTypeDelivered, "A"), receiptOf(types.ReceiptTypeDelivered, "A")
	web.Sender.Device = 7
	if a, b := one(t, scope(), phone), one(t, scope(), web); a.Key != b.Key {
		t.Errorf("keys %q and %q differ", a.Key, b.Key)
	}
	if a, b := one(t, scope(), phone), one(t, scope(), receiptOf(types.ReceiptTypeRead, "A")); a.Key == b.Key {
		t.Errorf("delivered and read have the key %q", a.Key)
	}
}

func TestReceiptOfOwnDevice(t *testing.T) {
	evt := receiptOf(types.ReceiptTypeReadSelf, "A")
	evt.Sender, evt.SenderAlt, evt.IsFromMe, evt.RecipientAlt = own, types.EmptyJID, true, ana
	got := parse(t, one(t, scope(), evt).Data)
	if string(got["fromMe"]) != "false" || string(got["status"]) != `"READ"` || string(got["remoteJid"]) != `"`+ana.String()+`"` {
		t.Errorf("got %s", got)
	}
	evt.Type = types.ReceiptTypeDelivered
	none(t, scope(), evt)
}

func TestReceiptsWithoutMeaning(t *testing.T) {
	for _, kind := range []types.ReceiptType{
		types.ReceiptTypeInactive, types.ReceiptTypeRetry, types.ReceiptTypeSender, types.ReceiptTypePeerMsg,
		types.ReceiptTypeHistorySync, types.ReceiptTypeServerError, "new-kind",
	} {
		none(t, scope(), receiptOf(kind, "A"))
	}
}

func TestGroupReceipt(t *testing.T) {
	evt := receiptOf(types.ReceiptTypeRead, "A")
	evt.Chat, evt.IsGroup = group, true
	none(t, scope(), evt)
	s := scope()
	s.GroupReceipts = true
	first := one(t, s, evt)
	got := parse(t, first.Data)
	if string(got["participant"]) != `"`+ana.String()+`"` || string(got["participantAlt"]) != `"`+anaLID.String()+`"` {
		t.Errorf("got %s", first.Data)
	}
	evt.Sender, evt.SenderAlt = own, types.EmptyJID
	if second := one(t, s, evt); second.Key == first.Key {
		t.Errorf("two readers have the key %q", second.Key)
	}
	s.Settings.GroupsIgnore = true
	none(t, s, evt)
}
