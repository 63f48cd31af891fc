package sandbox

import (
	"fmt"

	"go.mau.fi/whatsmeow/types"
)

// handleIQ answers info queries. Every query gets an answer, an unknown one an error: a client that gets none waits
// for 75 seconds (whatsmeow request.go, defaultRequestTimeout).
func (c *conn) handleIQ(n *node) {
	if kind := str(n, "type"); kind == "result" || kind == "error" {
		c.handlePairSign(n)
		return
	}
	namespace, child := str(n, "xmlns"), first(n)
	if c.device == nil {
		switch {
		case namespace == "md" && child.Tag == "link_code_companion_reg":
			c.handleLinkCode(n, child)
		case namespace == "w:p":
			c.send(result(n))
		default:
			c.unknownIQ(n)
		}
		return
	}
	switch namespace {
	case "w:p", "urn:xmpp:whatsapp:push", "urn:xmpp:whatsapp:dirty", "tos", "w:stats":
		c.send(result(n))
	case "passive":
		c.handlePassive(n)
	case "encrypt":
		c.handlePreKeys(n)
	case "usync":
		c.handleUsync(n)
	case "md":
		c.handleDeviceIQ(n, child)
	case "w:g2":
		c.handleGroupIQ(n, child)
	case "w:sync:app:state":
		c.handleSync(n, child)
	case "privacy", "blocklist", "status", "disappearing_mode", "w:m", "w:profile:picture", "w:biz":
		c.handleAccountIQ(n, namespace, child)
	default:
		c.unknownIQ(n)
	}
}

// unknownIQ refuses a query that the sandbox does not know, and notes it.
func (c *conn) unknownIQ(n *node) {
	child := first(n)
	c.s.violation(c, ViolationUnknownIQ, fmt.Sprintf("%s %s <%s>", str(n, "type"), str(n, "xmlns"), child.Tag))
	c.send(iqError(n, 501, "feature-not-implemented"))
}

// handleDeviceIQ answers the "md" namespace after login: a client that removes its own device.
func (c *conn) handleDeviceIQ(n *node, child node) {
	if child.Tag != "remove-companion-device" {
		c.unknownIQ(n)
		return
	}
	target := jid(&child, "jid")
	c.s.update(func(t *batch) {
		d := c.device.user.devices[target.Device]
		if c.s.find(target) != c.device.user || d == nil {
			c.send(iqError(n, 404, "item-not-found"))
			return
		}
		c.s.removeDevice(t, d)
		t.then(func() {
			c.send(result(n))
			if d != c.device && d.conn != nil {
				d.conn.removed()
			} else {
				c.closeSoon()
			}
		})
	})
}

// handleAccountIQ answers what clients ask about the account and what the sandbox knows little of.
func (c *conn) handleAccountIQ(n *node, namespace string, child node) {
	get := str(n, "type") == "get"
	switch {
	case namespace == "privacy" && get && child.Tag == "privacy":
		c.send(result(n, privacySettings()))
	case namespace == "privacy", namespace == "disappearing_mode":
		c.send(result(n))
	case namespace == "blocklist":
		c.send(result(n, node{Tag: "list", Attrs: attrs{"dhash": "2:sandbox"}}))
	case namespace == "status" && get && child.Tag == "privacy":
		c.send(result(n, node{Tag: "privacy", Content: []node{{Tag: "list", Attrs: attrs{"type": "contacts", "default": "true"}}}}))
	case namespace == "status" && child.Tag == "status":
		c.handleStatusText(n, child)
	case namespace == "status":
		c.send(result(n))
	case namespace == "w:m":
		c.send(result(n, c.mediaConn()))
	case namespace == "w:biz":
		c.s.update(func(*batch) { c.send(result(n, c.businessProfile(child))) })
	case namespace == "w:profile:picture" && jid(n, "target").Server == types.GroupServer:
		c.handleGroupPicture(n, child)
	case namespace == "w:profile:picture":
		c.handlePicture(n, child)
	default:
		c.send(iqError(n, 404, "item-not-found"))
	}
}

// privacySettings are the settings of an account that never changed them.
func privacySettings() node {
	categories := []string{"readreceipts", "last", "online", "profile", "status", "groupadd", "calladd", "messages", "defense", "stickers"}
	var children []node
	for _, name := range categories {
		value := "all"
		if name == "defense" {
			value = "off"
		}
		children = append(children, node{Tag: "category", Attrs: attrs{"name": name, "value": value}})
	}
	return node{Tag: "privacy", Content: children}
}

// mediaConn names the hosts of the media servers. Transport brings every host to the sandbox.
func (c *conn) mediaConn() node {
	return node{Tag: "media_conn", Attrs: attrs{
		"auth": c.s.mediaAuth(c.device), "ttl": 3600, "auth_ttl": 3600, "max_buckets": 12, "is_new": "1",
	}, Content: []node{{Tag: "host", Attrs: attrs{"hostname": "mmg.whatsapp.net", "type": "primary"}}}}
}

// handleUsync answers questions about users, each with what was asked and no more (whatsmeow user.go, usync).
func (c *conn) handleUsync(n *node) {
	sync := first(n)
	query, list := sync.GetChildByTag("query"), sync.GetChildByTag("list")
	c.s.update(func(t *batch) {
		var users []node
		for _, wanted := range list.GetChildrenByTag("user") {
			users = append(users, c.usyncUser(wanted, query))
		}
		answer := result(n, node{Tag: "usync", Attrs: attrs{
			"sid": str(&sync, "sid"), "mode": str(&sync, "mode"), "context": str(&sync, "context"), "index": "0", "last": "true",
		}, Content: []node{{Tag: "list", Content: users}}})
		t.then(func() { c.send(answer) })
	})
}

func (c *conn) usyncUser(wanted, query node) node {
	asked := jid(&wanted, "jid")
	contact := content(wanted.GetChildByTag("contact"))
	if contact != nil {
		asked = types.NewJID(normalizeNumber(string(contact)), types.DefaultUserServer)
	}
	u := c.s.find(asked)
	answer := node{Tag: "user", Attrs: attrs{"jid": asked}}
	var children []node
	for _, q := range query.GetChildren() {
		switch q.Tag {
		case "contact":
			in := "out"
			if u != nil {
				in = "in"
			}
			child := node{Tag: "contact", Attrs: attrs{"type": in}}
			if contact != nil {
				child.Content = contact
			}
			children = append(children, child)
		case "devices":
			children = append(children, c.deviceList(u))
		case "lid":
			if u != nil {
				children = append(children, node{Tag: "lid", Attrs: attrs{"val": u.lidJID(0)}})
			}
		case "status", "picture", "business":
			children = append(children, c.s.profileParts(u, q.Tag)...)
		}
	}
	answer.Content = children
	return answer
}

// deviceList tells a client a user's devices, and remembers that it knows them.
func (c *conn) deviceList(u *user) node {
	var list []node
	if u != nil {
		u.watchers[c.device.user.number] = true
		list = append(list, node{Tag: "device", Attrs: attrs{"id": "0"}})
		for _, d := range u.companions() {
			list = append(list, node{Tag: "device", Attrs: attrs{"id": int(d.id), "key-index": d.keyIndex}})
		}
	}
	return node{Tag: "devices", Content: []node{{Tag: "device-list", Content: list}}}
}
