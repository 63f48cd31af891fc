package translate

import (
	"strings"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// joinedGroup makes a GROUPS_UPSERT of a group that we made, joined or were
// added to, [{id, subject, participants, …}], and a CHATS_UPSERT of its chat.
func (s Scope) joinedGroup(evt *events.JoinedGroup) []pombo.Event {
	if s.ignores(evt.JID) {
		return nil
	}
	lane := plain(evt.JID).String()
	// What WhatsApp sends has no time of its own. Each change of who is in the
	// group gives it another version.
	key := "joined|" + lane + "|" + digest(evt.ParticipantVersionID, evt.CreateKey, evt.Reason, evt.Type, deref(evt.Sender).String())
	chat, _ := s.chat(evt.JID, types.EmptyJID, s.sender())
	chat = chat.text("name", evt.Name).int("unreadMessages", 0).seconds("conversationTimestamp", evt.GroupCreated)
	o := s.groupMetadata(&evt.GroupInfo).optional("notify", evt.Notify).user(s, "author", deref(evt.Sender), deref(evt.SenderPN)).
		optional("reason", evt.Reason)
	return []pombo.Event{
		s.event(pombo.ChatsUpsert, key, lane, evt.GroupCreated, chat.list()),
		s.event(pombo.GroupsUpsert, key, lane, evt.GroupCreated, o.list()),
	}
}

// groupMetadata writes a group as Baileys does (GroupMetadata), the superset of
// both versions. People are shown as phone numbers where these are known; those
// in the group as {id, phoneNumber?, lid?, admin: "superadmin"|"admin"|null}.
func (s Scope) groupMetadata(g *types.GroupInfo) jsonObject {
	size := max(g.ParticipantCount, len(g.Participants))
	mode := g.AddressingMode
	if mode == "" {
		mode = types.AddressingModePN
	}
	o := append(make(jsonObject, 0, 1024+160*len(g.Participants)), '{').
		text("id", plain(g.JID).String()).text("addressingMode", string(mode)).
		text("subject", g.Name).user(s, "subjectOwner", g.NameSetBy, g.NameSetByPN).seconds("subjectTime", g.NameSetAt).
		int("size", int64(size)).seconds("creation", g.GroupCreated).
		user(s, "owner", g.OwnerJID, g.OwnerPN).optional("owner_country_code", g.CreatorCountryCode)
	if g.Topic != "" {
		o = o.text("desc", g.Topic).optional("descId", g.TopicID).
			user(s, "descOwner", g.TopicSetBy, g.TopicSetByPN).seconds("descTime", g.TopicSetAt)
	}
	o = o.jid("linkedParent", g.LinkedParentJID).
		bool("restrict", g.IsLocked).bool("announce", g.IsAnnounce).
		bool("isCommunity", g.IsParent).bool("isCommunityAnnounce", g.IsDefaultSubGroup).
		bool("joinApprovalMode", g.IsJoinApprovalRequired).
		bool("memberAddMode", g.MemberAddMode == types.GroupMemberAddModeAllMember)
	o = append(o.name("participants"), '[')
	for i, p := range g.Participants {
		if i > 0 {
			o = append(o, ',')
		}
		o = append(o, s.participant(p)...)
	}
	o = append(o, ']')
	if g.IsEphemeral {
		o = o.int("ephemeralDuration", int64(g.DisappearingTimer))
	}
	return o
}

func (s Scope) participant(p types.GroupParticipant) []byte {
	alt := p.PhoneNumber
	if p.JID.Server == types.DefaultUserServer {
		alt = p.LID
	}
	o := s.participantOf(p.JID, alt)
	switch {
	case p.IsSuperAdmin:
		return o.text("admin", "superadmin").close()
	case p.IsAdmin:
		return o.text("admin", "admin").close()
	}
	return o.null("admin").close()
}

func (s Scope) participantOf(jid, alt types.JID) jsonObject {
	shown, other := s.forms(jid, alt)
	o := newObject().text("id", shown.String())
	for _, j := range [2]types.JID{shown, other} {
		switch j.Server {
		case types.DefaultUserServer:
			o = o.jid("phoneNumber", j)
		case types.HiddenUserServer:
			o = o.jid("lid", j)
		}
	}
	return o
}

// groupInfo makes a GROUP_UPDATE of what changed about a group and a
// GROUP_PARTICIPANTS_UPDATE of each change of who is in it.
func (s Scope) groupInfo(evt *events.GroupInfo) []pombo.Event {
	if s.ignores(evt.JID) {
		return nil
	}
	out := s.groupUpdate(evt)
	for _, c := range [...]struct {
		action string
		who    []types.JID
	}{{"add", evt.Join}, {"remove", evt.Leave}, {"promote", evt.Promote}, {"demote", evt.Demote}} {
		if len(c.who) > 0 {
			out = append(out, s.participants(evt, c.action, c.who))
		}
	}
	return out
}

// groupUpdate makes [{id, subject?, desc?, announce?, restrict?, inviteCode?,
// memberAddMode?, joinApprovalMode?, ephemeralDuration?, deleted?, suspended?,
// link?, unlink?, author?, authorPn?}] with what changed.
func (s Scope) groupUpdate(evt *events.GroupInfo) []pombo.Event {
	lane := plain(evt.JID).String()
	head := newObject().text("id", lane)
	o := s.groupChanges(head, evt)
	if len(o) == len(head) {
		return nil
	}
	// The key is of what came, not of what is shown, which may know a number the
	// next time that it did not know the first time.
	key := groupKey(evt, "update", string(s.groupChangesAsSent(evt)))
	o = o.user(s, "author", deref(evt.Sender), deref(evt.SenderPN)).seconds("timestamp", evt.Timestamp)
	return []pombo.Event{s.event(pombo.GroupUpdate, key, lane, evt.Timestamp, o.list())}
}

func (s Scope) groupChangesAsSent(evt *events.GroupInfo) jsonObject {
	s.Alt, s.Own, s.OwnLID = nil, types.EmptyJID, types.EmptyJID
	return s.groupChanges(newObject(), evt)
}

func (s Scope) groupChanges(o jsonObject, evt *events.GroupInfo) jsonObject {
	if n := evt.Name; n != nil {
		o = o.text("subject", n.Name).user(s, "subjectOwner", n.NameSetBy, n.NameSetByPN).seconds("subjectTime", n.NameSetAt)
	}
	if t := evt.Topic; t != nil {
		o = o.text("desc", t.Topic).optional("descId", t.TopicID).
			user(s, "descOwner", t.TopicSetBy, t.TopicSetByPN).seconds("descTime", t.TopicSetAt)
	}
	if evt.Announce != nil {
		o = o.bool("announce", evt.Announce.IsAnnounce)
	}
	if evt.Locked != nil {
		o = o.bool("restrict", evt.Locked.IsLocked)
	}
	if evt.NewInviteLink != nil {
		o = o.text("inviteCode", strings.TrimPrefix(*evt.NewInviteLink, "https://chat.whatsapp.com/"))
	}
	if e := evt.Ephemeral; e != nil {
		o = o.int("ephemeralDuration", int64(e.DisappearingTimer))
	}
	if evt.MembershipApprovalMode != nil {
		// whatsmeow says true whether it was switched on or off (parseGroupChange).
		o = o.null("joinApprovalMode")
	}
	for _, n := range evt.UnknownChanges {
		if mode, ok := n.Content.([]byte); ok && n.Tag == "member_add_mode" {
			o = o.bool("memberAddMode", string(mode) == string(types.GroupMemberAddModeAllMember))
		}
	}
	if evt.Delete != nil {
		o = o.bool("deleted", true).optional("deleteReason", evt.Delete.DeleteReason)
	}
	if evt.Suspended || evt.Unsuspended {
		o = o.bool("suspended", evt.Suspended)
	}
	o = o.link("link", evt.Link)
	return o.link("unlink", evt.Unlink)
}

// link writes that a group was put into a community, or taken out.
func (o jsonObject) link(name string, l *types.GroupLinkChange) jsonObject {
	if l == nil {
		return o
	}
	return o.raw(name, newObject().text("type", string(l.Type)).jid("id", l.Group.JID).
		optional("subject", l.Group.Name).optional("reason", string(l.UnlinkReason)).close())
}

// participants makes {id, author?, authorPn?, participants: ["<jid>"], action:
// "add"|"remove"|"promote"|"demote", participantsData}. participants are texts, as
// in 1.8.2; participantsData holds them as 2.3.6 means to: {jid, id, phoneNumber?,
// lid?, admin}.
func (s Scope) participants(evt *events.GroupInfo, action string, who []types.JID) pombo.Event {
	lane := plain(evt.JID).String()
	ids, data := []byte{'['}, []byte{'['}
	sent := make([]string, 0, len(who)+1)
	for i, jid := range who {
		if i > 0 {
			ids, data = append(ids, ','), append(data, ',')
		}
		shown, _ := s.forms(jid, types.EmptyJID)
		ids = appendString(ids, shown.String())
		o := s.participantOf(jid, types.EmptyJID).text("jid", shown.String())
		if action == "promote" {
			o = o.text("admin", "admin")
		} else {
			o = o.null("admin")
		}
		data = append(data, o.close()...)
		sent = append(sent, jid.String())
	}
	o := newObject().text("id", lane).user(s, "author", deref(evt.Sender), deref(evt.SenderPN)).
		raw("participants", append(ids, ']')).text("action", action).
		raw("participantsData", append(data, ']'))
	if action == "add" {
		o = o.optional("reason", evt.JoinReason)
	}
	o = o.seconds("timestamp", evt.Timestamp)
	key := groupKey(evt, action, append(sent, evt.ParticipantVersionID)...)
	return s.event(pombo.GroupParticipantsUpdate, key, lane, evt.Timestamp, o.close())
}

// groupKey identifies a change of a group. WhatsApp's own name for it does not
// get here.
func groupKey(evt *events.GroupInfo, what string, parts ...string) string {
	at := evt.Timestamp.UTC().Format(time.RFC3339)
	return strings.Join([]string{plain(evt.JID).String(), what, at, digest(append(parts, deref(evt.Sender).String())...)}, "|")
}
