package sandbox

import (
	"context"
	"slices"
	"time"
)

// handlePresence takes a client's presence: it tells the account's push name, or asks for somebody's presence.
func (c *conn) handlePresence(n *node) {
	c.s.update(func(t *batch) {
		u := c.device.user
		if str(n, "type") == "subscribe" {
			if other := c.s.find(jid(n, "to")); other != nil {
				c.send(node{Tag: "presence", Attrs: attrs{"from": n.Attrs["to"], "type": "unavailable", "last": unix(time.Now())}})
			}
			return
		}
		if name := str(n, "name"); name != "" && name != u.name {
			u.name = name
			t.put(tableUsers, u.number, u.encode)
		}
	})
}

// handleChatState takes a client's "typing"; nobody watches.
func (c *conn) handleChatState(*node) {}

// PresenceRequest lets a phone show what its owner does.
type PresenceRequest struct {
	From string `json:"from"` // number; made if it is new
	To   string `json:"to"`   // number of an account
	// State is available, unavailable, composing, recording or paused.
	State string `json:"state"`
}

// PresenceResult says who got it.
type PresenceResult struct {
	Devices int `json:"devices"` // companions that were online
}

// SendPresence shows what a phone's owner does to the companions of an account that are online; like on the original,
// nothing is kept for those that are not. Errors: Invalid, NotFound.
func (s *Server) SendPresence(ctx context.Context, r PresenceRequest) (PresenceResult, error) {
	r.From = normalizeNumber(r.From)
	if err := checkNumber("from", r.From); err != nil {
		return PresenceResult{}, err
	}
	if !slices.Contains([]string{"available", "unavailable", "composing", "recording", "paused"}, r.State) {
		return PresenceResult{}, errorf(Invalid, "\"state\" is %q: it is one of available, unavailable, composing, recording, paused", r.State)
	}
	var result PresenceResult
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		var to *user
		if to, err = s.known(r.To); err != nil {
			return
		}
		n := presence(s.ensureUser(t, r.From), r.State)
		for _, d := range to.companions() {
			if d.conn != nil && d.conn.active {
				d.conn.send(n)
				result.Devices++
			}
		}
	})
	if err != nil {
		return result, err
	}
	return result, waitErr
}

// presence is the wire form (whatsmeow presence.go, handlePresence and handleChatState).
func presence(from *user, state string) node {
	switch state {
	case "available":
		return node{Tag: "presence", Attrs: attrs{"from": from.pn(0)}}
	case "unavailable":
		return node{Tag: "presence", Attrs: attrs{"from": from.pn(0), "type": "unavailable", "last": unix(time.Now())}}
	}
	child := node{Tag: state}
	if state == "recording" {
		child = node{Tag: "composing", Attrs: attrs{"media": "audio"}}
	}
	return node{Tag: "chatstate", Attrs: attrs{"from": from.pn(0)}, Content: []node{child}}
}
