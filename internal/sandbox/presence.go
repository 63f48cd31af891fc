package sandbox

import (
	"context"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// maxPresences is how many presences and chat states of an account's clients are remembered; with the process, they
// are forgotten.
const maxPresences = 1000

// handlePresence takes a client's presence: it tells the account's push name and whether it is there, or subscribes to
// somebody's presence.
func (c *conn) handlePresence(n *node) {
	c.s.update(func(t *batch) {
		u := c.device.user
		switch kind := str(n, "type"); kind {
		case "subscribe":
			c.subscribe(jid(n, "to"))
			return
		case "unsubscribe":
			if other := c.s.find(jid(n, "to")); other != nil {
				delete(c.subscribed, other.number)
			}
			return
		case "", "available", "unavailable":
			state := "available"
			if kind == "unavailable" {
				state = kind
			}
			u.showed(PresenceSeen{State: state, At: time.Now().UTC()})
			c.s.showPresence(t, u, state, nil)
		}
		if name := str(n, "name"); name != "" && name != u.name {
			u.name = name
			t.put(tableUsers, u.number, u.encode)
		}
	})
}

// subscribe tells a connection somebody's presence, now and whenever it changes; in the form in which it asked.
func (c *conn) subscribe(to types.JID) {
	other := c.s.find(to)
	if other == nil {
		return
	}
	if c.subscribed == nil {
		c.subscribed = map[string]types.JID{}
	}
	c.subscribed[other.number] = to
	c.send(other.presenceNode(to))
}

// presenceNode says whether somebody is there, or since when not; nobody knows that of somebody who never was
// (whatsmeow presence.go, handlePresence).
func (u *user) presenceNode(as types.JID) node {
	n := node{Tag: "presence", Attrs: attrs{"from": as}}
	if u.available {
		return n
	}
	n.Attrs["type"] = "unavailable"
	if !u.lastSeen.IsZero() {
		n.Attrs["last"] = unix(u.lastSeen)
	}
	return n
}

// showPresence shows that somebody is there or not to the connections that subscribed; of the account to, if it is
// not nil. It returns how many.
func (s *Server) showPresence(t *batch, u *user, state string, to *user) int {
	u.available = state == "available"
	u.lastSeen = now()
	t.put(tableUsers, u.number, u.encode)
	count := 0
	for c := range s.conns {
		if as, ok := c.subscribed[u.number]; ok && c.active && (to == nil || c.device.user == to) {
			c.send(u.presenceNode(as))
			count++
		}
	}
	return count
}

// handleChatState takes a client's "typing", and shows it to those in the chat.
func (c *conn) handleChatState(n *node) {
	to, child := jid(n, "to"), first(n)
	state := child.Tag
	if state == "composing" && str(&child, "media") == "audio" {
		state = "recording"
	}
	c.s.update(func(*batch) {
		own := c.device.user
		seen := PresenceSeen{To: to.String(), State: state, At: time.Now().UTC()}
		if other := c.s.find(to); other != nil {
			seen.To = other.number
		}
		own.showed(seen)
		c.s.showChatState(own, to, formOf(to.Server == types.HiddenUserServer), state)
	})
}

// showChatState shows what somebody does in a chat to the connections of those in it. like is the form in which they
// see him, outside of groups.
func (s *Server) showChatState(u *user, chat types.JID, like types.JID, state string) int {
	child := node{Tag: state}
	if state == "recording" {
		child = node{Tag: "composing", Attrs: attrs{"media": "audio"}}
	}
	n := node{Tag: "chatstate", Attrs: attrs{"from": u.as(like, 0)}, Content: []node{child}}
	var people []*user
	if g := s.world.groups[chat.User]; g != nil && chat.Server == types.GroupServer {
		n.Attrs = attrs{"from": chat, "addressing_mode": g.mode()}
		s.by(n.Attrs, "participant", u.number, g.form())
		people = s.membersOf(g)
	} else if other := s.find(chat); other != nil {
		people = []*user{other}
	}
	count := 0
	for _, other := range people {
		for _, d := range other.companions() {
			if other != u && d.conn != nil && d.conn.active {
				d.conn.send(n)
				count++
			}
		}
	}
	return count
}

// PresenceSeen is what an account's client showed.
type PresenceSeen struct {
	To    string    `json:"to,omitempty"` // number or JID of the group; empty: everybody
	State string    `json:"state"`        // available, unavailable, composing, recording, paused
	At    time.Time `json:"at"`
}

func (u *user) showed(p PresenceSeen) {
	u.shown = append(u.shown, p)
	if len(u.shown) > maxPresences {
		u.shown = u.shown[1:]
	}
}

// Presences lists what the clients of a number showed since the process began, oldest first, at most the last 1,000.
// Errors: Invalid, NotFound.
func (s *Server) Presences(_ context.Context, number string) ([]PresenceSeen, error) {
	return about(s, number, func(u *user) []PresenceSeen { return append([]PresenceSeen{}, u.shown...) })
}

// PresenceRequest lets a phone show what its owner does.
type PresenceRequest struct {
	From string `json:"from"` // number; made if it is new
	// To is the number of an account, or the JID of a group. "available" and "unavailable" are for everybody who
	// subscribed, if it is empty.
	To string `json:"to,omitempty"`
	// State is available, unavailable, composing, recording or paused.
	State string `json:"state"`
}

// PresenceResult says who got it.
type PresenceResult struct {
	Devices int `json:"devices"` // companions that were online and, for available and unavailable, subscribed
}

// SendPresence shows what a phone's owner does to companions that are online; like on the original, nothing is kept
// for those that are not, and "available" and "unavailable" are shown to those alone that subscribed on their present
// connection. Errors: Invalid, NotFound, Conflict.
func (s *Server) SendPresence(ctx context.Context, r PresenceRequest) (PresenceResult, error) {
	r.From = normalizeNumber(r.From)
	if err := checkNumber("from", r.From); err != nil {
		return PresenceResult{}, err
	}
	if !slices.Contains([]string{"available", "unavailable", "composing", "recording", "paused"}, r.State) {
		return PresenceResult{}, errorf(Invalid, "\"state\" is %q: it is one of available, unavailable, composing, recording, paused", r.State)
	}
	presence := r.State == "available" || r.State == "unavailable"
	var result PresenceResult
	var err error
	waitErr := s.updateWait(ctx, func(t *batch) {
		if room, ok := parseRoom(r.To); ok && !presence {
			var g *group
			if g, err = s.knownGroup(r.To); err != nil {
				return
			}
			from := s.ensureUser(t, r.From)
			if !g.has(from) {
				err = public(notMember(from))
				return
			}
			result.Devices = s.showChatState(from, room, g.form(), r.State)
			return
		}
		var to *user
		if r.To != "" || !presence {
			if to, err = s.known(r.To); err != nil {
				return
			}
		}
		from := s.ensureUser(t, r.From)
		if presence {
			result.Devices = s.showPresence(t, from, r.State, to)
		} else {
			result.Devices = s.showChatState(from, to.pn(0), types.JID{}, r.State)
		}
	})
	if err != nil {
		return result, err
	}
	return result, waitErr
}
