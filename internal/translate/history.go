package translate

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// HistoryLimit is what the data of an event made of history stays under, in
// bytes.
const HistoryLimit = 512 << 10

// historySync is History for an event that came by itself. What is in it tells
// one blob from another.
func (s Scope) historySync(evt *events.HistorySync) []pombo.Event {
	if evt.Data == nil {
		return nil
	}
	parts := make([]string, 0, 3*len(evt.Data.Conversations)+len(evt.Data.Pushnames))
	for _, c := range evt.Data.Conversations {
		parts = append(parts, c.GetID(), strconv.FormatUint(c.GetLastMsgTimestamp(), 10))
		for _, m := range c.Messages {
			parts = append(parts, m.GetMessage().GetKey().GetID())
		}
	}
	for _, p := range evt.Data.Pushnames {
		parts = append(parts, p.GetID(), p.GetPushname())
	}
	var out []pombo.Event
	for step := range s.History(evt.Data, digest(parts...), 0) {
		out = append(out, step.Events...)
	}
	return out
}

// HistoryStep is what is told of a part of the history at once.
type HistoryStep struct {
	Events []pombo.Event
	// Told is how many elements of the part were told when this is.
	Told int64
}

// History translates a part of the history that the phone sends after pairing:
// CHATS_SET, CONTACTS_SET (and the same as CONTACTS_UPSERT, which is what the
// originals send), MESSAGES_SET, in this order, each as often as is needed for its
// data to stay under HistoryLimit. The events belong to no chat's lane.
//
// blob names the part: it goes into the keys, so that those of a later pairing are
// other occurrences. The ID of the message that announced it does. told leaves out
// what was told before: the Told of the last step that was kept, 0 at first.
//
// data is an array, as clients expect it. How far the sync is stands in each of
// its elements: "historySync": {"syncType": "RECENT", "progress": 0…100,
// "isLatest": bool, "chunkOrder": n}. isLatest is true in the first part after
// pairing, which replaces what was known before; progress may stay away.
//
// A message that cannot be shown, or alone is past the limit, is there without
// its content, and "truncated" says why.
func (s Scope) History(h *waHistorySync.HistorySync, blob string, told int64) iter.Seq[HistoryStep] {
	return func(yield func(HistoryStep) bool) {
		s := s.knowing(h)
		key := "history|" + blob + "|" + h.GetSyncType().String() + "|" + strconv.Itoa(int(h.GetChunkOrder()))
		info := historyInfo(h)
		// Each element has a place in the part, which stays the same whatever the
		// settings leave out.
		chats := int64(len(h.GetConversations()))
		contacts := chats + chats + int64(len(h.GetPushnames()))
		for _, group := range []struct {
			names    []pombo.EventName
			first    int64
			elements iter.Seq[historyElement]
		}{
			{[]pombo.EventName{pombo.ChatsSet}, 0, s.historyChats(h, told)},
			{[]pombo.EventName{pombo.ContactsSet, pombo.ContactsUpsert}, chats, s.historyContacts(h, told-chats)},
			{[]pombo.EventName{pombo.MessagesSet}, contacts, s.historyMessages(h, told-contacts)},
		} {
			set := &historySet{scope: s, names: group.names, first: group.first, key: key, yield: yield, info: info}
			if !set.fill(group.elements) {
				return
			}
		}
	}
}

func historyInfo(h *waHistorySync.HistorySync) []byte {
	o := newObject().text("syncType", h.GetSyncType().String())
	if h.Progress != nil {
		o = o.int("progress", int64(h.GetProgress()))
	}
	return o.bool("isLatest", h.GetSyncType() == waHistorySync.HistorySync_INITIAL_BOOTSTRAP).
		int("chunkOrder", int64(h.GetChunkOrder())).close()
}

// historyElement is a chat, a contact or a message.
type historyElement struct {
	place int64 // among those of its kind
	id    string
	data  jsonObject
}

// historySet collects elements of one kind into events of a bounded size.
type historySet struct {
	scope Scope
	names []pombo.EventName
	first int64 // the place in the part of the first element
	key   string
	info  []byte
	yield func(HistoryStep) bool

	data []byte
	// ids says what is in data: events are cut by the length of what is shown, which
	// may come out longer when the part is read again and more numbers are known.
	ids  []string
	told int64
}

