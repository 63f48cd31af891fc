package sandbox

import (
	"strconv"
	"time"

	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/types"
)

// login starts what the client's opening payload asks for: pairing or a session.
func (c *conn) login(payload *waWa6.ClientPayload) {
	if payload.GetDevicePairingData() != nil {
		c.startPairing(payload.GetDevicePairingData())
		return
	}
	c.s.update(func(t *batch) {
		if code := c.s.loginFailure(c, payload); code != 0 {
			c.fail(code)
			return
		}
		u := c.s.world.users[strconv.FormatUint(payload.GetUsername(), 10)]
		d := u.devices[uint16(payload.GetDevice())]
		if d.conn != nil {
			d.conn.replaced()
		}
		c.device, d.conn, d.sent = d, c, 0
		c.send(node{Tag: "success", Attrs: attrs{
			"t": unix(time.Now()), "lid": u.lidJID(d.id), "location": "sandbox", "props": "27",
		}})
	})
}

// loginFailure returns the <failure> reason that a login deserves, or 0 (whatsmeow types/events, ConnectFailureReason).
func (s *Server) loginFailure(c *conn, payload *waWa6.ClientPayload) int {
	const loggedOut = 401
	name := strconv.FormatUint(payload.GetUsername(), 10)
	u := s.world.users[name]
	if u == nil {
		return loggedOut
	}
	if code := s.faults.refuse(u.number); code != 0 {
		return code
	}
	d := u.devices[uint16(payload.GetDevice())]
	if d == nil {
		return loggedOut
	}
	if d.noiseKey != c.noise.clientKey {
		s.recordViolation(s.current, ViolationBadLogin, u.pn(d.id).String(), "login with a Noise key that is not the one of the pairing")
		return loggedOut
	}
	return 0
}

// fail ends a login, with s.mu held. The reasons are those of whatsmeow's types/events, ConnectFailureReason.
func (c *conn) fail(code int) {
	a := attrs{"reason": code, "location": "sandbox"}
	if code == 402 {
		a["code"], a["expire"] = 101, 3600 // a temporary ban names its cause and its seconds
	}
	c.send(node{Tag: "failure", Attrs: a})
	c.closeSoon()
}

// replaced tells a client that another connection took over its session. Called with s.mu held.
func (c *conn) replaced() {
	c.streamError(attrs{}, node{Tag: "conflict", Attrs: attrs{"type": "replaced"}})
}

// removed tells a client that its device was unlinked. Called with s.mu held.
func (c *conn) removed() {
	c.streamError(attrs{"code": "401"}, node{Tag: "conflict", Attrs: attrs{"type": "device_removed"}})
}

// streamError says why the server ends the connection, and ends it. Called with s.mu held.
func (c *conn) streamError(a attrs, children ...node) {
	n := node{Tag: "stream:error", Attrs: a}
	if len(children) > 0 {
		n.Content = children
	}
	c.send(n)
	c.closeSoon()
}

// handlePassive answers <passive> and <active>: after the second the client wants what waited for it.
func (c *conn) handlePassive(n *node) {
	kind := first(n)
	c.s.update(func(t *batch) {
		c.send(result(n))
		if kind.Tag == "active" {
			c.s.welcome(t, c.device)
			c.s.activate(c)
		}
	})
}

// result answers an info query.
func result(to *node, children ...node) node {
	from := jid(to, "to")
	if from.IsEmpty() {
		from = types.ServerJID
	}
	n := node{Tag: "iq", Attrs: attrs{"type": "result", "id": str(to, "id"), "from": from}}
	if len(children) > 0 {
		n.Content = children
	}
	return n
}

// iqError refuses an info query.
func iqError(to *node, code int, text string) node {
	n := result(to, node{Tag: "error", Attrs: attrs{"code": code, "text": text}})
	n.Attrs["type"] = "error"
	return n
}
