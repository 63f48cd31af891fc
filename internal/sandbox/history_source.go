package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// historySource gives a history in chunks. It makes each when it is asked for, so that a long one is never in memory
// as a whole.
type historySource struct {
	s     *Server
	user  *user
	chats []historyChat
	total int // messages in all chats

	chat, message int // where the next chunk starts
	onlyNames     bool
}

// historyChat is a conversation whose messages are made one by one.
type historyChat struct {
	jid   types.JID
	about *waHistorySync.Conversation // without messages
	name  string                      // push name; empty: unknown
	count int
	at    func(i int) (*waWeb.WebMessageInfo, error) // the i-th message, oldest first
}

// historySource prepares what a request wants.
func (s *Server) historySource(r *HistoryRequest, u *user) (*historySource, error) {
	source := &historySource{s: s, user: u, onlyNames: r.Type == "pushNames"}
	var err error
	switch {
	case len(r.Chats) > 0:
		for i := range r.Chats {
			var c historyChat
			if c, err = s.givenChat(&r.Chats[i]); err != nil {
				return nil, err
			}
			source.chats = append(source.chats, c)
		}
	case r.Conversations > 0:
		s.update(func(t *batch) {
			for i := range r.Conversations {
				source.chats = append(source.chats, s.madeUpChat(t, i, max(r.Messages, 1)))
			}
		})
	default:
		s.mu.Lock()
		source.chats = s.rememberedChats(u, r.recent)
		s.mu.Unlock()
	}
	for _, c := range source.chats {
		source.total += c.count
	}
	return source, nil
}

// next returns a chunk with at most limit messages, how many it has, and whether there are more.
func (h *historySource) next(limit int) (chunk *waHistorySync.HistorySync, count int, more bool, err error) {
	chunk = &waHistorySync.HistorySync{}
	if h.onlyNames {
		for _, c := range h.chats {
			if c.name != "" {
				chunk.Pushnames = append(chunk.Pushnames, &waHistorySync.Pushname{ID: proto.String(c.jid.String()), Pushname: &c.name})
			}
		}
		return chunk, 0, false, nil
	}
	for h.chat < len(h.chats) && count < limit {
		c := &h.chats[h.chat]
		conversation := proto.Clone(c.about).(*waHistorySync.Conversation)
		end := min(c.count, h.message+limit-count)
		for i := h.message; i < end; i++ { // newest first, as phones do
			m, err := c.at(c.count - 1 - i)
			if err != nil {
				return nil, 0, false, err
			}
			conversation.Messages = append(conversation.Messages, &waHistorySync.HistorySyncMsg{
				Message: m, MsgOrderID: proto.Uint64(uint64(c.count - i)),
			})
		}
		count += end - h.message
		h.message = end
		chunk.Conversations = append(chunk.Conversations, conversation)
		if c.jid.Server == types.DefaultUserServer {
			chunk.PhoneNumberToLidMappings = append(chunk.PhoneNumberToLidMappings, &waHistorySync.PhoneNumberToLIDMapping{
				PnJID: proto.String(c.jid.String()), LidJID: proto.String(types.NewJID(lidOf(c.jid.User), types.HiddenUserServer).String()),
			})
		}
		if h.message < c.count {
			break
		}
		last := waHistorySync.Conversation_COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY
		conversation.EndOfHistoryTransfer, conversation.EndOfHistoryTransferType = proto.Bool(true), &last
		h.chat, h.message = h.chat+1, 0
	}
	return chunk, count, h.chat < len(h.chats), nil
}

