package sandbox

import (
	"go.mau.fi/whatsmeow/types"
)

// handleGroupIQ answers what clients ask about groups and want done in them (whatsmeow group.go).
func (c *conn) handleGroupIQ(n *node, child node) {
	c.s.update(func(t *batch) {
		answer, bad := c.groupIQ(t, n, child)
		if bad != nil {
			text := map[int]string{
				400: "bad-request", 401: "not-authorized", 403: "forbidden", 404: "item-not-found", 406: "not-acceptable",
				409: "conflict", 410: "gone", 419: "resource-limit", 501: "feature-not-implemented",
			}[bad.code]
			if bad.code == 501 {
				c.s.recordViolation(t, ViolationUnknownIQ, c.device.user.pn(c.device.id).String(), str(n, "type")+" w:g2 <"+child.Tag+">")
			}
			t.then(func() { c.send(iqError(n, bad.code, text)) })
			return
		}
		t.then(func() { c.send(result(n, answer...)) })
	})
}

var errUnknownGroup = &refusal{404, NotFound, "There is no such group"}

func (c *conn) groupIQ(t *batch, n *node, child node) ([]node, *refusal) {
	to, get, s, own := jid(n, "to"), str(n, "type") == "get", c.s, c.device.user
	if to.User == "" { // to the groups' server
		switch {
		case get && child.Tag == "participating":
			return []node{s.groupsOf(own)}, nil
		case child.Tag == "create":
			return c.createGroupIQ(t, child)
		case child.Tag == "leave":
			return c.leaveIQ(t, child), nil
		case child.Tag == "invite":
			return c.inviteIQ(t, get, str(&child, "code"))
		}
		return nil, &refusal{code: 501}
	}
	g := s.world.groups[to.User]
	if g == nil || to.Server != types.GroupServer {
		return nil, errUnknownGroup
	}
	switch {
	case get && child.Tag == "query":
		if code, ok := child.GetOptionalChildByTag("add_request"); ok && str(&code, "code") == g.Invite {
			return []node{s.groupNode(g)}, nil
		}
		if !g.has(own) {
			return nil, notMember(own)
		}
		return []node{s.groupNode(g)}, nil
	case child.Tag == "invite":
		return c.linkIQ(t, g, get)
	case get && child.Tag == "membership_approval_requests":
		return c.requestsIQ(g)
	case get:
		return nil, &refusal{code: 501}
	case child.Tag == "accept":
		if str(&child, "code") != g.Invite {
			return nil, &refusal{code: 410}
		}
		_, bad := s.join(t, g, own)
		return nil, bad
	}
	return c.changeIQ(t, g, child)
}

// changeIQ does what a client wants done in a group.
func (c *conn) changeIQ(t *batch, g *group, child node) ([]node, *refusal) {
	s, own := c.s, c.device.user
	switch child.Tag {
	case "subject":
		return nil, s.setSubject(t, g, own, string(content(child)))
	case "description":
		text := ""
		if str(&child, "delete") != "true" {
			text = string(content(child.GetChildByTag("body")))
		}
		return nil, s.setDescription(t, g, own, str(&child, "id"), str(&child, "prev"), text)
	case "announcement", "not_announcement", "locked", "unlocked", "ephemeral", "not_ephemeral", "membership_approval_mode", "member_add_mode":
		return nil, s.setSetting(t, g, own, child)
	case "add", "remove", "promote", "demote":
		people, unknown := c.people(child)
		results, bad := s.changeMembers(t, g, own, child.Tag, people)
		if bad != nil {
			return nil, bad
		}
		return []node{{Tag: child.Tag, Content: append(participantNodes(g, results), unknown...)}}, nil
	case "membership_requests_action":
		action := first(&child)
		if action.Tag != "approve" && action.Tag != "reject" {
			return nil, &refusal{code: 400}
		}
		people, unknown := c.people(action)
		results, bad := s.decide(t, g, own, action.Tag == "approve", people)
		if bad != nil {
			return nil, bad
		}
		return []node{{Tag: child.Tag, Content: []node{{Tag: action.Tag, Content: append(participantNodes(g, results), unknown...)}}}}, nil
	}
	return nil, &refusal{code: 501}
}

// people reads a list of participants. Those that nobody is come back as they go into the answer.
func (c *conn) people(list node) (known []*user, unknown []node) {
	for _, p := range list.GetChildrenByTag("participant") {
		j := jid(&p, "jid")
		if u := c.s.find(j); u != nil {
			known = append(known, u)
		} else {
			unknown = append(unknown, node{Tag: "participant", Attrs: attrs{"jid": j, "error": "404"}})
		}
	}
	return known, unknown
}

