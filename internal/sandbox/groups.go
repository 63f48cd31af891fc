package sandbox

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// tableGroups keeps groups, by id.
const tableGroups = "groups"

// The roles of a group's members, as they are on the wire; an ordinary member has none.
const (
	roleMember = ""
	roleAdmin  = "admin"
	roleOwner  = "superadmin"
)

// group is a group chat. Memory and row are the same.
type group struct {
	ID        string    `json:"id"`            // the user part of its JID
	LID       bool      `json:"lid,omitempty"` // its members are addressed by LID
	Owner     string    `json:"owner"`         // number
	CreatedAt time.Time `json:"createdAt"`

	Subject       string    `json:"subject"`
	SubjectBy     string    `json:"subjectBy"`
	SubjectAt     time.Time `json:"subjectAt"`
	Description   string    `json:"description,omitempty"`
	DescriptionID string    `json:"descriptionId,omitempty"`
	DescriptionBy string    `json:"descriptionBy,omitempty"`
	DescriptionAt time.Time `json:"descriptionAt,omitzero"`
	PictureID     string    `json:"pictureId,omitempty"`

	Announce   bool     `json:"announce,omitempty"` // only admins send
	Locked     bool     `json:"locked,omitempty"`   // only admins change subject, description, picture
	Ephemeral  int      `json:"ephemeral,omitempty"`
	AddMode    string   `json:"addMode"`              // admin_add or all_member_add
	Approval   bool     `json:"approval,omitempty"`   // admins decide who joins by the link
	Invite     string   `json:"invite"`               // the code in the link
	OldInvites []string `json:"oldInvites,omitempty"` // revoked

	Members         []member      `json:"members"`
	Requests        []joinRequest `json:"requests,omitempty"`
	MembersVersion  string        `json:"membersVersion"`
	AnnounceVersion string        `json:"announceVersion"`
}

// member is somebody in a group.
type member struct {
	Number string `json:"number"`
	Role   string `json:"role,omitempty"`
}

// joinRequest is somebody who waits to be let in.
type joinRequest struct {
	Number string    `json:"number"`
	At     time.Time `json:"at"`
}

func (s *Server) saveGroup(t *batch, g *group) { t.put(tableGroups, g.ID, encodeJSON(g)) }

func (s *Server) readGroup(id string, value []byte) error {
	var g group
	if err := json.Unmarshal(value, &g); err != nil {
		return err
	}
	for _, m := range g.Members {
		if s.world.users[m.Number] == nil {
			return fmt.Errorf("its member %s is not a known number", m.Number)
		}
	}
	s.world.groups[id] = &g
	return nil
}

func (g *group) jid() types.JID { return types.NewJID(g.ID, types.GroupServer) }

// form is a JID in the form by which the group's members are addressed.
func (g *group) form() types.JID { return formOf(g.LID) }

func (g *group) mode() string {
	if g.LID {
		return "lid"
	}
	return "pn"
}

func (g *group) member(number string) *member {
	i := slices.IndexFunc(g.Members, func(m member) bool { return m.Number == number })
	if i < 0 {
		return nil
	}
	return &g.Members[i]
}

func (g *group) has(u *user) bool { return g.member(u.number) != nil }

func (g *group) isAdmin(u *user) bool {
	m := g.member(u.number)
	return m != nil && m.Role != roleMember
}

func (g *group) remove(number string) {
	g.Members = slices.DeleteFunc(g.Members, func(m member) bool { return m.Number == number })
}

func (g *group) withdraw(number string) {
	g.Requests = slices.DeleteFunc(g.Requests, func(r joinRequest) bool { return r.Number == number })
}

// users are the group's members, in the order in which they came.
func (s *Server) membersOf(g *group) []*user {
	out := make([]*user, 0, len(g.Members))
	for _, m := range g.Members {
		if u := s.world.users[m.Number]; u != nil {
			out = append(out, u)
		}
	}
	return out
}

// formOf is a JID in the form by which people are addressed: by LID or by number.
func formOf(lid bool) types.JID {
	if lid {
		return types.JID{Server: types.HiddenUserServer}
	}
	return types.JID{Server: types.DefaultUserServer}
}

