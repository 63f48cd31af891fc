package sandbox

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

// GroupRequest lets a phone make a group.
type GroupRequest struct {
	From         string   `json:"from"` // number of the owner; made if it is new
	Subject      string   `json:"subject"`
	Description  string   `json:"description,omitempty"`
	Participants []string `json:"participants"` // numbers; made if they are new
	// Addressing is how the members are addressed: "lid" (the default, as in the groups of today) or "pn".
	Addressing string `json:"addressing,omitempty"`
}

// GroupView is a group.
type GroupView struct {
	JID           string       `json:"jid"`
	Subject       string       `json:"subject"`
	Description   string       `json:"description"`
	Owner         string       `json:"owner"` // number
	Addressing    string       `json:"addressing"`
	CreatedAt     time.Time    `json:"createdAt"`
	PictureID     string       `json:"pictureId,omitempty"`
	Announce      bool         `json:"announce"`      // only admins send
	Locked        bool         `json:"locked"`        // only admins change what the group shows of itself
	Ephemeral     int          `json:"ephemeral"`     // seconds until messages disappear; 0: they stay
	MemberAddMode string       `json:"memberAddMode"` // admin_add or all_member_add
	JoinApproval  bool         `json:"joinApproval"`  // admins decide who joins by the link
	InviteCode    string       `json:"inviteCode"`
	InviteLink    string       `json:"inviteLink"`
	Participants  []MemberView `json:"participants"`
	Requests      []string     `json:"requests"` // numbers that wait to be let in
}

// MemberView is somebody in a group.
type MemberView struct {
	Number string `json:"number"`
	LID    string `json:"lid"`
	Role   string `json:"role"` // member, admin or superadmin
}

func (s *Server) groupView(g *group) GroupView {
	v := GroupView{
		JID: g.jid().String(), Subject: g.Subject, Description: g.Description, Owner: g.Owner, Addressing: g.mode(),
		CreatedAt: g.CreatedAt.UTC(), PictureID: g.PictureID, Announce: g.Announce, Locked: g.Locked, Ephemeral: g.Ephemeral,
		MemberAddMode: g.AddMode, JoinApproval: g.Approval, InviteCode: g.Invite, InviteLink: whatsmeow.InviteLinkPrefix + g.Invite,
		Participants: []MemberView{}, Requests: []string{},
	}
	for _, m := range g.Members {
		if u := s.world.users[m.Number]; u != nil {
			v.Participants = append(v.Participants, MemberView{u.number, u.lidJID(0).String(), cmp.Or(m.Role, "member")})
		}
	}
	for _, r := range g.Requests {
		v.Requests = append(v.Requests, r.Number)
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// sortedGroups are all groups, oldest first.
func (s *Server) sortedGroups() []*group {
	return slices.SortedFunc(maps.Values(s.world.groups), func(a, b *group) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
}

// knownGroup finds a group by its JID or the user part of it. Called with s.mu held.
func (s *Server) knownGroup(id string) (*group, error) {
	name := id
	if room, ok := parseRoom(id); ok && room.Server == types.GroupServer {
		name = room.User
	}
	if g := s.world.groups[name]; g != nil {
		return g, nil
	}
	return nil, errorf(NotFound, "There is no group %q: GET /sandbox/groups lists them", id)
}

// people makes the users with these numbers, if they are new.
func (s *Server) people(t *batch, numbers []string) ([]*user, error) {
	out := make([]*user, 0, len(numbers))
	for _, number := range numbers {
		number = normalizeNumber(number)
		if err := checkNumber("participants", number); err != nil {
			return nil, err
		}
		out = append(out, s.ensureUser(t, number))
	}
	return out, nil
}

// inGroup runs fn for a phone in a group and returns the group as it is then.
func (s *Server) inGroup(ctx context.Context, id, number string, fn func(t *batch, g *group, by *user) error) (GroupView, error) {
	var view GroupView
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var g *group
		var by *user
		if g, err = s.knownGroup(id); err != nil {
			return
		}
		if by, err = s.known(number); err != nil {
			return
		}
		if err = fn(t, g, by); err == nil {
			view = s.groupView(g)
		}
	})
	if err != nil {
		return GroupView{}, err
	}
	return view, waitErr
}

// CreateGroup lets a phone make a group. Errors: Invalid.
func (s *Server) CreateGroup(ctx context.Context, r GroupRequest) (GroupView, error) {
	r.From = normalizeNumber(r.From)
	if err := checkNumber("from", r.From); err != nil {
		return GroupView{}, err
	}
	if r.Addressing != "" && r.Addressing != "pn" && r.Addressing != "lid" {
		return GroupView{}, errorf(Invalid, "\"addressing\" is %q: it is \"pn\" or \"lid\"", r.Addressing)
	}
	var view GroupView
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var people []*user
		if people, err = s.people(t, r.Participants); err != nil {
			return
		}
		g, bad := s.createGroup(t, s.ensureUser(t, r.From), newGroup{
			subject: r.Subject, description: r.Description, lid: r.Addressing != "pn", participants: people,
		})
		if err = public(bad); err == nil {
			view = s.groupView(g)
		}
	})
	if err != nil {
		return GroupView{}, err
	}
	return view, waitErr
}

