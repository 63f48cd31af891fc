package translate

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCommon"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo"
)

var (
	bia    = types.NewJID("5511777770000", types.DefaultUserServer)
	biaLID = types.NewJID("222222222222222", types.HiddenUserServer)
	at     = time.UnixMilli(1751300012345)
)

// knowing is a scope that knows both forms of Ana and of Bia.
func knowing() Scope {
	s := scope()
	known := map[types.JID]types.JID{ana: anaLID, anaLID: ana, bia: biaLID, biaLID: bia}
	s.Alt = func(j types.JID) types.JID { return known[j] }
	s.Unique = func() string { return "unique" }
	s.DecryptPollVote = func(m *events.Message) (*waE2E.PollVoteMessage, error) {
		if len(m.RawMessage.GetPollUpdateMessage().GetVote().GetEncPayload()) == 0 {
			return nil, errors.New("the poll is not known")
		}
		return &waE2E.PollVoteMessage{SelectedOptions: whatsmeowHash("B", "Z")}, nil
	}
	s.PollOptions = func(types.JID, types.MessageID) []string { return []string{"A", "B"} }
	return s
}

func key(fromMe bool, id string) *waCommon.MessageKey {
	return &waCommon.MessageKey{RemoteJID: proto.String(own.String()), FromMe: proto.Bool(fromMe), ID: proto.String(id)}
}

func order(kind waE2E.ProtocolMessage_Type, k *waCommon.MessageKey, more func(*waE2E.ProtocolMessage)) *waE2E.Message {
	p := &waE2E.ProtocolMessage{Type: kind.Enum(), Key: k}
	if more != nil {
		more(p)
	}
	return &waE2E.Message{ProtocolMessage: p}
}

func inGroup(evt *events.Message, sender, alt types.JID) *events.Message {
	evt.Info.Chat, evt.Info.IsGroup, evt.Info.Sender, evt.Info.SenderAlt = group, true, sender, alt
	return evt
}

func inChannel(evt *events.Message) *events.Message {
	channel := types.NewJID("120363000000000000", types.NewsletterServer)
	evt.Info.Chat, evt.Info.Sender, evt.Info.SenderAlt, evt.Info.PushName, evt.Info.ServerID = channel, channel, types.EmptyJID, "", 159
	evt.NewsletterMeta = &events.NewsletterMessageMeta{}
	return evt
}

func fromOwnDevice(evt *events.Message) *events.Message {
	evt.Info.Sender, evt.Info.IsFromMe, evt.Info.PushName = device(own, 0), true, ""
	evt.Info.SenderAlt, evt.Info.RecipientAlt = types.EmptyJID, anaLID
	return evt
}

func call() types.BasicCallMeta {
	return types.BasicCallMeta{From: anaLID, Timestamp: at, CallCreator: device(anaLID, 3), CallCreatorAlt: ana, CallID: "ABCDEF"}
}

func video() *waBinary.Node {
	return &waBinary.Node{Tag: "offer", Content: []waBinary.Node{{Tag: "video"}}}
}

func edit(text string) func(*waE2E.ProtocolMessage) {
	return func(p *waE2E.ProtocolMessage) {
		p.EditedMessage, p.TimestampMS = &waE2E.Message{Conversation: proto.String(text)}, proto.Int64(1751300005000)
	}
}

func vote(k *waCommon.MessageKey) *waE2E.Message {
	return &waE2E.Message{PollUpdateMessage: &waE2E.PollUpdateMessage{
		PollCreationMessageKey: k, Vote: &waE2E.PollEncValue{EncPayload: []byte{1}}, SenderTimestampMS: proto.Int64(1751300012345)}}
}

const (
	revoke    = waE2E.ProtocolMessage_REVOKE
	editOrder = waE2E.ProtocolMessage_MESSAGE_EDIT
)

