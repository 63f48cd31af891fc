package sandbox_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

const third = "5511900000003"

func (n *network) group(t *testing.T, r sandbox.GroupRequest) types.JID {
	t.Helper()
	if r.Subject == "" {
		r.Subject = "Team"
	}
	g, err := n.CreateGroup(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return mustJID(t, g.JID)
}

func mustJID(t *testing.T, text string) types.JID {
	t.Helper()
	jid, err := types.ParseJID(text)
	if err != nil {
		t.Fatal(err)
	}
	return jid
}

func (n *network) view(t *testing.T, jid types.JID) sandbox.GroupView {
	t.Helper()
	g, err := n.Group(context.Background(), jid.String())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (n *network) lid(t *testing.T, number string) types.JID {
	t.Helper()
	c, err := n.AddContact(context.Background(), sandbox.ContactRequest{Number: number})
	if err != nil {
		t.Fatal(err)
	}
	return mustJID(t, c.LID)
}

func TestGroupByContact(t *testing.T) {
	for _, addressing := range []string{"lid", "pn"} {
		t.Run(addressing, func(t *testing.T) {
			n, c := startPaired(t)
			jid := n.group(t, sandbox.GroupRequest{
				From: contact, Subject: "Book club", Description: "We read", Participants: []string{bot, third}, Addressing: addressing,
			})
			evt := wait[*events.JoinedGroup](c, nil)
			main, alternative := n.lid(t, contact), pn(contact)
			if addressing == "pn" {
				main, alternative = alternative, main
			}
			if evt.JID != jid || evt.Name != "Book club" || evt.Topic != "We read" || evt.Type != "new" || *evt.Sender != main ||
				string(evt.AddressingMode) != addressing || len(evt.Participants) != 3 || evt.OwnerJID != main {
				t.Errorf("got %+v", evt)
			}
			owner := evt.Participants[0]
			if owner.JID != main || !owner.IsSuperAdmin || owner.PhoneNumber != pn(contact) || owner.LID != n.lid(t, contact) {
				t.Errorf("owner %+v, not %s and %s", owner, main, alternative)
			}
			info, err := c.GetGroupInfo(context.Background(), jid)
			if err != nil || info.Name != "Book club" || info.ParticipantCount != 3 || info.Topic != "We read" {
				t.Errorf("info %+v, %v", info, err)
			}
			if groups, err := c.GetJoinedGroups(context.Background()); err != nil || len(groups) != 1 || groups[0].JID != jid {
				t.Errorf("groups %+v, %v", groups, err)
			}
			n.mustObey(t)
		})
	}
}

// TestGroupChangesByContact: each change that a phone makes is an event of its own.
func TestGroupChangesByContact(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{bot}})
	wait[*events.JoinedGroup](c, nil)
	yes, no, week, zero := true, false, 604800, 0
	subject, description, nothing := "New name", "About us", ""
	lid := n.lid(t, contact)
	for _, step := range []struct {
		name   string
		change sandbox.GroupChangeRequest
		ok     func(*events.GroupInfo) bool
	}{
		{"subject", sandbox.GroupChangeRequest{Subject: &subject}, func(e *events.GroupInfo) bool {
			return e.Name != nil && e.Name.Name == subject && e.Name.NameSetBy == lid && e.Name.NameSetByPN == pn(contact)
		}},
		{"description", sandbox.GroupChangeRequest{Description: &description}, func(e *events.GroupInfo) bool {
			return e.Topic != nil && e.Topic.Topic == description && e.Topic.TopicSetBy == lid
		}},
		{"no description", sandbox.GroupChangeRequest{Description: &nothing}, func(e *events.GroupInfo) bool {
			return e.Topic != nil && e.Topic.TopicDeleted
		}},
		{"announce", sandbox.GroupChangeRequest{Announce: &yes}, func(e *events.GroupInfo) bool { return e.Announce != nil && e.Announce.IsAnnounce }},
		{"not announce", sandbox.GroupChangeRequest{Announce: &no}, func(e *events.GroupInfo) bool { return e.Announce != nil && !e.Announce.IsAnnounce }},
		{"locked", sandbox.GroupChangeRequest{Locked: &yes}, func(e *events.GroupInfo) bool { return e.Locked != nil && e.Locked.IsLocked }},
		{"unlocked", sandbox.GroupChangeRequest{Locked: &no}, func(e *events.GroupInfo) bool { return e.Locked != nil && !e.Locked.IsLocked }},
		{"ephemeral", sandbox.GroupChangeRequest{Ephemeral: &week}, func(e *events.GroupInfo) bool {
			return e.Ephemeral != nil && e.Ephemeral.DisappearingTimer == 604800
		}},
		{"not ephemeral", sandbox.GroupChangeRequest{Ephemeral: &zero}, func(e *events.GroupInfo) bool { return e.Ephemeral != nil && !e.Ephemeral.IsEphemeral }},
		{"approval", sandbox.GroupChangeRequest{JoinApproval: &yes}, func(e *events.GroupInfo) bool { return e.MembershipApprovalMode != nil }},
		{"add mode", sandbox.GroupChangeRequest{MemberAddMode: "admin_add"}, func(e *events.GroupInfo) bool {
			return len(e.UnknownChanges) == 1 && e.UnknownChanges[0].Tag == "member_add_mode"
		}},
		{"invite", sandbox.GroupChangeRequest{RevokeInvite: true}, func(e *events.GroupInfo) bool {
			return e.NewInviteLink != nil && *e.NewInviteLink == n.view(t, jid).InviteLink
		}},
	} {
		step.change.ID, step.change.From = jid.String(), contact
		if _, err := n.ChangeGroup(context.Background(), step.change); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		evt := wait[*events.GroupInfo](c, nil)
		if !step.ok(evt) || evt.JID != jid || *evt.Sender != lid || *evt.SenderPN != pn(contact) {
			t.Errorf("%s: got %+v", step.name, evt)
		}
	}
	if _, err := n.ChangeGroup(context.Background(), sandbox.GroupChangeRequest{ID: jid.String(), From: contact, Picture: &yes}); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.Picture](c, nil); evt.JID != jid || evt.Author != lid || evt.PictureID != n.view(t, jid).PictureID {
		t.Errorf("picture %+v", evt)
	}
	if _, err := n.ChangeGroup(context.Background(), sandbox.GroupChangeRequest{ID: jid.String(), From: bot, Announce: &yes}); sandbox.KindOf(err) != sandbox.Conflict {
		t.Errorf("a member who is no admin: %v", err)
	}
	n.mustObey(t)
}