// givenChat is a conversation that a request describes.
func (s *Server) givenChat(c *HistoryChat) (historyChat, error) {
	jid, err := chatJID("chat", c.Chat)
	if err != nil {
		return historyChat{}, err
	}
	about := conversation(jid, c.Name)
	about.UnreadCount, about.Archived = proto.Uint32(uint32(max(c.Unread, 0))), &c.Archived
	if c.Pinned {
		about.Pinned = proto.Uint32(1)
	}
	if c.MutedTo != 0 {
		about.MuteEndTime = proto.Uint64(uint64(c.MutedTo))
	}
	list := make([]*waWeb.WebMessageInfo, len(c.Messages))
	for i := range c.Messages {
		if list[i], err = c.Messages[i].web(jid); err != nil {
			return historyChat{}, err
		}
	}
	slices.SortStableFunc(list, func(a, b *waWeb.WebMessageInfo) int {
		return cmp.Compare(a.GetMessageTimestamp(), b.GetMessageTimestamp())
	})
	if len(list) > 0 {
		about.LastMsgTimestamp = list[len(list)-1].MessageTimestamp
		about.ConversationTimestamp = about.LastMsgTimestamp
	}
	out := historyChat{jid: jid, about: about, count: len(list), at: func(i int) (*waWeb.WebMessageInfo, error) { return list[i], nil }}
	if jid.Server != types.GroupServer {
		out.name = c.Name
	}
	return out, nil
}

func conversation(jid types.JID, name string) *waHistorySync.Conversation {
	c := &waHistorySync.Conversation{ID: proto.String(jid.String()), UnreadCount: proto.Uint32(0), NotSpam: proto.Bool(true)}
	if name != "" {
		c.Name = &name
	}
	if jid.Server == types.DefaultUserServer {
		c.PnJID = proto.String(jid.String())
		c.LidJID = proto.String(types.NewJID(lidOf(jid.User), types.HiddenUserServer).String())
	}
	return c
}

// web is a described message as history holds it.
func (m *HistoryMessage) web(chat types.JID) (*waWeb.WebMessageInfo, error) {
	body := &waE2E.Message{}
	switch hasMessage := len(m.Message) > 0 && string(m.Message) != "null"; {
	case hasMessage == (m.Text != ""):
		return nil, errorf(Invalid, "Give each message either a \"text\" or a \"message\"")
	case hasMessage:
		if err := protojson.Unmarshal(m.Message, body); err != nil {
			return nil, errorf(Invalid, "\"message\" is not a WhatsApp message in protobuf's JSON form: %s", strings.ReplaceAll(err.Error(), "\u00a0", " "))
		}
	default:
		body.Conversation = &m.Text
	}
	at := cmp.Or(m.Timestamp, time.Now().Unix())
	out := webMessage(chat, cmp.Or(m.ID, randomID(16)), m.FromMe, body, at, m.PushName)
	if m.Participant != "" {
		j, err := chatJID("participant", m.Participant)
		if err != nil {
			return nil, err
		}
		out.Key.Participant, out.Participant = proto.String(j.String()), proto.String(j.String())
	}
	return out, nil
}

func webMessage(chat types.JID, id string, fromMe bool, body *waE2E.Message, at int64, pushName string) *waWeb.WebMessageInfo {
	m := &waWeb.WebMessageInfo{
		Key:     &waCommon.MessageKey{RemoteJID: proto.String(chat.String()), FromMe: &fromMe, ID: &id},
		Message: body, MessageTimestamp: proto.Uint64(uint64(at)), MessageSecret: body.GetMessageContextInfo().GetMessageSecret(),
	}
	if fromMe {
		m.Status = waWeb.WebMessageInfo_DELIVERY_ACK.Enum()
	} else {
		m.Status = waWeb.WebMessageInfo_SERVER_ACK.Enum()
		if pushName != "" {
			m.PushName = &pushName
		}
	}
	return m
}

// chatOf is the chat that a phone shows a message in, and its name; empty if there is none. Called with s.mu held.
func (s *Server) chatOf(u *user, m *message) (types.JID, string) {
	if room := m.room(); !room.IsEmpty() {
		if g := s.world.groups[room.User]; g != nil && room.Server == types.GroupServer {
			return room, g.Subject
		}
		return room, ""
	}
	other := s.world.users[m.From]
	if other == u {
		other = s.world.users[m.To]
	}
	if other == nil {
		return types.EmptyJID, ""
	}
	return other.pn(0), other.name
}

