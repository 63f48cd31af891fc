package sandbox

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.mau.fi/whatsmeow/types"
)

// The limits of the original.
const (
	maxSubject     = 100 // characters
	maxDescription = 2048
	maxMembers     = 1024
)

// refusal is why a group does not do what somebody wants.
type refusal struct {
	code int    // what a client is told
	kind Kind   // what whoever steers a phone is told
	text string // and why
}

func (r *refusal) Error() string { return r.text }

// public is a refusal as control calls return it.
func public(r *refusal) error {
	if r == nil { // a nil *refusal in an error would not be nil
		return nil
	}
	return &Error{Kind: r.kind, Message: r.text}
}

func notMember(u *user) *refusal {
	return &refusal{403, Conflict, u.number + " is not in this group"}
}

func notAdmin(u *user) *refusal {
	return &refusal{403, Conflict, u.number + " is not an admin of this group, and only admins may do this"}
}

// newGroup is what a group starts with.
type newGroup struct {
	subject, description, key  string
	lid                        bool
	announce, locked, approval bool
	ephemeral                  int
	participants               []*user
}

// createGroup makes a group with its creator as the owner.
func (s *Server) createGroup(t *batch, by *user, r newGroup) (*group, *refusal) {
	if bad := checkSubject(r.subject); bad != nil {
		return nil, bad
	}
	at := now()
	g := &group{
		ID: newGroupID(), LID: r.lid, Owner: by.number, CreatedAt: at, Subject: r.subject, SubjectBy: by.number, SubjectAt: at,
		Announce: r.announce, Locked: r.locked, Approval: r.approval, Ephemeral: r.ephemeral, AddMode: string(types.GroupMemberAddModeAllMember),
		Invite: newInvite(), MembersVersion: s.newVersion(), AnnounceVersion: s.newVersion(),
		Members: []member{{by.number, roleOwner}},
	}
	if r.description != "" {
		g.Description, g.DescriptionID, g.DescriptionBy, g.DescriptionAt = r.description, randomID(10), by.number, at
	}
	for _, u := range r.participants {
		if !g.has(u) {
			g.Members = append(g.Members, member{u.number, roleMember})
		}
	}
	if len(g.Members) > maxMembers {
		return nil, &refusal{406, Invalid, "A group has at most 1024 members"}
	}
	s.world.groups[g.ID] = g
	s.saveGroup(t, g)
	create := node{Tag: "create", Attrs: attrs{"type": "new"}, Content: []node{s.groupNode(g)}}
	if r.key != "" {
		create.Attrs["key"] = r.key
	}
	s.tellGroup(t, g, by, create)
	return g, nil
}

func checkSubject(subject string) *refusal {
	if strings.TrimSpace(subject) == "" || utf8.RuneCountInString(subject) > maxSubject {
		return &refusal{406, Invalid, "A group's subject has 1 to 100 characters"}
	}
	return nil
}

// mayEdit says whether somebody may change what a group shows of itself.
func (g *group) mayEdit(u *user) *refusal {
	if !g.has(u) {
		return notMember(u)
	}
	if g.Locked && !g.isAdmin(u) {
		return notAdmin(u)
	}
	return nil
}

func (g *group) mayRule(u *user) *refusal {
	if !g.has(u) {
		return notMember(u)
	}
	if !g.isAdmin(u) {
		return notAdmin(u)
	}
	return nil
}

func (s *Server) setSubject(t *batch, g *group, by *user, subject string) *refusal {
	if bad := g.mayEdit(by); bad != nil {
		return bad
	}
	if bad := checkSubject(subject); bad != nil {
		return bad
	}
	g.Subject, g.SubjectBy, g.SubjectAt = subject, by.number, now()
	s.saveGroup(t, g)
	change := node{Tag: "subject", Attrs: attrs{"subject": subject, "s_t": unix(g.SubjectAt)}}
	s.by(change.Attrs, "s_o", by.number, g.form())
	s.tellGroup(t, g, by, change)
	return nil
}

// setDescription changes or, with an empty text, removes the description. previous is the id of the one that the
// author knows, or empty.
func (s *Server) setDescription(t *batch, g *group, by *user, id, previous, text string) *refusal {
	if bad := g.mayEdit(by); bad != nil {
		return bad
	}
	if utf8.RuneCountInString(text) > maxDescription {
		return &refusal{406, Invalid, "A group's description has at most 2048 characters"}
	}
	if previous != "" && previous != g.DescriptionID {
		return &refusal{409, Conflict, "The description is another one by now"}
	}
	if id == "" {
		id = randomID(10)
	}
	change := node{Tag: "description", Attrs: attrs{"id": id}, Content: []node{{Tag: "body", Content: []byte(text)}}}
	g.Description, g.DescriptionID, g.DescriptionBy, g.DescriptionAt = text, id, by.number, now()
	if text == "" {
		g.DescriptionID = ""
		change.Content = []node{{Tag: "delete"}}
	}
	s.saveGroup(t, g)
	s.tellGroup(t, g, by, change)
	return nil
}