// alternative is the user's JID in the form that like does not have, and the name that this form has in attributes.
func (u *user) alternative(like types.JID) (suffix string, j types.JID) {
	if like.Server == types.HiddenUserServer {
		return "pn", u.pn(0)
	}
	return "lid", u.lidJID(0)
}

// participant is a member or a former one, as lists of people in a group show them.
func (u *user) participant(like types.JID, role string) node {
	n := node{Tag: "participant", Attrs: attrs{"jid": u.as(like, 0)}}
	if suffix, other := u.alternative(like); suffix == "pn" {
		n.Attrs["phone_number"] = other
	} else {
		n.Attrs["lid"] = other
	}
	if role != roleMember {
		n.Attrs["type"] = role
	}
	return n
}

// by writes who did something into attributes, such as creator and creator_pn.
func (s *Server) by(a attrs, key string, number string, like types.JID) {
	u := s.world.users[number]
	if u == nil {
		return
	}
	a[key] = u.as(like, 0)
	suffix, other := u.alternative(like)
	a[key+"_"+suffix] = other
}

// groupNode is a group as clients see it (whatsmeow group.go, parseGroupNode).
func (s *Server) groupNode(g *group) node {
	like := g.form()
	n := node{Tag: "group", Attrs: attrs{
		"id": g.ID, "subject": g.Subject, "s_t": unix(g.SubjectAt), "creation": unix(g.CreatedAt), "size": len(g.Members),
		"a_v_id": g.AnnounceVersion, "p_v_id": g.MembersVersion, "addressing_mode": g.mode(),
	}}
	s.by(n.Attrs, "creator", g.Owner, like)
	s.by(n.Attrs, "s_o", g.SubjectBy, like)
	var children []node
	if g.DescriptionID != "" {
		d := node{Tag: "description", Attrs: attrs{"id": g.DescriptionID, "t": unix(g.DescriptionAt)}, Content: []node{
			{Tag: "body", Content: []byte(g.Description)},
		}}
		s.by(d.Attrs, "participant", g.DescriptionBy, like)
		children = append(children, d)
	}
	if g.Announce {
		children = append(children, node{Tag: "announcement"})
	}
	if g.Locked {
		children = append(children, node{Tag: "locked"})
	}
	if g.Ephemeral > 0 {
		children = append(children, node{Tag: "ephemeral", Attrs: attrs{"expiration": g.Ephemeral}})
	}
	if g.Approval {
		children = append(children, approvalNode(true))
	}
	children = append(children, node{Tag: "member_add_mode", Content: []byte(g.AddMode)})
	for _, m := range g.Members {
		if u := s.world.users[m.Number]; u != nil {
			children = append(children, u.participant(like, m.Role))
		}
	}
	n.Content = children
	return n
}

func approvalNode(on bool) node {
	state := "off"
	if on {
		state = "on"
	}
	return node{Tag: "membership_approval_mode", Content: []node{{Tag: "group_join", Attrs: attrs{"state": state}}}}
}

// tellGroup tells the companions of a group's members, and of others, what somebody changed in it. The client that
// asked for the change is told too, as by the original.
func (s *Server) tellGroup(t *batch, g *group, by *user, change node, others ...*user) {
	for _, u := range append(s.membersOf(g), others...) {
		s.tellOfGroup(t, g, by, change, u)
	}
}

func (s *Server) tellOfGroup(t *batch, g *group, by *user, change node, u *user) {
	if len(u.devices) == 0 {
		return
	}
	n := node{Tag: "notification", Attrs: attrs{
		"from": g.jid(), "type": "w:gp2", "id": strconv.FormatUint(s.world.next(), 10), "t": unix(now()),
		"addressing_mode": g.mode(), "notify": by.name,
	}, Content: []node{change}}
	s.by(n.Attrs, "participant", by.number, g.form())
	for _, d := range u.companions() {
		s.enqueue(t, d, by.number, n)
	}
}

// newVersion is the next version id of a group's members or settings: microseconds, rising.
func (s *Server) newVersion() string {
	return strconv.FormatInt(now().UnixMicro()+int64(s.world.next()%1_000_000), 10)
}

// newGroupID makes a group's id in the form that the original gives: 18 digits that begin with 120363.
func newGroupID() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(1_000_000_000_000))
	return fmt.Sprintf("120363%012d", n)
}

// newInvite makes the code of an invite link: 22 letters and digits.
func newInvite() string { return rand.Text()[:22] }