func participantNodes(g *group, results []memberResult) []node {
	var out []node
	for _, r := range results {
		role := roleMember
		if m := g.member(r.user.number); m != nil {
			role = m.Role
		}
		n := r.user.participant(g.form(), role)
		if r.code != 0 {
			n.Attrs["error"] = r.code
		}
		out = append(out, n)
	}
	return out
}

// groupsOf are the groups that somebody is in, by id.
func (s *Server) groupsOf(u *user) node {
	var list []node
	for _, g := range s.sortedGroups() {
		if g.has(u) {
			list = append(list, s.groupNode(g))
		}
	}
	return node{Tag: "groups", Content: list}
}

// createGroupIQ makes the group that a client wants. Those whom it names and nobody is are left out, with an error.
func (c *conn) createGroupIQ(t *batch, create node) ([]node, *refusal) {
	people, unknown := c.people(create)
	wanted := newGroup{subject: str(&create, "subject"), key: str(&create, "key"), lid: true, participants: people}
	for _, child := range create.GetChildren() {
		switch child.Tag {
		case "announcement":
			wanted.announce = true
		case "locked":
			wanted.locked = true
		case "ephemeral":
			wanted.ephemeral = number(&child, "expiration")
		case "membership_approval_mode":
			wanted.approval = true
		case "parent", "linked_parent": // communities
			return nil, &refusal{code: 501}
		}
	}
	g, bad := c.s.createGroup(t, c.device.user, wanted)
	if bad != nil {
		return nil, bad
	}
	answer := c.s.groupNode(g)
	answer.Content = append(answer.GetChildren(), unknown...)
	return []node{answer}, nil
}

func (c *conn) leaveIQ(t *batch, leave node) []node {
	var list []node
	for _, wanted := range leave.GetChildrenByTag("group") {
		id := jid(&wanted, "id")
		n := node{Tag: "group", Attrs: attrs{"id": id}}
		if g := c.s.world.groups[id.User]; g == nil {
			n.Attrs["error"] = 404
		} else if bad := c.s.leave(t, g, c.device.user); bad != nil {
			n.Attrs["error"] = bad.code
		}
		list = append(list, n)
	}
	return []node{{Tag: "leave", Content: list}}
}

// inviteIQ looks up a link or joins by it.
func (c *conn) inviteIQ(t *batch, get bool, code string) ([]node, *refusal) {
	g, bad := c.s.invited(code)
	if bad != nil {
		return nil, bad
	}
	if get {
		return []node{c.s.groupNode(g)}, nil
	}
	waits, bad := c.s.join(t, g, c.device.user)
	if bad != nil {
		return nil, bad
	}
	tag := "group"
	if waits {
		tag = "membership_approval_request"
	}
	return []node{{Tag: tag, Attrs: attrs{"jid": g.jid()}}}, nil
}

// linkIQ tells an admin the group's link, or makes a new one. Others get the errors that the client knows.
func (c *conn) linkIQ(t *batch, g *group, get bool) ([]node, *refusal) {
	own := c.device.user
	if !g.has(own) {
		return nil, notMember(own)
	}
	if !g.isAdmin(own) {
		return nil, &refusal{code: 401}
	}
	if !get {
		if bad := c.s.renewInvite(t, g, own); bad != nil {
			return nil, bad
		}
	}
	return []node{{Tag: "invite", Attrs: attrs{"code": g.Invite}}}, nil
}

func (c *conn) requestsIQ(g *group) ([]node, *refusal) {
	if bad := g.mayRule(c.device.user); bad != nil {
		return nil, bad
	}
	var list []node
	for _, r := range g.Requests {
		if u := c.s.world.users[r.Number]; u != nil {
			n := u.participant(g.form(), roleMember)
			n.Tag = "membership_approval_request"
			n.Attrs["request_time"], n.Attrs["request_method"] = unix(r.At), "invite_link"
			list = append(list, n)
		}
	}
	return []node{{Tag: "membership_approval_requests", Content: list}}, nil
}

// handleGroupPicture answers for the picture of a group, of which the sandbox keeps the id alone.
func (c *conn) handleGroupPicture(n *node, child node) {
	c.s.update(func(t *batch) {
		g := c.s.world.groups[jid(n, "target").User]
		switch {
		case g == nil || str(n, "type") == "get":
			t.then(func() { c.send(iqError(n, 404, "item-not-found")) })
			return
		case child.Tag == "picture" && len(content(child)) == 0:
			t.then(func() { c.send(iqError(n, 406, "not-acceptable")) })
			return
		}
		id := ""
		if child.Tag == "picture" {
			id = c.s.newVersion()
		}
		if bad := c.s.setPicture(t, g, c.device.user, id); bad != nil {
			t.then(func() { c.send(iqError(n, bad.code, "forbidden")) })
			return
		}
		if id == "" {
			t.then(func() { c.send(result(n)) })
			return
		}
		t.then(func() { c.send(result(n, node{Tag: "picture", Attrs: attrs{"id": id}})) })
	})
}
