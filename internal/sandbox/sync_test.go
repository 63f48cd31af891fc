package sandbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

// set lets the bot's phone change its app state.
func (n *network) set(t *testing.T, r sandbox.AppStateRequest) sandbox.AppStateResult {
	t.Helper()
	r.Number = bot
	result, err := n.SetAppState(context.Background(), r)
	if err != nil {
		t.Fatalf("%s: %v", r.Action, err)
	}
	return result
}

func no() *bool { return new(bool) }

// TestPhoneChangesSettings: what the phone changes arrives as events, signed and in order.
func TestPhoneChangesSettings(t *testing.T) {
	n, c := startPaired(t)
	id := n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi"})
	wait[*events.Message](c, nil)
	if c.Store.PushName != "Contact 0001" {
		t.Errorf("the push name is %q", c.Store.PushName)
	}
	if err := c.SendPresence(context.Background(), types.PresenceAvailable); err != nil {
		t.Errorf("presence: %v", err)
	}
	chat := pn(contact)
	n.set(t, sandbox.AppStateRequest{Action: "archive", Chat: contact})
	if e := wait[*events.Archive](c, nil); e.JID != chat || !e.Action.GetArchived() || e.FromFullSync ||
		e.Action.GetMessageRange().GetMessages()[0].GetKey().GetID() != id {
		t.Errorf("archive: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "archive", Chat: contact, On: no()})
	if e := wait[*events.Archive](c, nil); e.Action.GetArchived() {
		t.Errorf("archive: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "pin", Chat: contact})
	if e := wait[*events.Pin](c, nil); e.JID != chat || !e.Action.GetPinned() {
		t.Errorf("pin: %+v", e)
	}
	until := time.Now().Add(time.Hour).UnixMilli()
	n.set(t, sandbox.AppStateRequest{Action: "mute", Chat: contact, Until: until})
	if e := wait[*events.Mute](c, nil); e.JID != chat || e.Action.GetMuteEndTimestamp() != until {
		t.Errorf("mute: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "markRead", Chat: contact, On: no()})
	if e := wait[*events.MarkChatAsRead](c, nil); e.JID != chat || e.Action.GetRead() {
		t.Errorf("mark: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "star", Chat: contact, MessageID: id})
	if e := wait[*events.Star](c, nil); e.MessageID != id || e.IsFromMe || !e.Action.GetStarred() {
		t.Errorf("star: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "deleteForMe", Chat: contact, MessageID: id})
	if e := wait[*events.DeleteForMe](c, nil); e.MessageID != id || e.ChatJID != chat {
		t.Errorf("delete for me: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "contact", Chat: contact, Name: "Ana Maria Silva"})
	if e := wait[*events.Contact](c, nil); e.JID != chat || e.Action.GetFirstName() != "Ana" || e.Action.GetFullName() != "Ana Maria Silva" {
		t.Errorf("contact: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "label", Label: "7", Name: "New", Color: 3})
	if e := wait[*events.LabelEdit](c, nil); e.LabelID != "7" || e.Action.GetName() != "New" || e.Action.GetColor() != 3 {
		t.Errorf("label: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "labelChat", Label: "7", Chat: contact})
	if e := wait[*events.LabelAssociationChat](c, nil); e.JID != chat || e.LabelID != "7" || !e.Action.GetLabeled() {
		t.Errorf("label of a chat: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "labelMessage", Label: "7", Chat: contact, MessageID: id})
	if e := wait[*events.LabelAssociationMessage](c, nil); e.MessageID != id {
		t.Errorf("label of a message: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "clear", Chat: contact})
	if e := wait[*events.ClearChat](c, nil); e.JID != chat {
		t.Errorf("clear: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "delete", Chat: contact})
	if e := wait[*events.DeleteChat](c, nil); e.JID != chat {
		t.Errorf("delete: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "unarchiveChats"})
	if e := wait[*events.UnarchiveChatsSetting](c, nil); !e.Action.GetUnarchiveChats() {
		t.Errorf("unarchive: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "pushName", Name: "Shop"})
	wait[*events.PushNameSetting](c, nil)
	if c.Store.PushName != "Shop" {
		t.Errorf("the push name is %q", c.Store.PushName)
	}
	n.set(t, sandbox.AppStateRequest{
		Action: "raw", Collection: "regular_low", Version: 5, Index: []string{"pin_v1", contact + "@s.whatsapp.net"}, Value: []byte(`{"pinAction":{"pinned":false}}`),
	})
	if e := wait[*events.Pin](c, nil); e.Action.GetPinned() {
		t.Errorf("raw: %+v", e)
	}
	n.set(t, sandbox.AppStateRequest{Action: "removeContact", Chat: contact})
	n.set(t, sandbox.AppStateRequest{Action: "contact", Chat: contact, Name: "Ana"})
	wait(c, func(e *events.Contact) bool { return e.Action.GetFullName() == "Ana" })
	n.mustObey(t)
}

// TestClientChangesSettings: a client's patches are checked, applied, and reach the other companion and the next one.
func TestClientChangesSettings(t *testing.T) {
	n := startNetwork(t, sandbox.Options{DataDir: t.TempDir()})
	one, two := newClient(t, n), newClient(t, n)
	one.pair(n, bot)
	two.pair(n, bot)
	ctx := context.Background()
	chat := pn(contact)
	for i := range 3 {
		if err := one.SendAppState(ctx, appstate.BuildMute(chat, i%2 == 0, 0)); err != nil {
			t.Fatal(err)
		}
		if e := wait[*events.Mute](two, nil); e.JID != chat || e.Action.GetMuted() != (i%2 == 0) {
			t.Errorf("mute: %+v", e)
		}
	}
	n.set(t, sandbox.AppStateRequest{Action: "mute", Chat: contact})
	wait[*events.Mute](two, nil)
	if err := two.SendAppState(ctx, appstate.BuildStar(chat, chat, "M1", false, true)); err != nil {
		t.Fatal(err)
	}
	wait(one, func(e *events.Star) bool { return e.MessageID == "M1" })
	if err := one.SendAppState(ctx, appstate.BuildSettingPushName("Shop")); err != nil {
		t.Fatal(err)
	}
	wait[*events.PushNameSetting](two, nil)
	settings, err := n.AppState(ctx, bot)
	if err != nil || len(settings) != 3 || !slices.Equal(settings[0].Index, []string{"setting_pushName"}) || !strings.Contains(string(settings[0].Value), "Shop") {
		t.Errorf("app state: %+v, %v", settings, err)
	}
	three := newClient(t, n)
	three.pair(n, bot)
	if three.Store.PushName != "Shop" {
		t.Errorf("a new companion has the name %q", three.Store.PushName)
	}
	if s, err := three.Store.ChatSettings.GetChatSettings(ctx, chat); err != nil || s.MutedUntil.IsZero() {
		t.Errorf("a new companion has %+v, %v", s, err)
	}
	n.mustObey(t)
}

// TestMissedSettings: what changed while the client was away, and while the sandbox was, comes when both are back.
func TestMissedSettings(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir})
	c := newClient(t, n)
	c.pair(n, bot)
	c.close()
	for i := range 250 { // more than fit into one answer
		n.set(t, sandbox.AppStateRequest{Action: "star", Chat: contact, MessageID: fmt.Sprint("M", i)})
	}
	n.stop()
	n = startNetwork(t, sandbox.Options{DataDir: dir})
	n.set(t, sandbox.AppStateRequest{Action: "star", Chat: contact, MessageID: "last"})
	c.open(n)
	c.connect()
	var got []string
	for len(got) < 251 {
		got = append(got, wait[*events.Star](c, nil).MessageID)
	}
	if got[0] != "M0" || got[249] != "M249" || got[250] != "last" {
		t.Errorf("got %v", got)
	}
	n.mustObey(t)
}

// TestLostKeys: a client without the keys asks its phone for them.
func TestLostKeys(t *testing.T) {
	n, c := startPaired(t)
	if _, err := c.db.GetFirstDevice(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.forgetSyncKeys()
	c.close()
	c.open(n)
	c.connect()
	wait[*events.Connected](c, nil)
	n.set(t, sandbox.AppStateRequest{Action: "pin", Chat: contact})
	wait[*events.Pin](c, nil)
	n.mustObey(t)
}
