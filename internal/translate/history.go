package translate

import (
	"iter"
	"strconv"
	"time"

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
	for e := range s.History(evt.Data, digest(parts...)) {
		out = append(out, e)
	}
	return out
}

// History translates a part of the history that the phone sends after pairing:
// CHATS_SET, CONTACTS_SET (and the same as CONTACTS_UPSERT, which is what the
// originals send), MESSAGES_SET, in this order, each as often as is needed for its
// data to stay under HistoryLimit. The events belong to no chat's lane.
//
// blob names the part: it goes into the keys, so that a part that is read again
// after a crash, from its beginning, gives the same occurrences, and that of a
// later pairing others. The ID of the message that announced it does.
//
// data is an array, as clients expect it. How far the sync is stands in each of
// its elements: "historySync": {"syncType": "RECENT", "progress": 0…100,
// "isLatest": bool, "chunkOrder": n}. isLatest is true in the first part after
// pairing, which replaces what was known before; progress may stay away.
//
// A message that cannot be shown, or alone is past the limit, is there without
// its content, and "truncated" says why.
func (s Scope) History(h *waHistorySync.HistorySync, blob string) iter.Seq[pombo.Event] {
	return func(yield func(pombo.Event) bool) {
		s := s.knowing(h)
		key := "history|" + blob + "|" + h.GetSyncType().String() + "|" + strconv.Itoa(int(h.GetChunkOrder()))
		info := historyInfo(h)
		set := func(names ...pombo.EventName) *historySet {
			return &historySet{scope: s, names: names, key: key, yield: yield, info: info}
		}
		if set := set(pombo.ChatsSet); !set.fill(s.historyChats(h)) {
			return
		}
		if set := set(pombo.ContactsSet, pombo.ContactsUpsert); !set.fill(s.historyContacts(h)) {
			return
		}
		set(pombo.MessagesSet).fill(s.historyMessages(h))
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

// historySet collects elements into events of a bounded size.
type historySet struct {
	scope Scope
	names []pombo.EventName
	key   string
	info  []byte
	yield func(pombo.Event) bool
	data  []byte
	// ids says what is in data: the parts are cut by the length of what is shown,
	// which may come out longer the next time, when more numbers are known. Then the
	// keys differ, and some elements come twice, rather than never.
	ids  []string
	part int
}

// fill takes all elements, each with what identifies it. It is false if no more
// are wanted.
func (h *historySet) fill(elements iter.Seq2[string, jsonObject]) bool {
	for id, o := range elements {
		o = jsonObject(o.raw("historySync", h.info).close())
		if len(h.data) > 0 && len(h.data)+len(o)+2 >= HistoryLimit && !h.flush() {
			return false
		}
		if len(h.data) == 0 {
			h.data = append(h.data, '[')
		} else {
			h.data = append(h.data, ',')
		}
		h.data = append(h.data, o...)
		h.ids = append(h.ids, id)
	}
	return h.flush()
}

func (h *historySet) flush() bool {
	if len(h.data) == 0 {
		return true
	}
	data := append(h.data, ']')
	key := h.key + "|" + strconv.Itoa(h.part) + "|" + digest(h.ids...)
	h.data, h.ids = nil, h.ids[:0]
	h.part++
	for _, name := range h.names {
		if !h.yield(h.scope.event(name, key, "", time.Time{}, data)) {
			return false
		}
	}
	return true
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

// historyChats gives {id, remoteJid, owner (the instance's name), instanceId,
// name?, lastMsgTimestamp?, unreadCount, unreadMessages, …}.
func (s Scope) historyChats(h *waHistorySync.HistorySync) iter.Seq2[string, jsonObject] {
	return func(yield func(string, jsonObject) bool) {
		for _, c := range h.GetConversations() {
			jid := parsed(c.GetID())
			if s.ignores(jid) {
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
			if !yield(c.GetID(), o) {
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
func (s Scope) historyContacts(h *waHistorySync.HistorySync) iter.Seq2[string, jsonObject] {
	return func(yield func(string, jsonObject) bool) {
		contact := func(id, name string) bool {
			jid := plain(parsed(id))
			if name == "" || jid.Server != types.DefaultUserServer && jid.Server != types.HiddenUserServer {
				return true
			}
			o, _ := s.person(jid, types.EmptyJID)
			return yield(id, s.appendOwner(o.text("pushName", name).withoutPicture()))
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
func (s Scope) historyMessages(h *waHistorySync.HistorySync) iter.Seq2[string, jsonObject] {
	return func(yield func(string, jsonObject) bool) {
		for _, c := range h.GetConversations() {
			for _, m := range c.GetMessages() {
				if o := s.historyMessage(c.GetID(), m.GetMessage()); o != nil && !yield(c.GetID()+"|"+m.GetMessage().GetKey().GetID(), o) {
					return
				}
			}
		}
		for _, m := range h.GetStatusV3Messages() {
			if o := s.historyMessage(m.GetKey().GetRemoteJID(), m); o != nil && !yield(m.GetKey().GetID(), o) {
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
	data, err := body.append(make([]byte, 0, 1024), content)
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