// messageCases are orders about messages, votes, and messages that cannot be
// read.
func messageCases() map[string]any {
	ofBia := key(false, "3EB0DELETED00000000000")
	ofBia.RemoteJID, ofBia.Participant = proto.String(group.String()), proto.String(biaLID.String())
	ofOurs := key(false, "3EB0DELETED00000000000")
	ofOurs.RemoteJID, ofOurs.Participant = proto.String(group.String()), proto.String(ownLID.String())
	unread := received(nil).Info
	unread.Type = "text"
	viewOnce := unread
	viewOnce.Type, viewOnce.MediaType = "media", "image"
	return map[string]any{
		"message":         received(&waE2E.Message{Conversation: proto.String("hello")}),
		"message-channel": inChannel(received(&waE2E.Message{Conversation: proto.String("news")})),
		"message-group":   inGroup(received(&waE2E.Message{Conversation: proto.String("hello")}), anaLID, ana),
		"message-other":   fromOwnDevice(received(&waE2E.Message{Conversation: proto.String("mine")})),
		"edit":            received(order(editOrder, key(true, "3A00112233445566778A"), edit("new text"))),
		"edit-wrapped":    received(&waE2E.Message{EditedMessage: &waE2E.FutureProofMessage{Message: order(editOrder, key(true, "3A00112233445566778A"), edit("new text"))}}),
		"edit-group":      inGroup(received(order(editOrder, key(true, "3A00112233445566778A"), edit("new text"))), anaLID, ana),
		"edit-own-device": fromOwnDevice(received(order(editOrder, key(true, "3EB000112233445566778A"), edit("new text")))),
		"revoke":          received(order(revoke, key(true, "3A00112233445566778A"), nil)),
		"revoke-own":      fromOwnDevice(received(order(revoke, key(true, "3EB000112233445566778A"), nil))),
		"revoke-by-admin": inGroup(received(order(revoke, ofBia, nil)), anaLID, ana),
		"revoke-ours":     inGroup(received(order(revoke, ofOurs, nil)), ana, anaLID),
		"ephemeral-on": received(order(waE2E.ProtocolMessage_EPHEMERAL_SETTING, nil, func(p *waE2E.ProtocolMessage) {
			p.EphemeralExpiration = proto.Uint32(86400)
		})),
		"poll-vote":           received(vote(key(false, "3EB0POLL000000000000AA"))),
		"poll-vote-group":     inGroup(received(vote(ofOurs)), biaLID, bia),
		"poll-vote-own":       fromOwnDevice(received(vote(key(true, "3EB0POLL000000000000AA")))),
		"receipt-read":        receiptOf(types.ReceiptTypeRead, "3EB0C767D26A1D4E5F6A01"),
		"undecryptable":       &events.UndecryptableMessage{Info: unread},
		"undecryptable-gone":  &events.UndecryptableMessage{Info: unread, IsUnavailable: true, DecryptFailMode: events.DecryptFailHide},
		"undecryptable-once":  &events.UndecryptableMessage{Info: viewOnce, IsUnavailable: true, UnavailableType: events.UnavailableTypeViewOnce},
		"reaction-group":      inGroup(received(&waE2E.Message{ReactionMessage: &waE2E.ReactionMessage{Key: ofOurs, Text: proto.String("👍")}}), biaLID, bia),
		"call-offer":          &events.CallOffer{BasicCallMeta: call(), Data: video()},
		"call-group":          &events.CallOfferNotice{BasicCallMeta: groupCall(), Media: "audio", Type: "group"},
		"call-ringing":        &events.CallRelayLatency{BasicCallMeta: call()},
		"call-transport":      &events.CallTransport{BasicCallMeta: call()},
		"call-preaccept":      &events.CallPreAccept{BasicCallMeta: call()},
		"call-accept":         &events.CallAccept{BasicCallMeta: call()},
		"call-reject":         &events.CallReject{BasicCallMeta: call()},
		"call-terminate":      &events.CallTerminate{BasicCallMeta: call(), Reason: "hangup"},
		"call-timeout":        &events.CallTerminate{BasicCallMeta: call(), Reason: "timeout"},
		"presence":            &events.Presence{From: anaLID, LastSeen: time.Unix(1751300000, 0)},
		"presence-offline":    &events.Presence{From: ana, Unavailable: true},
		"presence-composing":  chatPresence(types.ChatPresenceComposing, ""),
		"presence-recording":  chatPresence(types.ChatPresenceComposing, types.ChatPresenceMediaAudio),
		"presence-paused":     chatPresence(types.ChatPresencePaused, ""),
		"presence-in-a-group": &events.ChatPresence{MessageSource: types.MessageSource{Chat: group, Sender: anaLID, SenderAlt: ana, IsGroup: true}, State: types.ChatPresenceComposing},
	}
}

func groupCall() types.BasicCallMeta {
	c := call()
	c.GroupJID = group
	return c
}

func chatPresence(state types.ChatPresence, media types.ChatPresenceMedia) *events.ChatPresence {
	return &events.ChatPresence{MessageSource: types.MessageSource{Chat: anaLID, Sender: anaLID, SenderAlt: ana}, State: state, Media: media}
}