func TestParticipantsByContact(t *testing.T) {
	n, c := startPaired(t)
	jid := n.group(t, sandbox.GroupRequest{From: contact, Participants: []string{third}})
	change := func(action string, who ...string) {
		t.Helper()
		_, err := n.ChangeParticipants(context.Background(), sandbox.ParticipantsRequest{ID: jid.String(), From: contact, Action: action, Participants: who})
		if err != nil {
			t.Fatalf("%s: %v", action, err)
		}
	}
	change("add", bot)
	if evt := wait[*events.JoinedGroup](c, nil); evt.JID != jid || evt.Type == "new" || len(evt.Participants) != 3 {
		t.Errorf("got %+v", evt)
	}
	other := "5511900000004"
	for _, step := range []struct {
		action string
		list   func(*events.GroupInfo) []types.JID
	}{
		{"add", func(e *events.GroupInfo) []types.JID { return e.Join }},
		{"promote", func(e *events.GroupInfo) []types.JID { return e.Promote }},
		{"demote", func(e *events.GroupInfo) []types.JID { return e.Demote }},
		{"remove", func(e *events.GroupInfo) []types.JID { return e.Leave }},
	} {
		change(step.action, other)
		evt := wait[*events.GroupInfo](c, nil)
		if got := step.list(evt); len(got) != 1 || got[0] != n.lid(t, other) || evt.ParticipantVersionID == "" {
			t.Errorf("%s: got %+v", step.action, evt)
		}
	}
	if _, err := n.LeaveGroup(context.Background(), sandbox.LeaveRequest{ID: jid.User, Number: third}); err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.GroupInfo](c, nil); len(evt.Leave) != 1 || evt.Leave[0] != n.lid(t, third) || *evt.Sender != n.lid(t, third) {
		t.Errorf("got %+v", evt)
	}
	change("remove", bot)
	if evt := wait[*events.GroupInfo](c, nil); len(evt.Leave) != 1 || evt.Leave[0] != c.Store.LID.ToNonAD() {
		t.Errorf("got %+v", evt)
	}
	if _, err := c.GetGroupInfo(context.Background(), jid); !errors.Is(err, whatsmeow.ErrNotInGroup) {
		t.Errorf("after the removal: %v", err)
	}
	n.mustObey(t)
}

