package sandbox

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// tableCalls keeps calls, by id.
const tableCalls = "calls"

// The states of a call. A call that was rejected, terminated or answered elsewhere is over for the clients.
const (
	callRinging    = "ringing"
	callAccepted   = "accepted"
	callRejected   = "rejected"
	callTerminated = "terminated"
)

// call is a call between two phones, of which there are stanzas but no sound.
type call struct {
	ID         string    `json:"id"`
	From       string    `json:"from"` // numbers
	To         string    `json:"to"`
	Video      bool      `json:"video,omitempty"`
	Group      string    `json:"group,omitempty"` // id of the group that is called
	LID        bool      `json:"lid,omitempty"`   // the caller is shown by LID
	At         time.Time `json:"at"`
	State      string    `json:"state"`
	RejectedBy string    `json:"rejectedBy,omitempty"` // JID of the client that rejected it
}

func (s *Server) saveCall(t *batch, k *call) { t.put(tableCalls, k.ID, encodeJSON(k)) }

func (s *Server) readCall(id string, value []byte) error {
	var k call
	if err := json.Unmarshal(value, &k); err != nil {
		return err
	}
	s.world.calls[id] = &k
	return nil
}

// callNode is what a client is told about a call (whatsmeow call.go, handleCallEvent). from is the phone or client
// that did something.
func (s *Server) callNode(k *call, from types.JID, child node) node {
	caller := s.world.users[k.From]
	like := formOf(k.LID)
	child.Attrs["call-id"], child.Attrs["call-creator"] = k.ID, caller.as(like, 0)
	suffix, other := caller.alternative(like)
	child.Attrs["caller_"+suffix] = other
	if k.Group != "" {
		child.Attrs["group-jid"] = types.NewJID(k.Group, types.GroupServer)
	}
	return node{Tag: "call", Attrs: attrs{
		"from": from, "id": randomID(16), "t": unix(now()), "platform": "android", "version": "2.24.1.0", "notify": caller.name, "e": "0",
	}, Content: []node{child}}
}

// ring tells the clients of the one who is called what happens to the call.
func (s *Server) ring(t *batch, k *call, from types.JID, child node, but *device) {
	n := s.callNode(k, from, child)
	for _, d := range s.world.users[k.To].companions() {
		if d != but {
			s.enqueue(t, d, k.From, n)
		}
	}
}

func (k *call) offer() node {
	if k.Group != "" {
		n := node{Tag: "offer_notice", Attrs: attrs{"type": "group", "media": "audio"}}
		if k.Video {
			n.Attrs["media"] = "video"
		}
		return n
	}
	children := []node{{Tag: "audio", Attrs: attrs{"enc": "opus", "rate": "8000"}}, {Tag: "audio", Attrs: attrs{"enc": "opus", "rate": "16000"}}}
	if k.Video {
		children = append(children, node{Tag: "video", Attrs: attrs{"enc": "vp8", "dec": "vp8", "orientation": "0"}})
	}
	return node{Tag: "offer", Attrs: attrs{}, Content: children}
}

// handleCall takes what a client says about a call: that it rejects it, as far as clients can.
func (c *conn) handleCall(n *node) {
	c.s.update(func(t *batch) {
		child := first(n)
		k := c.s.world.calls[str(&child, "call-id")]
		own := c.device.user
		switch {
		case child.Tag != "reject":
			c.s.recordViolation(t, ViolationUnknownStanza, own.pn(c.device.id).String(), "<call> with <"+child.Tag+">")
		case k == nil || k.To != own.number || c.s.find(jid(n, "to")) != c.s.world.users[k.From]:
			c.s.recordViolation(t, ViolationMalformed, own.pn(c.device.id).String(), "rejects a call that nobody makes: "+str(&child, "call-id"))
		case k.State == callRinging:
			k.State, k.RejectedBy = callRejected, own.pn(c.device.id).String()
			c.s.saveCall(t, k)
			c.s.ring(t, k, own.as(formOf(k.LID), c.device.id), node{Tag: "reject", Attrs: attrs{"count": "0"}}, c.device)
		}
		answer := node{Tag: "ack", Attrs: attrs{"class": "call", "id": str(n, "id"), "from": n.Attrs["to"], "type": child.Tag}}
		t.then(func() { c.send(answer) })
	})
}

// CallRequest lets a phone call an account.
type CallRequest struct {
	From  string `json:"from"`            // number; made if it is new
	To    string `json:"to"`              // number of an account
	Video bool   `json:"video,omitempty"` // with a picture
	Group string `json:"group,omitempty"` // JID of the group whose members are called
	ID    string `json:"id,omitempty"`    // of the call; one is made if empty
	// Addressing is the form in which the caller is shown: "lid" (the default) or "pn".
	Addressing string `json:"addressing,omitempty"`
}