// stateCases are groups, contacts and what other devices change.
func stateCases() map[string]any {
	info := received(nil).Info
	sync := func() (types.JID, time.Time) { return anaLID, at }
	j, ts := sync()
	link := "https://chat.whatsapp.com/CODE"
	change := events.GroupInfo{JID: group, Sender: &anaLID, SenderPN: &ana, Timestamp: time.Unix(1751300012, 0)}
	with := func(f func(*events.GroupInfo)) *events.GroupInfo { c := change; f(&c); return &c }
	return map[string]any{
		"contact-new":       &events.PushName{JID: ana, JIDAlt: anaLID, Message: &info, NewPushName: "Ana"},
		"contact-renamed":   &events.PushName{JID: ana, JIDAlt: anaLID, Message: &info, OldPushName: "Ana", NewPushName: "Ana S."},
		"contact-business":  &events.BusinessName{JID: ana, Message: &info, NewBusinessName: "Padaria"},
		"contact-book":      &events.Contact{JID: ana, Timestamp: ts, Action: &waSyncAction.ContactAction{FullName: proto.String("Ana Souza"), FirstName: proto.String("Ana"), LidJID: proto.String(anaLID.String())}},
		"contact-forgotten": &events.Contact{JID: ana, Timestamp: ts, Action: &waSyncAction.ContactAction{}},
		"contact-picture":   &events.Picture{JID: ana, Author: ana, Timestamp: ts, PictureID: "1751300012"},
		"contact-faceless":  &events.Picture{JID: ana, Author: ana, Timestamp: ts, Remove: true},
		"contact-about":     &events.UserAbout{JID: ana, Timestamp: ts, Status: "busy"},
		"chat-archive":      &events.Archive{JID: j, Timestamp: ts, Action: &waSyncAction.ArchiveChatAction{Archived: proto.Bool(true)}},
		"chat-pin":          &events.Pin{JID: j, Timestamp: ts, Action: &waSyncAction.PinAction{Pinned: proto.Bool(true)}},
		"chat-unpin":        &events.Pin{JID: j, Timestamp: ts, Action: &waSyncAction.PinAction{Pinned: proto.Bool(false)}},
		"chat-mute":         &events.Mute{JID: group, Timestamp: ts, Action: &waSyncAction.MuteAction{Muted: proto.Bool(true), MuteEndTimestamp: proto.Int64(1751400000000)}},
		"chat-unmute":       &events.Mute{JID: group, Timestamp: ts, Action: &waSyncAction.MuteAction{Muted: proto.Bool(false)}},
		"chat-read":         &events.MarkChatAsRead{JID: j, Timestamp: ts, Action: &waSyncAction.MarkChatAsReadAction{Read: proto.Bool(true)}},
		"chat-unread":       &events.MarkChatAsRead{JID: j, Timestamp: ts, Action: &waSyncAction.MarkChatAsReadAction{Read: proto.Bool(false)}},
		"chat-clear":        &events.ClearChat{JID: j, Timestamp: ts},
		"chat-delete":       &events.DeleteChat{JID: j, Timestamp: ts},
		"message-star":      &events.Star{ChatJID: group, SenderJID: anaLID, MessageID: "3A00", Timestamp: ts, Action: &waSyncAction.StarAction{Starred: proto.Bool(true)}},
		"delete-for-me":     &events.DeleteForMe{ChatJID: j, IsFromMe: true, MessageID: "3EB000", Timestamp: ts},
		"label-edit":        &events.LabelEdit{LabelID: "1", Timestamp: ts, Action: &waSyncAction.LabelEditAction{Name: proto.String("New"), Color: proto.Int32(3), PredefinedID: proto.Int32(1)}},
		"label-chat":        &events.LabelAssociationChat{JID: j, LabelID: "1", Timestamp: ts, Action: &waSyncAction.LabelAssociationAction{Labeled: proto.Bool(true)}},
		"label-message":     &events.LabelAssociationMessage{JID: j, LabelID: "1", MessageID: "3A00", Timestamp: ts, Action: &waSyncAction.LabelAssociationAction{Labeled: proto.Bool(false)}},
		"group-joined":      joined(),
		"group-subject": with(func(c *events.GroupInfo) {
			c.Name = &types.GroupName{Name: "New", NameSetAt: c.Timestamp, NameSetBy: anaLID, NameSetByPN: ana}
		}),
		"group-description": with(func(c *events.GroupInfo) {
			c.Topic = &types.GroupTopic{Topic: "about", TopicID: "3A11", TopicSetAt: c.Timestamp, TopicSetBy: anaLID}
		}),
		"group-settings": with(func(c *events.GroupInfo) {
			c.Announce, c.Locked = &types.GroupAnnounce{IsAnnounce: true}, &types.GroupLocked{IsLocked: false}
			c.Ephemeral = &types.GroupEphemeral{IsEphemeral: true, DisappearingTimer: 604800}
			c.MembershipApprovalMode = &types.GroupMembershipApprovalMode{IsJoinApprovalRequired: true}
			c.UnknownChanges = []*waBinary.Node{{Tag: "member_add_mode", Content: []byte("all_member_add")}, {Tag: "unheard-of"}}
		}),
		"group-invite":    with(func(c *events.GroupInfo) { c.NewInviteLink = &link }),
		"group-suspended": with(func(c *events.GroupInfo) { c.Suspended = true }),
		"group-deleted": with(func(c *events.GroupInfo) {
			c.Delete = &types.GroupDelete{Deleted: true, DeleteReason: "delete_parent"}
		}),
		"group-linked": with(func(c *events.GroupInfo) {
			c.Link = &types.GroupLinkChange{Type: types.GroupLinkChangeTypeParent, Group: types.GroupLinkTarget{JID: group, GroupName: types.GroupName{Name: "C"}}}
		}),
		"group-picture": &events.Picture{JID: group, Author: anaLID, Timestamp: ts, PictureID: "1751300012"},
		"group-add": with(func(c *events.GroupInfo) {
			c.Join, c.JoinReason, c.ParticipantVersionID = []types.JID{biaLID, ownLID}, "invite", "2"
		}),
		"group-remove":  with(func(c *events.GroupInfo) { c.Leave = []types.JID{biaLID} }),
		"group-promote": with(func(c *events.GroupInfo) { c.Promote = []types.JID{biaLID} }),
		"group-demote":  with(func(c *events.GroupInfo) { c.Demote = []types.JID{biaLID} }),
	}
}