// fill takes all elements. It is false if no more are wanted.
func (h *historySet) fill(elements iter.Seq[historyElement]) bool {
	for e := range elements {
		o := jsonObject(e.data.raw("historySync", h.info).close())
		if len(h.data) > 0 && len(h.data)+len(o)+2 >= HistoryLimit && !h.flush() {
			return false
		}
		if len(h.data) == 0 {
			h.data = append(h.data, '[')
		} else {
			h.data = append(h.data, ',')
		}
		h.data = append(h.data, o...)
		h.ids = append(h.ids, e.id)
		h.told = h.first + e.place + 1
	}
	return h.flush()
}

func (h *historySet) flush() bool {
	if len(h.data) == 0 {
		return true
	}
	data := append(h.data, ']')
	key := h.key + "|" + strconv.FormatInt(h.told, 10) + "|" + digest(h.ids...)
	h.data, h.ids = nil, h.ids[:0]
	step := HistoryStep{Told: h.told}
	for _, name := range h.names {
		step.Events = append(step.Events, h.scope.event(name, key, "", time.Time{}, data))
	}
	return h.yield(step)
}

// knowing returns a scope that also knows the forms of people that h tells.
func (s Scope) knowing(h *waHistorySync.HistorySync) Scope {
	known := make(map[types.JID]types.JID)
	learn := func(pn, lid string) {
		p, l := plain(parsed(pn)), plain(parsed(lid))
		if p.Server == types.DefaultUserServer && l.Server == types.HiddenUserServer {
			known[p], known[l] = l, p
		}
	}
	for _, m := range h.GetPhoneNumberToLidMappings() {
		learn(m.GetPnJID(), m.GetLidJID())
	}
	for _, c := range h.GetConversations() {
		learn(c.GetPnJID(), c.GetLidJID())
		learn(c.GetID(), c.GetLidJID())
		learn(c.GetPnJID(), c.GetID())
	}
	outer := s.Alt
	s.Alt = func(jid types.JID) types.JID {
		if alt, ok := known[jid]; ok {
			return alt
		}
		alt := types.EmptyJID
		if outer != nil {
			alt = outer(jid)
		}
		known[jid] = alt
		return alt
	}
	return s
}

// historyChats gives, from a place on, {id, remoteJid, owner (the instance's name), instanceId,
// name?, lastMsgTimestamp?, unreadCount, unreadMessages, …}.
func (s Scope) historyChats(h *waHistorySync.HistorySync, from int64) iter.Seq[historyElement] {
	return func(yield func(historyElement) bool) {
		for i, c := range h.GetConversations() {
			jid := parsed(c.GetID())
			if int64(i) < from || s.ignores(jid) {
				continue
			}
			o, _ := s.chat(jid, types.EmptyJID, s.Name)
			o = o.optional("name", nameOf(c))
			if at := max(c.GetLastMsgTimestamp(), c.GetConversationTimestamp()); at > 0 {
				o = o.int("lastMsgTimestamp", int64(at)).int("conversationTimestamp", int64(at))
			}
			o = o.int("unreadCount", int64(c.GetUnreadCount())).int("unreadMessages", int64(c.GetUnreadCount())).
				bool("markedAsUnread", c.GetMarkedAsUnread()).bool("archived", c.GetArchived())
			if c.GetPinned() != 0 {
				o = o.int("pinned", int64(c.GetPinned()))
			}
			if c.GetMuteEndTime() != 0 {
				o = o.int("muteEndTime", int64(c.GetMuteEndTime()))
			}
			if c.GetEphemeralExpiration() != 0 {
				o = o.int("ephemeralExpiration", int64(c.GetEphemeralExpiration()))
			}
			if !yield(historyElement{int64(i), c.GetID(), o}) {
				return
			}
		}
	}
}

func nameOf(c *waHistorySync.Conversation) string {
	for _, name := range [...]string{c.GetName(), c.GetDisplayName(), c.GetUsername()} {
		if name != "" {
			return name
		}
	}
	return ""
}