// web is a message as the history of owner's phone holds it.
func (m *message) web(chat types.JID, sender, owner *user) (*waWeb.WebMessageInfo, error) {
	var body waE2E.Message
	if err := proto.Unmarshal(m.Body, &body); err != nil {
		return nil, fmt.Errorf("decoding a message: %w", err)
	}
	name := ""
	if sender != nil {
		name = sender.name
	}
	out := webMessage(chat, m.ID, sender == owner, &body, m.At.Unix(), name)
	if sender != nil && sender != owner && chat.Server != types.DefaultUserServer {
		out.Key.Participant, out.Participant = proto.String(sender.pn(0).String()), proto.String(sender.pn(0).String())
	}
	return out, nil
}

// madeUpChat is a conversation with texts, one an hour, the last one now. Its contact exists from now on.
func (s *Server) madeUpChat(t *batch, i, count int) historyChat {
	u := s.ensureUser(t, fmt.Sprintf("55219%08d", 10_000_000+i))
	if name := displayName(i); u.name != name {
		u.name = name
		t.put(tableUsers, u.number, u.encode)
	}
	last := time.Now().Unix()
	about := conversation(u.pn(0), u.name)
	about.LastMsgTimestamp, about.ConversationTimestamp = proto.Uint64(uint64(last)), proto.Uint64(uint64(last))
	about.UnreadCount = proto.Uint32(uint32(i % 3))
	jid, name := u.pn(0), u.name
	return historyChat{jid: jid, about: about, name: name, count: count, at: func(i int) (*waWeb.WebMessageInfo, error) {
		text := fmt.Sprintf("Message %d with %s", i+1, name)
		id := fmt.Sprintf("3EB0%s%06X", jid.User, i)
		return webMessage(jid, id, i%2 == 1, &waE2E.Message{Conversation: &text}, last-int64(count-1-i)*3600, name), nil
	}}
}

// rememberedChats are the conversations that a phone knows, the one with the newest message first, with the newest
// limit messages of each, or all if that is 0. Called with s.mu held.
func (s *Server) rememberedChats(u *user, limit int) []historyChat {
	byChat := map[types.JID][]*message{}
	for _, list := range [][]*message{u.received, u.sent} {
		for _, m := range list {
			if chat, _ := s.chatOf(u, m); !m.Peer && !chat.IsEmpty() && chat.User != u.number {
				byChat[chat] = append(byChat[chat], m)
			}
		}
	}
	type remembered struct {
		chat types.JID
		list []*message
	}
	var chats []remembered
	for chat, list := range byChat {
		if chat.Server == types.DefaultUserServer || chat.Server == types.GroupServer {
			slices.SortStableFunc(list, func(a, b *message) int { return cmp.Compare(a.Seq, b.Seq) })
			if limit > 0 && len(list) > limit {
				list = list[len(list)-limit:]
			}
			chats = append(chats, remembered{chat, list})
		}
	}
	slices.SortFunc(chats, func(a, b remembered) int {
		return cmp.Compare(b.list[len(b.list)-1].Seq, a.list[len(a.list)-1].Seq)
	})
	out := make([]historyChat, len(chats))
	for i, c := range chats {
		list := c.list
		_, name := s.chatOf(u, list[0])
		about := conversation(c.chat, name)
		about.LastMsgTimestamp = proto.Uint64(uint64(list[len(list)-1].At.Unix()))
		about.ConversationTimestamp = about.LastMsgTimestamp
		senders := make([]*user, len(list))
		for j, m := range list {
			senders[j] = s.world.users[m.From]
		}
		out[i] = historyChat{jid: c.chat, about: about, count: len(list), at: func(i int) (*waWeb.WebMessageInfo, error) {
			return list[i].web(c.chat, senders[i], u)
		}}
		if c.chat.Server == types.DefaultUserServer {
			out[i].name = name
		}
	}
	return out
}
