package translate

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo"
)

// What devices of one account say to each other is no event, not even raw: it
// holds keys.
func TestKeysStay(t *testing.T) {
	share := func(p *waE2E.ProtocolMessage) {
		p.AppStateSyncKeyShare = &waE2E.AppStateSyncKeyShare{Keys: []*waE2E.AppStateSyncKey{{KeyData: &waE2E.AppStateSyncKeyData{KeyData: []byte("secret")}}}}
	}
	wrapped := fromOwnDevice(received(&waE2E.Message{}))
	wrapped.RawMessage = order(waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE, nil, share)
	peer := fromOwnDevice(received(&waE2E.Message{Conversation: proto.String("of a kind that nobody knows yet")}))
	peer.Info.Category = "peer"
	for name, evt := range map[string]*events.Message{
		"a key":     fromOwnDevice(received(order(waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE, nil, share))),
		"a wrapped": wrapped, "a peer's": peer,
		"a history": fromOwnDevice(received(order(waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION, nil, nil))),
	} {
		if made, err := scope().Event(evt); err != nil || len(made) > 0 {
			t.Errorf("%s message makes %v, %v", name, made, err)
		}
		if raw, ok := scope().Raw(evt, errors.New("broken")); ok {
			t.Errorf("%s message is told as it came: %s", name, raw.Data)
		}
	}
	peer.Info.IsFromMe = false // somebody else cannot hide a message by calling it that
	if made, err := scope().Event(peer); err != nil || len(made) != 1 {
		t.Errorf("a stranger's message makes %v, %v", made, err)
	}
}

// Of a full sync is told what holds, not what happened once.
func TestFullSyncTellsWhatHolds(t *testing.T) {
	at := time.Unix(1751300000, 0)
	unread := &waSyncAction.MarkChatAsReadAction{Read: proto.Bool(false)}
	read := &waSyncAction.MarkChatAsReadAction{Read: proto.Bool(true)}
	for _, c := range []struct {
		evt       func(full bool) any
		told      int // of a full sync
		otherwise int
	}{
		{func(f bool) any { return &events.Star{ChatJID: ana, MessageID: "A", Timestamp: at, FromFullSync: f} }, 0, 1},
		{func(f bool) any {
			return &events.DeleteForMe{ChatJID: ana, MessageID: "A", Timestamp: at, FromFullSync: f}
		}, 0, 1},
		{func(f bool) any { return &events.ClearChat{JID: ana, Timestamp: at, FromFullSync: f} }, 0, 1},
		{func(f bool) any { return &events.DeleteChat{JID: ana, Timestamp: at, FromFullSync: f} }, 0, 1},
		{func(f bool) any {
			return &events.MarkChatAsRead{JID: ana, Timestamp: at, Action: read, FromFullSync: f}
		}, 0, 1},
		{func(f bool) any {
			return &events.MarkChatAsRead{JID: ana, Timestamp: at, Action: unread, FromFullSync: f}
		}, 1, 1},
		{func(f bool) any { return &events.Archive{JID: ana, Timestamp: at, FromFullSync: f} }, 1, 1},
		{func(f bool) any { return &events.Pin{JID: ana, Timestamp: at, FromFullSync: f} }, 1, 1},
		{func(f bool) any { return &events.Mute{JID: ana, Timestamp: at, FromFullSync: f} }, 1, 1},
		{func(f bool) any { return &events.LabelEdit{LabelID: "1", Timestamp: at, FromFullSync: f} }, 1, 1},
		{func(f bool) any {
			return &events.LabelAssociationChat{JID: ana, LabelID: "1", Timestamp: at, FromFullSync: f}
		}, 1, 1},
	} {
		for _, full := range []bool{true, false} {
			want := c.otherwise
			if full {
				want = c.told
			}
			if made, err := scope().Event(c.evt(full)); err != nil || len(made) != want {
				t.Errorf("%T, full sync %t: got %v, %v", c.evt(full), full, made, err)
			}
		}
	}
}

// An address book comes in few events, each under the limit, with everybody in it.
func TestAddressBook(t *testing.T) {
	var book []*events.Contact
	for i := range 6000 {
		book = append(book, &events.Contact{
			JID: types.NewJID(fmt.Sprintf("55119%08d", i), types.DefaultUserServer), Timestamp: time.UnixMilli(1751300000000),
			Action: &waSyncAction.ContactAction{FullName: proto.String(fmt.Sprintf("Ana %d", i))},
		})
	}
	book = append(book, &events.Contact{JID: bia, Timestamp: time.UnixMilli(1751300000000), Action: &waSyncAction.ContactAction{}})
	seen, keys := map[string]bool{}, map[string]bool{}
	made := scope().AddressBook(book)
	for _, e := range made {
		var items []struct{ ID string }
		if err := json.Unmarshal(e.Data, &items); err != nil || len(e.Data) >= HistoryLimit {
			t.Fatalf("%d bytes, %v", len(e.Data), err)
		}
		if e.Name == pombo.ContactsUpdate && (len(items) != 1 || items[0].ID != bia.String()) {
			t.Errorf("got %s", e.Data)
		}
		for _, item := range items {
			seen[item.ID] = true
		}
		keys[string(e.Name)+e.Key] = true
	}
	if len(seen) != len(book) || len(keys) != len(made) || len(made) < 3 || len(made) > 6 {
		t.Errorf("%d of %d in %d events", len(seen), len(book), len(made))
	}
	again := scope().AddressBook(book)
	for i := range made {
		if again[i].Key != made[i].Key {
			t.Error("the same address book has other keys")
		}
	}
	if alone := scope().AddressBook(book[:0]); len(alone) != 0 {
		t.Errorf("nobody makes %v", alone)
	}
}