func joined() *events.JoinedGroup {
	g := types.GroupInfo{
		JID: group, OwnerJID: anaLID, OwnerPN: ana, AddressingMode: types.AddressingModeLID,
		GroupName:    types.GroupName{Name: "G", NameSetAt: time.Unix(1751300000, 0), NameSetBy: anaLID, NameSetByPN: ana},
		GroupTopic:   types.GroupTopic{Topic: "about", TopicID: "3A11", TopicSetAt: time.Unix(1751300000, 0), TopicSetBy: anaLID},
		GroupCreated: time.Unix(1751300000, 0), CreatorCountryCode: "BR", ParticipantVersionID: "1", MemberAddMode: types.GroupMemberAddModeAllMember,
		GroupEphemeral: types.GroupEphemeral{IsEphemeral: true, DisappearingTimer: 86400},
		Participants: []types.GroupParticipant{
			{JID: anaLID, PhoneNumber: ana, LID: anaLID, IsAdmin: true, IsSuperAdmin: true},
			{JID: ownLID, LID: ownLID, IsAdmin: true}, {JID: types.NewJID("333333333333333", types.HiddenUserServer)},
		},
	}
	return &events.JoinedGroup{Reason: "invite", Type: "new", Sender: &anaLID, SenderPN: &ana, Notify: "Ana", GroupInfo: g}
}

// Each event of whatsmeow makes the events that were reviewed: names, keys, lanes
// and data.
func TestEvents(t *testing.T) {
	for _, cases := range []map[string]any{messageCases(), stateCases(), historyCases()} {
		for name, evt := range cases {
			t.Run(name, func(t *testing.T) {
				goldenIn(t, "events", name, shown(t, translated(t, knowing(), evt)))
			})
		}
	}
}

// The event of a message that was sent through the API.
func TestSentEvent(t *testing.T) {
	e, _, err := scope().Sent(Outgoing{ID: "3EB0C767D26A1D4E5F6A01", Chat: ana, Message: text("hi"), Time: time.Unix(1751300010, 0), Device: device(own, 1)})
	if err != nil {
		t.Fatal(err)
	}
	goldenIn(t, "events", "sent", shown(t, []pombo.Event{e}))
}

