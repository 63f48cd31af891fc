package translate

import (
	"strconv"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// appState makes what was changed on the phone or another device. It returns
// nil for the rest.
func (s Scope) appState(evt any) []pombo.Event {
	switch evt := evt.(type) {
	case *events.Archive:
		return s.chatUpdate(evt.JID, turned("archive", evt.Action.GetArchived()), evt.Timestamp, func(o jsonObject) jsonObject {
			return o.bool("archived", evt.Action.GetArchived())
		})
	case *events.Pin:
		return s.chatUpdate(evt.JID, turned("pin", evt.Action.GetPinned()), evt.Timestamp, func(o jsonObject) jsonObject {
			if !evt.Action.GetPinned() {
				return o.null("pinned")
			}
			return o.int("pinned", evt.Timestamp.UnixMilli())
		})
	case *events.Mute:
		return s.chatUpdate(evt.JID, turned("mute", evt.Action.GetMuted()), evt.Timestamp, func(o jsonObject) jsonObject {
			if !evt.Action.GetMuted() {
				return o.null("muteEndTime")
			}
			return o.int("muteEndTime", evt.Action.GetMuteEndTimestamp())
		})
	case *events.MarkChatAsRead:
		return s.chatUpdate(evt.JID, turned("read", evt.Action.GetRead()), evt.Timestamp, func(o jsonObject) jsonObject {
			if evt.Action.GetRead() {
				return o.bool("markedAsUnread", false).int("unreadCount", 0).int("unreadMessages", 0)
			}
			return o.bool("markedAsUnread", true).int("unreadCount", -1)
		})
	case *events.ClearChat:
		return s.chatUpdate(evt.JID, "clear", evt.Timestamp, func(o jsonObject) jsonObject {
			return o.bool("cleared", true)
		})
	case *events.DeleteChat:
		return s.chatDelete(evt)
	case *events.Star:
		return s.star(evt)
	case *events.DeleteForMe:
		return s.deletedForMe(evt)
	case *events.LabelEdit:
		return s.labelEdit(evt)
	case *events.LabelAssociationChat:
		return s.labelAssociation(evt.JID, evt.LabelID, "", evt.Action.GetLabeled(), evt.Timestamp)
	case *events.LabelAssociationMessage:
		return s.labelAssociation(evt.JID, evt.LabelID, evt.MessageID, evt.Action.GetLabeled(), evt.Timestamp)
	}
	return nil
}

// chat begins an object about a chat: {id, remoteJid, remoteJidAlt?, owner,
// instanceId}. owner is our own JID in CHATS_UPSERT and CHATS_UPDATE, as in 1.8.2,
// and the instance's name in CHATS_SET.
func (s Scope) chat(jid, alt types.JID, owner string) (o jsonObject, lane string) {
	shown, other := s.forms(jid, alt)
	lane = shown.String()
	return newObject().text("id", lane).text("remoteJid", lane).jid("remoteJidAlt", other).
		text("owner", owner).text("instanceId", string(s.Instance)), lane
}

// chatOf is chat for the chat of a message.
func (s Scope) chatOf(info types.MessageInfo) (o jsonObject, lane string) {
	alt := types.EmptyJID
	switch {
	case info.IsGroup:
	case info.IsFromMe:
		alt = info.RecipientAlt
	default:
		alt = info.SenderAlt
	}
	return s.chat(info.Chat, alt, s.sender())
}

// chatOfMessage makes a CHATS_UPDATE of a message: [{…, conversationTimestamp}].
func (s Scope) chatOfMessage(evt *events.Message, lane string) pombo.Event {
	o, _ := s.chatOf(evt.Info)
	o = o.int("conversationTimestamp", evt.Info.Timestamp.Unix())
	return s.event(pombo.ChatsUpdate, occurrence(evt), lane, evt.Info.Timestamp, o.list())
}

// chatUpdate makes a CHATS_UPDATE: [{id, remoteJid, owner, instanceId, …}] with
// the fields that changed: archived, pinned (ms, or null), muteEndTime (ms, -1
// for ever, or null), markedAsUnread with unreadCount (0, or -1 for marked as
// unread), cleared.
func (s Scope) chatUpdate(jid types.JID, what string, at time.Time, change func(jsonObject) jsonObject) []pombo.Event {
	if s.ignores(jid) {
		return nil
	}
	o, lane := s.chat(jid, types.EmptyJID, s.sender())
	return []pombo.Event{s.event(pombo.ChatsUpdate, s.syncKey(what, at, jid.String()), lane, at, change(o).list())}
}

// chatDelete makes a CHATS_DELETE: ["<jid>"].
func (s Scope) chatDelete(evt *events.DeleteChat) []pombo.Event {
	if s.ignores(evt.JID) {
		return nil
	}
	lane := s.Lane(evt.JID)
	data := append(appendString([]byte{'['}, lane), ']')
	return []pombo.Event{s.event(pombo.ChatsDelete, s.syncKey("delete", evt.Timestamp, evt.JID.String()), lane, evt.Timestamp, data)}
}

// star makes a MESSAGES_UPDATE without status: {keyId, id, remoteJid, fromMe,
// starred, datetime, …}.
func (s Scope) star(evt *events.Star) []pombo.Event {
	if s.ignores(evt.ChatJID) {
		return nil
	}
	key, lane := s.messageKey(s.marked(evt.ChatJID, evt.SenderJID, evt.IsFromMe, evt.MessageID))
	o := newObject().text("keyId", evt.MessageID)
	o = append(append(o, ','), key[1:len(key)-1]...)
	o = o.bool("starred", evt.Action.GetStarred()).int("datetime", evt.Timestamp.UnixMilli())
	occurrence := s.syncKey(turned("star", evt.Action.GetStarred()), evt.Timestamp, evt.ChatJID.String(), evt.MessageID)
	return []pombo.Event{s.event(pombo.MessagesUpdate, occurrence, lane, evt.Timestamp, append(s.appendOwner(o), '}'))}
}

// deletedForMe makes a MESSAGES_DELETE with deletedFor "me": the message is
// still there for the others.
func (s Scope) deletedForMe(evt *events.DeleteForMe) []pombo.Event {
	if s.ignores(evt.ChatJID) {
		return nil
	}
	o, lane := s.deletion(s.marked(evt.ChatJID, evt.SenderJID, evt.IsFromMe, evt.MessageID))
	o = o.jid("deletedBy", plain(s.Own)).text("deletedFor", "me").
		int("messageTimestamp", evt.Timestamp.Unix())
	occurrence := s.syncKey("deleteForMe", evt.Timestamp, evt.ChatJID.String(), evt.MessageID)
	return []pombo.Event{s.event(pombo.MessagesDelete, occurrence, lane, evt.Timestamp, append(s.appendOwner(o), '}'))}
}

// marked describes the message that an entry of the app state names.
func (s Scope) marked(chat, sender types.JID, fromMe bool, id types.MessageID) types.MessageInfo {
	info := types.MessageInfo{ID: id}
	info.Chat, info.Sender, info.IsFromMe = chat, sender, fromMe
	info.IsGroup = chat.Server == types.GroupServer || chat.Server == types.BroadcastServer
	if fromMe {
		info.Sender = s.Own
	}
	return info
}

// labelEdit makes a LABELS_EDIT: {id, name, color, deleted, predefinedId?,
// instance}.
func (s Scope) labelEdit(evt *events.LabelEdit) []pombo.Event {
	a := evt.Action
	o := newObject().text("id", evt.LabelID).text("name", a.GetName()).int("color", int64(a.GetColor())).
		bool("deleted", a.GetDeleted())
	if a.GetPredefinedID() != 0 {
		o = o.text("predefinedId", strconv.Itoa(int(a.GetPredefinedID())))
	}
	data := o.text("instance", s.Name).text("instanceId", string(s.Instance)).close()
	return []pombo.Event{s.event(pombo.LabelsEdit, s.syncKey("label", evt.Timestamp, evt.LabelID, digest(string(data))), "", evt.Timestamp, data)}
}

// labelAssociation makes a LABELS_ASSOCIATION: {instance, type: "add"|"remove",
// chatId, labelId}, and messageId if it is a message that was labelled.
func (s Scope) labelAssociation(chat types.JID, label, message string, on bool, at time.Time) []pombo.Event {
	if s.ignores(chat) {
		return nil
	}
	shown, alt := s.forms(chat, types.EmptyJID)
	kind := "remove"
	if on {
		kind = "add"
	}
	lane := shown.String()
	data := newObject().text("instance", s.Name).text("type", kind).text("chatId", lane).jid("chatIdAlt", alt).
		text("labelId", label).optional("messageId", message).text("instanceId", string(s.Instance)).close()
	key := s.syncKey("labelled", at, chat.String(), label, message, kind)
	return []pombo.Event{s.event(pombo.LabelsAssociation, key, lane, at, data)}
}

// ignores tells whether the settings leave out a chat.
func (s Scope) ignores(chat types.JID) bool {
	return chat.IsEmpty() || s.leavesOut(types.MessageInfo{MessageSource: types.MessageSource{Chat: chat}})
}

// turned names a change that is done or undone: both can happen in one millisecond.
func turned(what string, on bool) string {
	if on {
		return what
	}
	return "not " + what
}

// syncKey identifies a change of the app state: what was changed, and when, to
// the millisecond.
func (s Scope) syncKey(what string, at time.Time, parts ...string) string {
	if at.UnixMilli() <= 0 {
		return what + "|" + s.unique()
	}
	return what + "|" + strings.Join(parts, "|") + "|" + strconv.FormatInt(at.UnixMilli(), 10)
}