// Groups lists the groups, oldest first.
func (s *Server) Groups(context.Context) ([]GroupView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []GroupView{}
	for _, g := range s.sortedGroups() {
		out = append(out, s.groupView(g))
	}
	return out, nil
}

// Group returns one group. Errors: NotFound.
func (s *Server) Group(_ context.Context, id string) (GroupView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.knownGroup(id)
	if err != nil {
		return GroupView{}, err
	}
	return s.groupView(g), nil
}

// GroupChangeRequest lets a phone change a group. Each field that is given is one change.
type GroupChangeRequest struct {
	ID            string  `json:"-"`
	From          string  `json:"from"` // number of the member who does it
	Subject       *string `json:"subject,omitempty"`
	Description   *string `json:"description,omitempty"`   // empty: removed
	Picture       *bool   `json:"picture,omitempty"`       // true: a new one, false: removed
	Announce      *bool   `json:"announce,omitempty"`      // only admins send
	Locked        *bool   `json:"locked,omitempty"`        // only admins change what the group shows of itself
	Ephemeral     *int    `json:"ephemeral,omitempty"`     // seconds until messages disappear; 0: they stay
	MemberAddMode string  `json:"memberAddMode,omitempty"` // admin_add or all_member_add
	JoinApproval  *bool   `json:"joinApproval,omitempty"`  // admins decide who joins by the link
	RevokeInvite  bool    `json:"revokeInvite,omitempty"`  // the link gets another code
}

// ChangeGroup lets a phone change a group's subject, description, picture, settings and link. Errors: Invalid,
// NotFound, Conflict.
func (s *Server) ChangeGroup(ctx context.Context, r GroupChangeRequest) (GroupView, error) {
	return s.inGroup(ctx, r.ID, r.From, func(t *batch, g *group, by *user) error {
		var bad *refusal
		try := func(wanted bool, change func() *refusal) {
			if wanted && bad == nil {
				bad = change()
			}
		}
		try(r.Subject != nil, func() *refusal { return s.setSubject(t, g, by, *r.Subject) })
		try(r.Description != nil, func() *refusal { return s.setDescription(t, g, by, "", "", *r.Description) })
		try(r.Picture != nil, func() *refusal {
			id := ""
			if *r.Picture {
				id = s.newVersion()
			}
			return s.setPicture(t, g, by, id)
		})
		for _, setting := range r.settings() {
			try(true, func() *refusal { return s.setSetting(t, g, by, setting) })
		}
		try(r.RevokeInvite, func() *refusal { return s.renewInvite(t, g, by) })
		return public(bad)
	})
}

// settings are the settings that a request changes, in the form that clients send.
func (r *GroupChangeRequest) settings() []node {
	var out []node
	if r.Announce != nil {
		out = append(out, node{Tag: onOff(*r.Announce, "announcement", "not_announcement")})
	}
	if r.Locked != nil {
		out = append(out, node{Tag: onOff(*r.Locked, "locked", "unlocked")})
	}
	if r.Ephemeral != nil && *r.Ephemeral == 0 {
		out = append(out, node{Tag: "not_ephemeral"})
	} else if r.Ephemeral != nil {
		out = append(out, node{Tag: "ephemeral", Attrs: attrs{"expiration": strconv.Itoa(*r.Ephemeral)}})
	}
	if r.MemberAddMode != "" {
		out = append(out, node{Tag: "member_add_mode", Content: []byte(r.MemberAddMode)})
	}
	if r.JoinApproval != nil {
		out = append(out, approvalNode(*r.JoinApproval))
	}
	return out
}

func onOff(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}

// ParticipantsRequest lets a phone change who is in a group.
type ParticipantsRequest struct {
	ID   string `json:"-"`
	From string `json:"from"` // number of the member who does it
	// Action is add, remove, promote or demote; or approve or reject, for those who asked to be let in.
	Action       string   `json:"action"`
	Participants []string `json:"participants"` // numbers; made if they are new
}

// ChangeParticipants lets a phone change who is in a group. It does all or nothing. Errors: Invalid, NotFound,
// Conflict.
func (s *Server) ChangeParticipants(ctx context.Context, r ParticipantsRequest) (GroupView, error) {
	if !slices.Contains([]string{"add", "remove", "promote", "demote", "approve", "reject"}, r.Action) {
		return GroupView{}, errorf(Invalid, "\"action\" is %q: it is one of add, remove, promote, demote, approve, reject", r.Action)
	}
	return s.inGroup(ctx, r.ID, r.From, func(t *batch, g *group, by *user) error {
		people, err := s.people(t, r.Participants)
		if err != nil {
			return err
		}
		for _, u := range people {
			waits := slices.ContainsFunc(g.Requests, func(q joinRequest) bool { return q.Number == u.number })
			switch {
			case r.Action == "add" && g.has(u):
				return errorf(Conflict, "%s is in this group already", u.number)
			case slices.Contains([]string{"remove", "promote", "demote"}, r.Action) && !g.has(u):
				return public(notMember(u))
			case r.Action != "promote" && g.has(u) && g.member(u.number).Role == roleOwner:
				return errorf(Conflict, "%s is the owner of this group, whom nobody can remove or demote", u.number)
			case (r.Action == "approve" || r.Action == "reject") && !waits:
				return errorf(Conflict, "%s did not ask to be let into this group", u.number)
			}
		}
		var bad *refusal
		if r.Action == "approve" || r.Action == "reject" {
			_, bad = s.decide(t, g, by, r.Action == "approve", people)
		} else {
			_, bad = s.changeMembers(t, g, by, r.Action, people)
		}
		return public(bad)
	})
}

