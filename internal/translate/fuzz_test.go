package translate

import (
	"encoding/json"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

// FuzzMessage: whatever protobuf a sender puts together, the event is valid JSON
// and nothing panics; what cannot be translated has a raw form.
func FuzzMessage(f *testing.F) {
	for _, m := range []*waE2E.Message{
		{Conversation: proto.String("hi\xff")},
		{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String("re"), ContextInfo: &waE2E.ContextInfo{
			StanzaID: proto.String("X"), QuotedMessage: &waE2E.Message{DocumentWithCaptionMessage: &waE2E.FutureProofMessage{
				Message: &waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{Caption: proto.String("c")}}}},
			MentionedJID: []string{"a@lid"}}}},
		{DeviceSentMessage: &waE2E.DeviceSentMessage{Message: &waE2E.Message{Conversation: proto.String("x")}},
			MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: []byte{1}}},
		{EphemeralMessage: &waE2E.FutureProofMessage{Message: &waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{Key: key(false, "X")}}}},
		order(editOrder, key(true, "X"), edit("new")),
		order(revoke, key(false, "X"), nil),
		order(waE2E.ProtocolMessage_EPHEMERAL_SETTING, nil, nil),
		{EditedMessage: &waE2E.FutureProofMessage{Message: order(editOrder, key(true, "X"), edit("new"))}},
		vote(key(true, "POLL")),
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false, false)
		f.Add(b, true, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, fromMe, isGroup bool) {
		var m waE2E.Message
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		for _, keep := range []bool{false, true} {
			s := knowing()
			s.KeepWrappers, s.ChatUpdates = keep, keep
			evt := received(&m)
			evt.Info.IsFromMe, evt.Info.IsGroup = fromMe, isGroup
			if isGroup {
				evt.Info.Chat = group
			}
			before := proto.Clone(&m)
			out, err := s.Event(evt)
			if err != nil {
				raw, ok := s.Raw(evt, err)
				if !ok {
					t.Fatal("no raw form")
				}
				out = append(out, raw)
			}
			for _, e := range out {
				if !json.Valid(e.Data) || e.Key == "" {
					t.Fatalf("got %+v", e)
				}
			}
			if !proto.Equal(before, &m) {
				t.Fatal("the message was changed")
			}
		}
	})
}

// FuzzHistory: whatever history a phone sends, the events are valid JSON of a
// bounded size, their keys differ, and nothing panics.
func FuzzHistory(f *testing.F) {
	for _, h := range []*waHistorySync.HistorySync{history(), long(2, 2, 100), {Pushnames: history().Pushnames}} {
		b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(h)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, keep bool) {
		var h waHistorySync.HistorySync
		if (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(b, &h) != nil {
			return
		}
		s := scope()
		s.KeepWrappers, s.Settings.ReadStatus = keep, keep
		keys := map[string]bool{}
		for e := range told(s, &h, "blob", 0) {
			id := string(e.Name) + e.Key
			if !json.Valid(e.Data) || keys[id] || len(b) < HistoryLimit/8 && len(e.Data) >= HistoryLimit {
				t.Fatalf("got %s with %d bytes", id, len(e.Data))
			}
			keys[id] = true
		}
	})
}

// FuzzSigns: texts of WhatsApp that are no protobufs (names, states, JIDs) cannot
// break the JSON either.
func FuzzSigns(f *testing.F) {
	f.Add("5511999990000", "s.whatsapp.net", "Ana \xff\"", int64(1751300012345))
	f.Add("120363000000000000", "g.us", "", int64(-1))
	f.Fuzz(func(t *testing.T, user, server, text string, ms int64) {
		jid, at := types.NewJID(user, server), time.UnixMilli(ms)
		info := types.MessageInfo{ID: text, PushName: text, Type: text, MediaType: text, Timestamp: at}
		info.Chat, info.Sender, info.IsGroup = jid, jid, server == types.GroupServer
		meta := types.BasicCallMeta{From: jid, CallCreator: jid, CallID: text, Timestamp: at}
		g := events.GroupInfo{JID: jid, Sender: &jid, Timestamp: at, Name: &types.GroupName{Name: text, NameSetBy: jid}, Topic: &types.GroupTopic{Topic: text}, NewInviteLink: &text, Join: []types.JID{jid}}
		for _, evt := range []any{
			&events.UndecryptableMessage{Info: info, UnavailableType: events.UnavailableType(text)},
			&events.Presence{From: jid, LastSeen: at}, &events.ChatPresence{MessageSource: info.MessageSource, State: types.ChatPresenceComposing},
			&events.CallOffer{BasicCallMeta: meta}, &events.CallTerminate{BasicCallMeta: meta, Reason: text},
			&events.PushName{JID: jid, Message: &info, NewPushName: text}, &events.BusinessName{JID: jid, NewBusinessName: text},
			&events.Picture{JID: jid, Author: jid, PictureID: text, Timestamp: at}, &events.UserAbout{JID: jid, Status: text, Timestamp: at},
			&events.Contact{JID: jid, Timestamp: at, Action: &waSyncAction.ContactAction{FullName: &text, LidJID: &text}},
			&events.Archive{JID: jid, Timestamp: at}, &events.Star{ChatJID: jid, SenderJID: jid, MessageID: text, Timestamp: at},
			&events.DeleteForMe{ChatJID: jid, MessageID: text, Timestamp: at}, &events.DeleteChat{JID: jid, Timestamp: at},
			&events.LabelEdit{LabelID: text, Timestamp: at, Action: &waSyncAction.LabelEditAction{Name: &text}},
			&events.LabelAssociationMessage{JID: jid, LabelID: text, MessageID: text, Timestamp: at}, &g,
			&events.JoinedGroup{GroupInfo: types.GroupInfo{JID: jid, GroupName: *g.Name, OwnerJID: jid, Participants: []types.GroupParticipant{{JID: jid}}}, Notify: text},
		} {
			translated(t, scope(), evt)
		}
	})
}

// FuzzDecodeJSON: whatever a client sends as a quoted message, it is read or
// refused, and what was read can be shown again.
func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"conversation":"hi","imageMessage":{"fileSha256":{"0":1},"fileLength":{"low":-1,"high":2}}}`))
	f.Add([]byte(`{"messageContextInfo":{"deviceListMetadata":{"senderKeyIndexes":[1,"2",-3]}},"protocolMessage":{"type":"REVOKE"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m waE2E.Message
		if DecodeJSON(b, &m) != nil {
			return
		}
		if _, err := proto.Marshal(&m); err != nil {
			t.Fatal(err)
		}
		out, err := AppendJSON(nil, &m)
		if err == nil && !json.Valid(out) {
			t.Fatalf("got %s", out)
		}
	})
}