// setPicture gives the group a picture with this id, or none.
func (s *Server) setPicture(t *batch, g *group, by *user, id string) *refusal {
	if bad := g.mayEdit(by); bad != nil {
		return bad
	}
	g.PictureID = id
	s.saveGroup(t, g)
	change := node{Tag: "set", Attrs: attrs{"jid": g.jid(), "id": id, "author": by.as(g.form(), 0)}}
	if id == "" {
		change = node{Tag: "delete", Attrs: attrs{"jid": g.jid(), "author": by.as(g.form(), 0)}}
	}
	for _, u := range s.membersOf(g) {
		for _, d := range u.companions() {
			s.enqueue(t, d, by.number, node{Tag: "notification", Attrs: attrs{
				"from": g.jid(), "type": "picture", "id": randomID(8), "t": unix(now()), "notify": by.name,
			}, Content: []node{change}})
		}
	}
	return nil
}

// setSetting changes one of the group's settings, named by the tag that it has on the wire: announcement or
// not_announcement, locked or unlocked, ephemeral or not_ephemeral, membership_approval_mode, member_add_mode.
func (s *Server) setSetting(t *batch, g *group, by *user, setting node) *refusal {
	rule := g.mayRule
	if strings.HasSuffix(setting.Tag, "ephemeral") {
		rule = g.mayEdit
	}
	if bad := rule(by); bad != nil {
		return bad
	}
	change := node{Tag: setting.Tag}
	switch setting.Tag {
	case "announcement", "not_announcement":
		g.Announce, g.AnnounceVersion = setting.Tag == "announcement", s.newVersion()
		change.Attrs = attrs{"v_id": g.AnnounceVersion}
	case "locked", "unlocked":
		g.Locked = setting.Tag == "locked"
	case "ephemeral":
		if g.Ephemeral = number(&setting, "expiration"); g.Ephemeral <= 0 {
			return &refusal{400, Invalid, "Messages disappear after 1 second at least"}
		}
		change.Attrs = attrs{"expiration": g.Ephemeral}
	case "not_ephemeral":
		g.Ephemeral = 0
	case "membership_approval_mode":
		join := setting.GetChildByTag("group_join")
		g.Approval = str(&join, "state") == "on"
		change = approvalNode(g.Approval)
	case "member_add_mode":
		mode := string(content(setting))
		if mode != string(types.GroupMemberAddModeAdmin) && mode != string(types.GroupMemberAddModeAllMember) {
			return &refusal{406, Invalid, "Who may add members is \"admin_add\" or \"all_member_add\""}
		}
		g.AddMode = mode
		change.Content = []byte(mode)
	default:
		return &refusal{400, Invalid, "A group has no setting " + setting.Tag}
	}
	s.saveGroup(t, g)
	s.tellGroup(t, g, by, change)
	return nil
}

// memberResult is what became of the wish to change one member; code 0: it was done.
type memberResult struct {
	user *user
	code int
}

// changeMembers adds, removes, promotes or demotes people. Each that the change does not fit gets a code of his own.
func (s *Server) changeMembers(t *batch, g *group, by *user, action string, people []*user) ([]memberResult, *refusal) {
	rule := g.mayRule
	if action == "add" && g.AddMode == string(types.GroupMemberAddModeAllMember) {
		rule = func(u *user) *refusal {
			if g.has(u) {
				return nil
			}
			return notMember(u)
		}
	}
	if bad := rule(by); bad != nil {
		return nil, bad
	}
	results := make([]memberResult, len(people))
	var changed []*user
	for i, u := range people {
		results[i] = memberResult{u, g.changeMember(action, u)}
		if results[i].code == 0 {
			changed = append(changed, u)
		}
	}
	if len(changed) > 0 {
		s.membersChanged(t, g, by, action, "", changed)
	}
	return results, nil
}

// changeMember changes one member, and returns why not as a code, or 0.
func (g *group) changeMember(action string, u *user) int {
	m := g.member(u.number)
	switch {
	case action == "add" && m != nil:
		return 409
	case action == "add" && len(g.Members) >= maxMembers:
		return 500
	case action == "add":
		g.Members = append(g.Members, member{u.number, roleMember})
		g.withdraw(u.number)
	case m == nil:
		return 404
	case action != "promote" && m.Role == roleOwner:
		return 406
	case action == "remove":
		g.remove(u.number)
	case action == "promote" && m.Role == roleMember:
		m.Role = roleAdmin
	case action == "demote":
		m.Role = roleMember
	}
	return 0
}

