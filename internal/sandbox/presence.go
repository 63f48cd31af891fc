package sandbox

import "time"

// handlePresence takes a client's presence: it tells the account's push name, and asks for others' presence.
func (c *conn) handlePresence(n *node) {
	c.s.update(func(t *batch) {
		u := c.device.user
		switch str(n, "type") {
		case "subscribe":
			if other := c.s.find(jid(n, "to")); other != nil {
				c.send(node{Tag: "presence", Attrs: attrs{"from": n.Attrs["to"], "type": "unavailable", "last": unix(time.Now())}})
			}
		default:
			if name := str(n, "name"); name != "" && name != u.name {
				u.name = name
				t.put(tableUsers, u.number, u.encode)
			}
		}
	})
}

// handleChatState takes a client's "typing"; nobody watches.
func (c *conn) handleChatState(*node) {}