// CallView is a call.
type CallView struct {
	ID         string    `json:"id"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	Video      bool      `json:"video"`
	Group      string    `json:"group,omitempty"`
	State      string    `json:"state"`                // ringing, accepted, rejected or terminated
	RejectedBy string    `json:"rejectedBy,omitempty"` // JID of the client that rejected it
	At         time.Time `json:"at"`
}

func (k *call) view() CallView {
	v := CallView{ID: k.ID, From: k.From, To: k.To, Video: k.Video, State: k.State, RejectedBy: k.RejectedBy, At: k.At.UTC()}
	if k.Group != "" {
		v.Group = types.NewJID(k.Group, types.GroupServer).String()
	}
	return v
}

// Call lets a phone call an account, whose clients ring. Errors: Invalid, NotFound, Conflict.
func (s *Server) Call(ctx context.Context, r CallRequest) (CallView, error) {
	r.From = normalizeNumber(r.From)
	if err := checkNumber("from", r.From); err != nil {
		return CallView{}, err
	}
	if r.Addressing != "" && r.Addressing != "pn" && r.Addressing != "lid" {
		return CallView{}, errorf(Invalid, "\"addressing\" is %q: it is \"pn\" or \"lid\"", r.Addressing)
	}
	var view CallView
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var to *user
		if to, err = s.known(r.To); err != nil {
			return
		}
		k := &call{ID: r.ID, From: r.From, To: to.number, Video: r.Video, LID: r.Addressing != "pn", At: now(), State: callRinging}
		if k.ID == "" {
			k.ID = randomID(16)
		}
		if r.Group != "" {
			var g *group
			if g, err = s.knownGroup(r.Group); err != nil {
				return
			}
			k.Group = g.ID
		}
		switch {
		case to.number == r.From:
			err = errorf(Invalid, "A phone cannot call itself")
		case s.world.calls[k.ID] != nil:
			err = errorf(Conflict, "There is a call %s already", k.ID)
		}
		if err != nil {
			return
		}
		caller := s.ensureUser(t, r.From)
		s.world.calls[k.ID] = k
		s.saveCall(t, k)
		s.ring(t, k, caller.as(formOf(k.LID), 0), k.offer(), nil)
		view = k.view()
	})
	if err != nil {
		return CallView{}, err
	}
	return view, waitErr
}

// CallActionRequest lets one of the two phones do something in a call.
type CallActionRequest struct {
	ID string `json:"-"`
	// Action is "ring" (the caller's phone tries on), "accept", "reject" or "terminate".
	Action string `json:"action"`
	// Number is the phone that does it: the caller's (the default) or that of the account that is called.
	Number string `json:"number,omitempty"`
	// Reason why it ends, for example "timeout"; by the account's phone it is "accepted_elsewhere" or
	// "rejected_elsewhere", as on the original.
	Reason string `json:"reason,omitempty"`
}

// CallAction lets one of the two phones do something in a call. What the account's own phone does ends the ringing of
// its clients. Errors: Invalid, NotFound, Conflict.
func (s *Server) CallAction(ctx context.Context, r CallActionRequest) (CallView, error) {
	next, ok := map[string]string{"ring": callRinging, "accept": callAccepted, "reject": callRejected, "terminate": callTerminated}[r.Action]
	if !ok {
		return CallView{}, errorf(Invalid, "\"action\" is %q: it is one of ring, accept, reject, terminate", r.Action)
	}
	var view CallView
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		k := s.world.calls[r.ID]
		if k == nil {
			err = errorf(NotFound, "There is no call %s: GET /sandbox/calls lists them", r.ID)
			return
		}
		by := s.world.users[k.From]
		if r.Number != "" {
			if by, err = s.known(r.Number); err != nil {
				return
			}
		}
		switch {
		case by.number != k.From && by.number != k.To:
			err = errorf(Invalid, "%s is not in this call", by.number)
			return
		case k.State == callTerminated || k.State == callRejected:
			err = errorf(Conflict, "This call is over: it was %s", k.State)
			return
		}
		k.State = next
		s.saveCall(t, k)
		s.ring(t, k, by.as(formOf(k.LID), 0), k.action(r, by), nil)
		view = k.view()
	})
	if err != nil {
		return CallView{}, err
	}
	return view, waitErr
}

// action is the stanza of what a phone does in a call.
func (k *call) action(r CallActionRequest, by *user) node {
	own := by.number == k.To
	switch {
	case own && r.Action == "accept":
		return node{Tag: "terminate", Attrs: attrs{"reason": "accepted_elsewhere"}}
	case own && r.Action == "reject":
		return node{Tag: "terminate", Attrs: attrs{"reason": "rejected_elsewhere"}}
	case r.Action == "terminate":
		reason := r.Reason
		if reason == "" {
			reason = "timeout"
		}
		return node{Tag: "terminate", Attrs: attrs{"reason": reason}}
	case r.Action == "ring":
		return node{Tag: "preaccept", Attrs: attrs{}}
	}
	return node{Tag: r.Action, Attrs: attrs{}}
}

// Calls lists the calls, oldest first.
func (s *Server) Calls(context.Context) ([]CallView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []CallView{}
	for _, id := range sortedKeys(s.world.calls) {
		out = append(out, s.world.calls[id].view())
	}
	slices.SortStableFunc(out, func(a, b CallView) int { return a.At.Compare(b.At) })
	return out, nil
}