// historyContacts gives, of people with a name, {id, remoteJid, pushName,
// profilePictureUrl: null, profilePicUrl: null, owner, instanceId}.
func (s Scope) historyContacts(h *waHistorySync.HistorySync, from int64) iter.Seq[historyElement] {
	return func(yield func(historyElement) bool) {
		place := int64(-1)
		contact := func(id, name string) bool {
			place++
			jid := plain(parsed(id))
			if place < from || name == "" || jid.Server != types.DefaultUserServer && jid.Server != types.HiddenUserServer {
				return true
			}
			o, _ := s.person(jid, types.EmptyJID)
			return yield(historyElement{place, id, s.appendOwner(o.text("pushName", name).withoutPicture())})
		}
		for _, c := range h.GetConversations() {
			if !contact(c.GetID(), nameOf(c)) {
				return
			}
		}
		for _, p := range h.GetPushnames() {
			if !contact(p.GetID(), p.GetPushname()) {
				return
			}
		}
	}
}

// historyMessages gives messages as MESSAGES_UPSERT shows them, and participant
// as 1.8.2 does. status is that of the phone, or null.
func (s Scope) historyMessages(h *waHistorySync.HistorySync, from int64) iter.Seq[historyElement] {
	return func(yield func(historyElement) bool) {
		place := int64(-1)
		message := func(chat string, m *waWeb.WebMessageInfo) bool {
			if place++; place < from {
				return true
			}
			o := s.historyMessage(chat, m)
			return o == nil || yield(historyElement{place, chat + "|" + m.GetKey().GetID(), o})
		}
		for _, c := range h.GetConversations() {
			for _, m := range c.GetMessages() {
				if !message(c.GetID(), m.GetMessage()) {
					return
				}
			}
		}
		for _, m := range h.GetStatusV3Messages() {
			if !message(m.GetKey().GetRemoteJID(), m) {
				return
			}
		}
	}
}

// historyMessage returns nil for what is no message.
func (s Scope) historyMessage(chat string, w *waWeb.WebMessageInfo) jsonObject {
	info := s.historyMessageInfo(parsed(chat), w)
	content := content(&events.Message{RawMessage: w.GetMessage()})
	if info.ID == "" || s.ignores(info.Chat) || !counts(content) {
		return nil
	}
	key, _ := s.messageKey(info)
	body := envelope{scope: s, key: key, fromMe: info.IsFromMe, id: info.ID, pushName: info.PushName, time: info.Timestamp}
	if w.Status != nil {
		body.status = w.GetStatus().String()
	}
	data, err := body.appendSafely(content)
	reason := ""
	switch {
	case err != nil:
		reason = err.Error()
	case len(data) > HistoryLimit-4096:
		reason = "the message alone is past the limit of an event"
	}
	o := jsonObject(data)
	if reason != "" {
		o = newObject().raw("key", key).optional("pushName", info.PushName).raw("message", []byte("{}")).
			text("messageType", "unknown").int("messageTimestamp", info.Timestamp.Unix())
		o = s.appendOwner(o)
		o = o.text("source", Source(info.ID)).text("truncated", reason)
	} else {
		o = o[:len(o)-1]
	}
	if info.IsGroup {
		who, _ := s.forms(info.Sender, types.EmptyJID)
		o = o.jid("participant", who)
	}
	return o
}

// appendSafely makes an error of a panic: one message must not hold up all that
// comes after it.
func (e envelope) appendSafely(content *waE2E.Message) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			data, err = nil, fmt.Errorf("translating panicked: %v", p)
		}
	}()
	return e.append(make([]byte, 0, 1024), content)
}

func (s Scope) historyMessageInfo(chat types.JID, w *waWeb.WebMessageInfo) types.MessageInfo {
	info := types.MessageInfo{
		ID: w.GetKey().GetID(), PushName: w.GetPushName(), Timestamp: time.Unix(int64(w.GetMessageTimestamp()), 0),
	}
	info.Chat, info.IsFromMe, info.Sender = chat, w.GetKey().GetFromMe(), chat
	info.IsGroup = chat.Server == types.GroupServer || chat.Server == types.BroadcastServer
	switch {
	case info.IsFromMe:
		info.Sender = s.Own
	case info.IsGroup && w.GetParticipant() != "":
		info.Sender = parsed(w.GetParticipant())
	case info.IsGroup:
		info.Sender = parsed(w.GetKey().GetParticipant())
	}
	if info.PushName == "" && info.IsFromMe {
		info.PushName = "Você"
	}
	if info.PushName == "" {
		who, _ := s.forms(info.Sender, types.EmptyJID)
		info.PushName = who.User // as in both versions
	}
	return info
}