// Edits and deletions that were sent through the API, and the answers to them.
func TestSentOrder(t *testing.T) {
	edited := &waE2E.Message{EditedMessage: &waE2E.FutureProofMessage{Message: order(editOrder, &waCommon.MessageKey{
		RemoteJID: proto.String(ana.String()), FromMe: proto.Bool(true), ID: proto.String("3EB0AA")}, edit("new"))}}
	inGroup := order(revoke, &waCommon.MessageKey{
		RemoteJID: proto.String(group.String()), FromMe: proto.Bool(false), ID: proto.String("3A00"), Participant: proto.String(biaLID.String())}, nil)
	for name, c := range map[string]struct {
		chat   types.JID
		m      *waE2E.Message
		answer string
	}{
		"sent-edit":     {anaLID, edited, `{"key":{"remoteJid":"5511999990000@s.whatsapp.net","fromMe":true,"id":"3EB0C767D26A1D4E5F6A01"},"message":{"protocolMessage":{"key":{"remoteJid":"5511999990000@s.whatsapp.net","fromMe":true,"id":"3EB0AA"},"type":"MESSAGE_EDIT","editedMessage":{"conversation":"new"},"timestampMs":"1751300005000"}},"messageTimestamp":"1751300010","status":"PENDING"}`},
		"sent-deletion": {group, inGroup, `{"key":{"remoteJid":"120363000000000000@g.us","fromMe":true,"id":"3EB0C767D26A1D4E5F6A01"},"message":{"protocolMessage":{"key":{"remoteJid":"120363000000000000@g.us","fromMe":false,"id":"3A00","participant":"222222222222222@lid"},"type":"REVOKE"}},"messageTimestamp":"1751300010","status":"PENDING","participant":"5511888880000:1@s.whatsapp.net"}`},
	} {
		e, sent, err := knowing().SentOrder(Outgoing{ID: "3EB0C767D26A1D4E5F6A01", Chat: c.chat, Message: c.m, Time: time.Unix(1751300010, 0), Device: device(own, 1)})
		if err != nil {
			t.Fatal(err)
		}
		goldenIn(t, "events", name, shown(t, []pombo.Event{e}))
		if string(sent.Data) != c.answer || string(sent.DataV1) != c.answer || sent.Chat != e.Chat {
			t.Errorf("%s: the answer is %s", name, sent.Data)
		}
	}
	for _, m := range []*waE2E.Message{nil, text("hi"), order(revoke, nil, nil), order(waE2E.ProtocolMessage_EPHEMERAL_SETTING, key(true, "X"), nil)} {
		if _, _, err := scope().SentOrder(Outgoing{Chat: ana, Message: m}); !errors.Is(err, errNoOrder) {
			t.Errorf("%v: got %v", m, err)
		}
	}
}

func translated(t testing.TB, s Scope, evt any) []pombo.Event {
	t.Helper()
	out, err := s.Event(evt)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range out {
		if !json.Valid(e.Data) || e.Key == "" || !e.Name.Known() || e.Instance != s.Instance || e.Sender != own.String() {
			t.Fatalf("not a sound event: %+v", e)
		}
	}
	return out
}

// shown writes events as golden files hold them.
func shown(t *testing.T, out []pombo.Event) []byte {
	t.Helper()
	type file struct {
		Event string          `json:"event"`
		Key   string          `json:"key"`
		Chat  string          `json:"chat"`
		Data  json.RawMessage `json:"data"`
	}
	files := []file{}
	for _, e := range out {
		files = append(files, file{string(e.Name), e.Key, e.Chat, e.Data})
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(files); err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSpace(b.String()))
}

// What comes again is the same occurrence, also when the other form of somebody
// has become known since; what is another has another key.
func TestKeys(t *testing.T) {
	seen := map[string]string{}
	for _, cases := range []map[string]any{messageCases(), stateCases(), historyCases()} {
		for name, evt := range cases {
			if strings.HasPrefix(name, "presence") {
				continue
			}
			first, again := translated(t, knowing(), evt), translated(t, withoutAlt(), evt)
			if len(first) != len(again) {
				t.Errorf("%s: %d events, then %d", name, len(first), len(again))
				continue
			}
			for i, e := range first {
				if e.Name == pombo.MessagesUpdate && name == "receipt-read" {
					continue // in the lane's terms
				}
				if e.Key != again[i].Key {
					t.Errorf("%s: the key of %s changed from %q to %q", name, e.Name, e.Key, again[i].Key)
				}
			}
		}
	}
	for name, evt := range stateCases() {
		for _, e := range translated(t, knowing(), evt) {
			id := string(e.Name) + " " + e.Key
			if other, ok := seen[id]; ok && !strings.HasPrefix(name, "contact-") && !strings.HasPrefix(name, "chat-") {
				t.Errorf("%s and %s are both %s", name, other, id)
			}
			seen[id] = name
		}
	}
}