// TestGroupByClient: everything that a client can do in a group.
func TestGroupByClient(t *testing.T) {
	n, c := startPaired(t)
	ctx := context.Background()
	lid, thirdLID := n.lid(t, contact), n.lid(t, third)
	info, err := c.CreateGroup(ctx, whatsmeow.ReqCreateGroup{
		Name: "Mine", Participants: []types.JID{pn(contact), pn("5511900009999")}, CreateKey: "3EB0KEY",
		GroupEphemeral: types.GroupEphemeral{IsEphemeral: true, DisappearingTimer: 86400},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Participants) != 3 || info.Participants[1].JID != lid || info.Participants[2].Error != 404 || info.OwnerJID != c.Store.LID.ToNonAD() ||
		info.DisappearingTimer != 86400 {
		t.Errorf("created %+v", info)
	}
	if evt := wait[*events.JoinedGroup](c, nil); evt.CreateKey != "KEY" || evt.JID != info.JID {
		t.Errorf("got %+v", evt)
	}
	jid := info.JID
	check := func(what string, err error, ok func(g sandbox.GroupView) bool) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		wait[*events.GroupInfo](c, nil)
		if g := n.view(t, jid); !ok(g) {
			t.Errorf("%s: %+v", what, g)
		}
	}
	check("name", c.SetGroupName(ctx, jid, "Ours"), func(g sandbox.GroupView) bool { return g.Subject == "Ours" })
	check("topic", c.SetGroupTopic(ctx, jid, "", "", "All about it"), func(g sandbox.GroupView) bool { return g.Description == "All about it" })
	check("topic", c.SetGroupTopic(ctx, jid, "", "", "More about it"), func(g sandbox.GroupView) bool { return g.Description == "More about it" })
	check("no topic", c.SetGroupTopic(ctx, jid, "", "", ""), func(g sandbox.GroupView) bool { return g.Description == "" })
	check("announce", c.SetGroupAnnounce(ctx, jid, true), func(g sandbox.GroupView) bool { return g.Announce })
	check("locked", c.SetGroupLocked(ctx, jid, true), func(g sandbox.GroupView) bool { return g.Locked })
	check("timer", c.SetDisappearingTimer(ctx, jid, 7*24*time.Hour, time.Time{}), func(g sandbox.GroupView) bool { return g.Ephemeral == 604800 })
	check("approval", c.SetGroupJoinApprovalMode(ctx, jid, true), func(g sandbox.GroupView) bool { return g.JoinApproval })
	check("add mode", c.SetGroupMemberAddMode(ctx, jid, types.GroupMemberAddModeAdmin), func(g sandbox.GroupView) bool { return g.MemberAddMode == "admin_add" })
	list, err := c.UpdateGroupParticipants(ctx, jid, []types.JID{thirdLID, lid, pn("5511900009999")}, whatsmeow.ParticipantChangeAdd)
	check("add", err, func(g sandbox.GroupView) bool { return len(g.Participants) == 3 })
	if list[0].Error != 0 || list[1].Error != 409 || list[2].Error != 404 {
		t.Errorf("added %+v", list)
	}
	_, err = c.UpdateGroupParticipants(ctx, jid, []types.JID{thirdLID}, whatsmeow.ParticipantChangePromote)
	check("promote", err, func(g sandbox.GroupView) bool { return g.Participants[2].Role == "admin" })
	_, err = c.UpdateGroupParticipants(ctx, jid, []types.JID{thirdLID}, whatsmeow.ParticipantChangeDemote)
	check("demote", err, func(g sandbox.GroupView) bool { return g.Participants[2].Role == "member" })
	_, err = c.UpdateGroupParticipants(ctx, jid, []types.JID{pn(third)}, whatsmeow.ParticipantChangeRemove)
	check("remove", err, func(g sandbox.GroupView) bool { return len(g.Participants) == 2 })
	id, err := c.SetGroupPhoto(ctx, jid, []byte{0xff, 0xd8, 1})
	if err != nil || id == "" || n.view(t, jid).PictureID != id {
		t.Errorf("photo %q, %v", id, err)
	}
	wait[*events.Picture](c, nil)
	if err = c.LeaveGroup(ctx, jid); err != nil {
		t.Fatal(err)
	}
	if g := n.view(t, jid); len(g.Participants) != 1 || g.Participants[0].Role != "admin" {
		t.Errorf("after leaving: %+v", g)
	}
	if err = c.SetGroupName(ctx, jid, "Still mine"); !errors.Is(err, whatsmeow.ErrIQForbidden) {
		t.Errorf("renamed after leaving: %v", err)
	}
	n.mustObey(t)
}