// membersChanged keeps a change of members and tells everybody: those who were there that people came or went or
// rose, those who came what the group is. After people went, phones make new sender keys.
func (s *Server) membersChanged(t *batch, g *group, by *user, action, reason string, changed []*user) {
	before := g.MembersVersion
	g.MembersVersion = s.newVersion()
	s.saveGroup(t, g)
	change := node{Tag: action, Attrs: attrs{"prev_v_id": before, "v_id": g.MembersVersion}}
	if reason != "" {
		change.Attrs["reason"] = reason
	}
	var list []node
	for _, u := range changed {
		role := roleMember
		if m := g.member(u.number); m != nil {
			role = m.Role
		}
		list = append(list, u.participant(g.form(), role))
	}
	change.Content = list
	switch action {
	case "add":
		create := node{Tag: "create", Attrs: attrs{}, Content: []node{s.groupNode(g)}}
		if reason != "" {
			create.Attrs["reason"] = reason
		}
		for _, u := range s.membersOf(g) {
			if slices.Contains(changed, u) {
				s.tellOfGroup(t, g, by, create, u)
			} else {
				s.tellOfGroup(t, g, by, change, u)
			}
		}
	case "remove":
		s.tellGroup(t, g, by, change, changed...)
		s.renewKeys(t, g, changed)
	default:
		s.tellGroup(t, g, by, change)
	}
}

// leave takes somebody out by his own will. A group without admins gets its oldest member as one; one without members
// is gone.
func (s *Server) leave(t *batch, g *group, u *user) *refusal {
	if !g.has(u) {
		return notMember(u)
	}
	g.remove(u.number)
	s.membersChanged(t, g, u, "remove", "", []*user{u})
	if len(g.Members) == 0 {
		delete(s.world.groups, g.ID)
		t.drop(tableGroups, g.ID)
		return nil
	}
	if !slices.ContainsFunc(g.Members, func(m member) bool { return m.Role != roleMember }) {
		g.Members[0].Role = roleAdmin
		heir := s.world.users[g.Members[0].Number]
		s.membersChanged(t, g, heir, "promote", "", []*user{heir})
	}
	return nil
}

// renewInvite makes the group's link worthless and gives it another.
func (s *Server) renewInvite(t *batch, g *group, by *user) *refusal {
	if bad := g.mayRule(by); bad != nil {
		return bad
	}
	g.OldInvites = append(g.OldInvites, g.Invite)
	g.Invite = newInvite()
	s.saveGroup(t, g)
	s.tellGroup(t, g, by, node{Tag: "invite", Attrs: attrs{"code": g.Invite}})
	return nil
}

// invited finds the group that an invite link is for.
func (s *Server) invited(code string) (*group, *refusal) {
	for _, g := range s.world.groups {
		if g.Invite == code {
			return g, nil
		}
		if slices.Contains(g.OldInvites, code) {
			return nil, &refusal{410, Conflict, "This invite link was revoked"}
		}
	}
	return nil, &refusal{406, NotFound, "No group has this invite link"}
}

// join lets somebody in by the link, or has him wait for an admin's word.
func (s *Server) join(t *batch, g *group, u *user) (waits bool, bad *refusal) {
	switch {
	case g.has(u):
		return false, &refusal{409, Conflict, u.number + " is in this group already"}
	case len(g.Members) >= maxMembers:
		return false, &refusal{419, Conflict, "The group is full"}
	case g.Approval:
		g.withdraw(u.number)
		g.Requests = append(g.Requests, joinRequest{u.number, now()})
		s.saveGroup(t, g)
		request := node{Tag: "created_membership_requests", Attrs: attrs{"request_method": "invite_link"}, Content: []node{u.requested(g)}}
		for _, admin := range s.membersOf(g) {
			if g.isAdmin(admin) {
				s.tellOfGroup(t, g, u, request, admin)
			}
		}
		return true, nil
	}
	g.Members = append(g.Members, member{u.number, roleMember})
	s.membersChanged(t, g, u, "add", "invite", []*user{u})
	return false, nil
}

func (u *user) requested(g *group) node {
	n := u.participant(g.form(), roleMember)
	n.Tag = "requested_user"
	return n
}

// decide lets people who asked to join in, or turns them down.
func (s *Server) decide(t *batch, g *group, by *user, approve bool, people []*user) ([]memberResult, *refusal) {
	if bad := g.mayRule(by); bad != nil {
		return nil, bad
	}
	results := make([]memberResult, len(people))
	var joined, rejected []*user
	for i, u := range people {
		results[i].user = u
		if !slices.ContainsFunc(g.Requests, func(r joinRequest) bool { return r.Number == u.number }) {
			results[i].code = 404
			continue
		}
		g.withdraw(u.number)
		if approve {
			g.Members = append(g.Members, member{u.number, roleMember})
			joined = append(joined, u)
		} else {
			rejected = append(rejected, u)
		}
	}
	s.saveGroup(t, g)
	if len(joined) > 0 {
		s.membersChanged(t, g, by, "add", "invite", joined)
	}
	for _, u := range rejected {
		change := node{Tag: "revoked_membership_requests", Content: []node{u.requested(g)}}
		for _, admin := range s.membersOf(g) {
			if g.isAdmin(admin) {
				s.tellOfGroup(t, g, by, change, admin)
			}
		}
	}
	return results, nil
}