// JoinRequest lets a phone join a group by its link.
type JoinRequest struct {
	Number string `json:"number"` // made if it is new
	Code   string `json:"code"`   // the end of the invite link
}

// JoinResult says which group it was.
type JoinResult struct {
	JID     string `json:"jid"`
	Waiting bool   `json:"waiting"` // an admin has to let the number in
}

// JoinGroup lets a phone join a group by its link. Errors: Invalid, NotFound, Conflict.
func (s *Server) JoinGroup(ctx context.Context, r JoinRequest) (JoinResult, error) {
	r.Number = normalizeNumber(r.Number)
	if err := checkNumber("number", r.Number); err != nil {
		return JoinResult{}, err
	}
	var result JoinResult
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		g, bad := s.invited(r.Code)
		if err = public(bad); err != nil {
			return
		}
		result.JID = g.jid().String()
		result.Waiting, bad = s.join(t, g, s.ensureUser(t, r.Number))
		err = public(bad)
	})
	if err != nil {
		return JoinResult{}, err
	}
	return result, waitErr
}

// LeaveRequest lets a phone leave a group.
type LeaveRequest struct {
	ID     string `json:"-"`
	Number string `json:"number"`
}

// LeaveGroup lets a phone leave a group. Errors: Invalid, NotFound, Conflict.
func (s *Server) LeaveGroup(ctx context.Context, r LeaveRequest) (GroupView, error) {
	return s.inGroup(ctx, r.ID, r.Number, func(t *batch, g *group, by *user) error { return public(s.leave(t, g, by)) })
}

// groupRoutes are the control routes of groups, calls and what phones do to messages.
func (s *Server) groupRoutes(mux *http.ServeMux) {
	mux.Handle("POST /sandbox/groups", post(s, http.StatusCreated, s.CreateGroup))
	mux.Handle("GET /sandbox/groups", get(s, func(r *http.Request) ([]GroupView, error) { return s.Groups(r.Context()) }))
	mux.Handle("GET /sandbox/groups/{id}", get(s, func(r *http.Request) (GroupView, error) { return s.Group(r.Context(), r.PathValue("id")) }))
	mux.Handle("POST /sandbox/groups/join", post(s, http.StatusOK, s.JoinGroup))
	mux.Handle("POST /sandbox/groups/{id}", postTo(s, http.StatusOK, func(ctx context.Context, id string, r GroupChangeRequest) (GroupView, error) {
		r.ID = id
		return s.ChangeGroup(ctx, r)
	}))
	mux.Handle("POST /sandbox/groups/{id}/participants", postTo(s, http.StatusOK, func(ctx context.Context, id string, r ParticipantsRequest) (GroupView, error) {
		r.ID = id
		return s.ChangeParticipants(ctx, r)
	}))
	mux.Handle("POST /sandbox/groups/{id}/leave", postTo(s, http.StatusOK, func(ctx context.Context, id string, r LeaveRequest) (GroupView, error) {
		r.ID = id
		return s.LeaveGroup(ctx, r)
	}))
	mux.Handle("POST /sandbox/messages/{id}/actions", postTo(s, http.StatusCreated, func(ctx context.Context, id string, r ActionRequest) (SendResult, error) {
		r.ID = id
		return s.Act(ctx, r)
	}))
	mux.Handle("POST /sandbox/calls", post(s, http.StatusCreated, s.Call))
	mux.Handle("GET /sandbox/calls", get(s, func(r *http.Request) ([]CallView, error) { return s.Calls(r.Context()) }))
	mux.Handle("POST /sandbox/calls/{id}", postTo(s, http.StatusOK, func(ctx context.Context, id string, r CallActionRequest) (CallView, error) {
		r.ID = id
		return s.CallAction(ctx, r)
	}))
	mux.Handle("GET /sandbox/presence", get(s, func(r *http.Request) ([]PresenceSeen, error) {
		return s.Presences(r.Context(), r.URL.Query().Get("number"))
	}))
}

// postTo is post for a route whose path names, as {id}, what it is about.
func postTo[R, A any](s *Server, status int, fn func(ctx context.Context, id string, r R) (A, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		post(s, status, func(ctx context.Context, body R) (A, error) { return fn(ctx, r.PathValue("id"), body) }).ServeHTTP(w, r)
	})
}