func withoutAlt() Scope {
	s := knowing()
	s.Alt = nil
	return s
}

// The order of keys between devices, and secrets, are nobody's business.
func TestOrdersThatNobodySees(t *testing.T) {
	for kind := range waE2E.ProtocolMessage_Type_name {
		k := waE2E.ProtocolMessage_Type(kind)
		if k == revoke || k == editOrder || k == waE2E.ProtocolMessage_EPHEMERAL_SETTING {
			continue
		}
		none(t, knowing(), received(order(k, key(true, "X"), nil)))
	}
	none(t, knowing(), received(order(revoke, nil, nil)))
	none(t, knowing(), received(order(editOrder, &waCommon.MessageKey{}, nil)))
}

// A vote that cannot be read is not lost: it comes as it was sent.
func TestVoteThatCannotBeRead(t *testing.T) {
	evt := received(vote(key(true, "POLL")))
	evt.RawMessage.PollUpdateMessage.Vote.EncPayload = nil
	for _, s := range []Scope{scope(), knowing()} {
		if e := one(t, s, evt); e.Name != pombo.MessagesUpsert || !strings.Contains(string(e.Data), `"messageType":"pollUpdateMessage"`) {
			t.Errorf("got %s %s", e.Name, e.Data)
		}
	}
}

// Without the poll's options the chosen ones are there by their hash.
func TestVoteOfUnknownPoll(t *testing.T) {
	s := knowing()
	s.PollOptions = nil
	got := string(parse(t, one(t, s, received(vote(key(true, "POLL")))).Data)["pollUpdates"])
	if strings.Count(got, `"name":"Unknown"`) != 2 || !strings.Contains(got, "df7e70e5021544f4834bbee64a9e3789febc4be81470df629cad6ddb03320a5c") {
		t.Errorf("got %s", got)
	}
}

func TestGroupsIgnored(t *testing.T) {
	s := knowing()
	s.Settings.GroupsIgnore = true
	for name, evt := range stateCases() {
		for _, e := range translated(t, s, evt) {
			if strings.HasSuffix(e.Chat, "@g.us") {
				t.Errorf("%s makes %s", name, e.Name)
			}
		}
	}
	for _, name := range []string{"edit-group", "revoke-ours", "poll-vote-group", "call-group", "presence-in-a-group"} {
		none(t, s, messageCases()[name])
	}
}

func TestChatUpdatesOfMessages(t *testing.T) {
	s := scope()
	s.ChatUpdates = true
	out := translated(t, s, received(&waE2E.Message{Conversation: proto.String("hi")}))
	if len(out) != 2 || out[1].Name != pombo.ChatsUpdate ||
		!strings.Contains(string(out[1].Data), `"conversationTimestamp":1751300002`) {
		t.Errorf("got %+v", out)
	}
}

// Own names, and what is about nobody, make no contacts.
func TestNoContact(t *testing.T) {
	none(t, scope(), &events.PushName{JID: own, NewPushName: "Me"})
	none(t, scope(), &events.BusinessName{JID: ownLID, NewBusinessName: "Me"})
	none(t, scope(), &events.Contact{})
	none(t, scope(), &events.Picture{})
	none(t, scope(), &events.GroupInfo{JID: group})
	none(t, scope(), &events.CallOffer{})
	none(t, scope(), &events.ChatPresence{MessageSource: types.MessageSource{Chat: ana, Sender: own, IsFromMe: true}, State: types.ChatPresenceComposing})
	none(t, scope(), &events.ChatPresence{State: "unheard-of"})
	none(t, scope(), &events.HistorySync{})
}

// Two edits of one message that the phone was asked for are two occurrences.
func TestEditsFromThePhone(t *testing.T) {
	keys := map[string]bool{}
	for _, ms := range []int64{1, 2} {
		evt := received(order(editOrder, key(true, "X"), func(p *waE2E.ProtocolMessage) { p.TimestampMS = &ms }))
		evt.SourceWebMsg, evt.Info.ID = &waWeb.WebMessageInfo{}, "X"
		keys[one(t, scope(), evt).Key] = true
	}
	if len(keys) != 2 {
		t.Errorf("got %v", keys)
	}
}