func TestInviteLink(t *testing.T) {
	n, c := startPaired(t)
	ctx := context.Background()
	jid := n.group(t, sandbox.GroupRequest{From: contact})
	old := n.view(t, jid).InviteLink
	info, err := c.GetGroupInfoFromLink(ctx, old)
	if err != nil || info.JID != jid || info.Name != "Team" {
		t.Fatalf("link: %+v, %v", info, err)
	}
	yes, no := true, false
	if _, err = n.ChangeGroup(ctx, sandbox.GroupChangeRequest{ID: jid.User, From: contact, RevokeInvite: true, JoinApproval: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.JoinGroupWithLink(ctx, old); !errors.Is(err, whatsmeow.ErrInviteLinkRevoked) {
		t.Errorf("old link: %v", err)
	}
	if _, err = c.JoinGroupWithLink(ctx, "nonsense"); !errors.Is(err, whatsmeow.ErrInviteLinkInvalid) {
		t.Errorf("wrong link: %v", err)
	}
	link := n.view(t, jid).InviteLink
	if got, err := c.JoinGroupWithLink(ctx, link); err != nil || got != jid || len(n.view(t, jid).Requests) != 1 {
		t.Fatalf("asking to join: %s, %v", got, err)
	}
	_, err = n.ChangeParticipants(ctx, sandbox.ParticipantsRequest{ID: jid.User, From: contact, Action: "approve", Participants: []string{bot}})
	if err != nil {
		t.Fatal(err)
	}
	if evt := wait[*events.JoinedGroup](c, nil); evt.JID != jid || evt.Reason != "invite" {
		t.Errorf("got %+v", evt)
	}
	if _, err = c.GetGroupInviteLink(ctx, jid, false); !errors.Is(err, whatsmeow.ErrGroupInviteLinkUnauthorized) {
		t.Errorf("link for a member: %v", err)
	}
	_, err = n.ChangeParticipants(ctx, sandbox.ParticipantsRequest{ID: jid.User, From: contact, Action: "promote", Participants: []string{bot}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.GetGroupInviteLink(ctx, jid, false); err != nil || got != link {
		t.Errorf("link: %s, %v", got, err)
	}
	if got, err := c.GetGroupInviteLink(ctx, jid, true); err != nil || got == link || got != n.view(t, jid).InviteLink {
		t.Errorf("new link: %s, %v", got, err)
	}
	code := strings.TrimPrefix(n.view(t, jid).InviteLink, whatsmeow.InviteLinkPrefix)
	if result, err := n.JoinGroup(ctx, sandbox.JoinRequest{Number: third, Code: code}); err != nil || !result.Waiting {
		t.Fatalf("a phone asks: %+v, %v", result, err)
	}
	wait(c, func(e *events.GroupInfo) bool {
		return len(e.UnknownChanges) == 1 && e.UnknownChanges[0].Tag == "created_membership_requests"
	})
	requests, err := c.GetGroupRequestParticipants(ctx, jid)
	if err != nil || len(requests) != 1 || requests[0].JID != n.lid(t, third) {
		t.Fatalf("requests %+v, %v", requests, err)
	}
	if _, err = c.UpdateGroupRequestParticipants(ctx, jid, []types.JID{requests[0].JID}, whatsmeow.ParticipantChangeApprove); err != nil {
		t.Fatal(err)
	}
	wait(c, func(e *events.GroupInfo) bool { return slices.Contains(e.Join, n.lid(t, third)) })
	if _, err = n.ChangeGroup(ctx, sandbox.GroupChangeRequest{ID: jid.User, From: contact, JoinApproval: &no}); err != nil {
		t.Fatal(err)
	}
	if result, err := n.JoinGroup(ctx, sandbox.JoinRequest{Number: "5511900000004", Code: code}); err != nil || result.Waiting {
		t.Fatalf("a phone joins: %+v, %v", result, err)
	}
	wait(c, func(e *events.GroupInfo) bool {
		return e.JoinReason == "invite" && len(e.Join) == 1 && e.Join[0] == n.lid(t, "5511900000004")
	})
	n.mustObey(t)
}
