package translate

import (
	"strconv"

	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// past tells whether an event of a full sync says what happened once, rather than
// what holds. A full sync brings the account's settings as a whole: after pairing,
// or when a collection could not be brought up to date. It tells the names in the
// address book, the labels, and what is archived, pinned, muted and marked as
// unread; messages that were starred or deleted years ago, chats that were cleared
// or deleted then, and that each other chat was read, are no news.
func past(evt any) bool {
	switch evt := evt.(type) {
	case *events.Star:
		return evt.FromFullSync
	case *events.DeleteForMe:
		return evt.FromFullSync
	case *events.ClearChat:
		return evt.FromFullSync
	case *events.DeleteChat:
		return evt.FromFullSync
	case *events.MarkChatAsRead:
		return evt.FromFullSync && evt.Action.GetRead()
	}
	return false
}

// AddressBook translates entries of the address book that came together: a
// CONTACTS_UPSERT of all that have a name, [{…}, …], and more than one if its data
// would be past HistoryLimit. Those without a name make events of their own.
func (s Scope) AddressBook(entries []*events.Contact) []pombo.Event {
	var out []pombo.Event
	var data []byte
	var ids []string
	flush := func() {
		if len(data) > 0 {
			out = append(out, s.event(pombo.ContactsUpsert, "contacts|"+digest(ids...), "", entries[0].Timestamp, append(data, ']')))
		}
		data, ids = nil, nil
	}
	for _, evt := range entries {
		kind, o, _ := s.addressBookEntry(evt)
		if kind != pombo.ContactsUpsert {
			out = append(out, s.addressBook(evt)...)
			continue
		}
		if len(data)+len(o)+3 >= HistoryLimit {
			flush()
		}
		if len(data) == 0 {
			data = append(data, '[')
		} else {
			data = append(data, ',')
		}
		data = append(append(data, o...), '}')
		ids = append(ids, evt.JID.String(), strconv.FormatInt(evt.Timestamp.UnixMilli(), 10), evt.Action.GetFullName(), evt.Action.GetFirstName())
	}
	flush()
	return out
}
