package translate

import (
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// contact makes what changed about a person. It returns nil for the rest.
func (s Scope) contact(evt any) []pombo.Event {
	switch evt := evt.(type) {
	case *events.PushName:
		return s.pushed(evt)
	case *events.BusinessName:
		return s.businessName(evt)
	case *events.Contact:
		return s.addressBook(evt)
	case *events.Picture:
		return s.picture(evt)
	case *events.UserAbout:
		return s.about(evt)
	}
	return nil
}

// person begins an object about a contact: {id, remoteJid, remoteJidAlt?}.
func (s Scope) person(jid, alt types.JID) (o jsonObject, lane string) {
	shown, other := s.forms(jid, alt)
	lane = shown.String()
	return newObject().text("id", lane).text("remoteJid", lane).jid("remoteJidAlt", other), lane
}

// withoutPicture writes the picture as both versions do when they have none.
func (o jsonObject) withoutPicture() jsonObject {
	return o.null("profilePictureUrl").null("profilePicUrl")
}

// pushed makes, of a message whose sender's name is new, a CONTACTS_UPSERT
// (nobody had told us their name before) or a CONTACTS_UPDATE: {id, remoteJid,
// pushName, …}, one object, as both versions do for messages. In a chat of two a
// CHATS_UPSERT goes with it, as in 2.3.6: [{…, name, unreadMessages?}].
func (s Scope) pushed(evt *events.PushName) []pombo.Event {
	if s.isOwn(evt.JID) || evt.JID.IsEmpty() {
		return nil
	}
	var at time.Time
	cause := digest(evt.OldPushName, evt.NewPushName)
	if evt.Message != nil {
		at = evt.Message.Timestamp
		cause = stanzaKey(*evt.Message)
	}
	o, lane := s.person(evt.JID, evt.JIDAlt)
	o = o.text("pushName", evt.NewPushName)
	name := pombo.ContactsUpdate
	if evt.OldPushName == "" {
		name, o = pombo.ContactsUpsert, o.withoutPicture()
	}
	key := "pushName|" + evt.JID.String() + "|" + cause
	out := []pombo.Event{s.event(name, key, lane, at, append(s.appendOwner(o), '}'))}
	if m := evt.Message; m != nil && !m.IsGroup && !m.IsFromMe {
		c, lane := s.chat(evt.JID, evt.JIDAlt, s.sender())
		c = c.text("name", evt.NewPushName)
		if name == pombo.ContactsUpsert {
			c = c.int("unreadMessages", 1)
		}
		out = append(out, s.event(pombo.ChatsUpsert, key, lane, at, c.list()))
	}
	return out
}

// businessName makes a CONTACTS_UPDATE: {id, remoteJid, verifiedName, …}.
func (s Scope) businessName(evt *events.BusinessName) []pombo.Event {
	if s.isOwn(evt.JID) || evt.JID.IsEmpty() {
		return nil
	}
	var at time.Time
	cause := digest(evt.OldBusinessName, evt.NewBusinessName)
	if evt.Message != nil {
		at = evt.Message.Timestamp
		cause = stanzaKey(*evt.Message)
	}
	o, lane := s.person(evt.JID, types.EmptyJID)
	o = o.text("verifiedName", evt.NewBusinessName)
	key := "verifiedName|" + evt.JID.String() + "|" + cause
	return []pombo.Event{s.event(pombo.ContactsUpdate, key, lane, at, append(s.appendOwner(o), '}'))}
}

// addressBook makes a CONTACTS_UPSERT of an entry of the phone's address book:
// [{id, remoteJid, pushName, name, firstName?, …}]. pushName is the name in the
// book, as in both versions. An entry that is gone has no name: it is a
// CONTACTS_UPDATE with name null.
func (s Scope) addressBook(evt *events.Contact) []pombo.Event {
	kind, o, lane := s.addressBookEntry(evt)
	if kind == "" {
		return nil
	}
	data := append([]byte{'['}, o...)
	key := s.syncKey("contact", evt.Timestamp, evt.JID.String(), digest(evt.Action.GetFullName(), evt.Action.GetFirstName()))
	return []pombo.Event{s.event(kind, key, lane, evt.Timestamp, append(data, '}', ']'))}
}

// addressBookEntry makes the object of an entry, and tells which event it is for.
func (s Scope) addressBookEntry(evt *events.Contact) (kind pombo.EventName, o jsonObject, lane string) {
	if evt.JID.IsEmpty() {
		return "", nil, ""
	}
	alt := parsed(evt.Action.GetLidJID())
	if evt.JID.Server == types.HiddenUserServer {
		alt = parsed(evt.Action.GetPnJID())
	}
	o, lane = s.person(evt.JID, alt)
	kind, name := pombo.ContactsUpsert, evt.Action.GetFullName()
	if name == "" {
		name = evt.Action.GetFirstName()
	}
	if name == "" {
		kind, o = pombo.ContactsUpdate, o.null("name")
	} else {
		o = o.text("pushName", name).text("name", name).optional("firstName", evt.Action.GetFirstName()).withoutPicture()
	}
	return kind, s.appendOwner(o), lane
}

// about makes a CONTACTS_UPDATE: [{id, remoteJid, status, …}], status being the
// line that people write about themselves.
func (s Scope) about(evt *events.UserAbout) []pombo.Event {
	if evt.JID.IsEmpty() {
		return nil
	}
	o, lane := s.person(evt.JID, types.EmptyJID)
	data := append([]byte{'['}, s.appendOwner(o.text("status", evt.Status))...)
	key := s.syncKey("about", evt.Timestamp, evt.JID.String(), digest(evt.Status))
	return []pombo.Event{s.event(pombo.ContactsUpdate, key, lane, evt.Timestamp, append(data, '}', ']'))}
}

// picture makes a CONTACTS_UPDATE, or of a group's picture a GROUP_UPDATE: [{id,
// imgUrl: "changed"|"removed", pictureId?, …}]. The picture's address is not in
// what WhatsApp sends; profilePictureUrl is there, as null, only if the picture
// is gone.
func (s Scope) picture(evt *events.Picture) []pombo.Event {
	if s.ignores(evt.JID) {
		return nil
	}
	change := "changed"
	if evt.Remove {
		change = "removed"
	}
	key := "picture|" + evt.JID.String() + "|" + evt.PictureID + "|" + strconv.FormatInt(evt.Timestamp.Unix(), 10)
	if evt.JID.Server == types.GroupServer {
		lane := plain(evt.JID).String()
		o := newObject().text("id", lane).text("imgUrl", change).optional("pictureId", evt.PictureID).
			user(s, "author", evt.Author, types.EmptyJID)
		return []pombo.Event{s.event(pombo.GroupUpdate, key, lane, evt.Timestamp, o.list())}
	}
	o, lane := s.person(evt.JID, types.EmptyJID)
	o = o.text("imgUrl", change).optional("pictureId", evt.PictureID)
	if evt.Remove {
		o = o.withoutPicture()
	}
	data := append([]byte{'['}, s.appendOwner(o)...)
	return []pombo.Event{s.event(pombo.ContactsUpdate, key, lane, evt.Timestamp, append(data, '}', ']'))}
}
