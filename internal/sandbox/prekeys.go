package sandbox

import (
	"encoding/binary"
	"fmt"

	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// lowPreKeys is how many one-time keys a companion has left when the server reminds it to upload more. The client does
// so below 5 (whatsmeow prekeys.go, MinPreKeyCount).
const lowPreKeys = 5

func preKeyRow(owner string, id uint32) string { return fmt.Sprintf("%s/%06x", owner, id) }

// takeOne takes a companion's oldest one-time key; it is never given out again. nil: none is left.
func (s *Server) takeOne(t *batch, d *device) *publicKey {
	if len(d.preKeys) == 0 {
		return nil
	}
	one := d.preKeys[0]
	d.preKeys = d.preKeys[1:]
	d.spent[one.ID] = true
	t.put(tablePreKeys, preKeyRow(d.address(), one.ID), func() []byte { return []byte{} })
	if len(d.preKeys) == lowPreKeys-1 {
		s.enqueue(t, d, "", node{Tag: "notification", Attrs: attrs{
			"from": types.ServerJID, "type": "encrypt", "id": randomID(8), "t": unix(now()),
		}, Content: []node{{Tag: "count", Attrs: attrs{"value": len(d.preKeys)}}}})
	}
	return &one
}

func (s *Server) takeBundle(t *batch, d *device) *prekey.Bundle {
	return bundle(d.registrationID, uint32(d.id), d.identity, d.signedPreKey, s.takeOne(t, d))
}

// takePhoneOne makes a one-time key of a phone: phones never run out.
func (s *Server) takePhoneOne(t *batch, u *user) *publicKey {
	u.nextPreKey = u.nextPreKey%0xfffffe + 1
	key := keys.NewPreKey(u.nextPreKey)
	u.preKeys[key.KeyID] = key
	t.put(tableUsers, u.number, u.encode)
	t.put(tablePhonePreKeys, preKeyRow(u.number, key.KeyID), func() []byte { return key.Priv[:] })
	return &publicKey{ID: key.KeyID, Key: *key.Pub}
}

// handlePreKeys answers the three queries of the "encrypt" namespace: how many one-time keys are left, an upload of
// new ones, other devices' keys (whatsmeow prekeys.go).
func (c *conn) handlePreKeys(n *node) {
	child := first(n)
	switch {
	case str(n, "type") == "set":
		c.uploadPreKeys(n)
	case child.Tag == "count":
		c.s.update(func(t *batch) {
			count := len(c.device.preKeys)
			t.then(func() { c.send(result(n, node{Tag: "count", Attrs: attrs{"value": count}})) })
		})
	case child.Tag == "key":
		c.s.update(func(t *batch) {
			var list []node
			for _, wanted := range child.GetChildrenByTag("user") {
				list = append(list, c.preKeysOf(t, jid(&wanted, "jid")))
			}
			t.then(func() { c.send(result(n, node{Tag: "list", Content: list})) })
		})
	default:
		c.unknownIQ(n)
	}
}

// preKeysOf returns the keys with which a client can open a session with a device. A client asks for its own device's
// on every message (whatsmeow send.go, encryptMessageForDevices): no one-time key is spent on that.
func (c *conn) preKeysOf(t *batch, of types.JID) node {
	answer := node{Tag: "user", Attrs: attrs{"jid": of}}
	u := c.s.find(of)
	switch {
	case u == nil:
	case of.Device == 0:
		signed := publicKey{ID: u.signedPreKey.KeyID, Key: *u.signedPreKey.Pub, Signature: u.signedPreKey.Signature[:]}
		answer.Content = keyNodes(u.registrationID, *u.identity.Pub, signed, c.s.takePhoneOne(t, u))
	case u.devices[of.Device] != nil:
		d := u.devices[of.Device]
		var one *publicKey
		if d != c.device {
			one = c.s.takeOne(t, d)
		}
		answer.Content = keyNodes(d.registrationID, d.identity, d.signedPreKey, one)
	}
	if answer.Content == nil {
		answer.Content = []node{{Tag: "error", Attrs: attrs{"code": 404, "text": "item-not-found"}}}
	}
	return answer
}

// keyNodes is the wire form of a device's keys (whatsmeow prekeys.go, nodeToPreKeyBundle).
func keyNodes(registrationID uint32, identity [32]byte, signed publicKey, one *publicKey) []node {
	out := []node{
		{Tag: "registration", Content: binary.BigEndian.AppendUint32(nil, registrationID)},
		{Tag: "type", Content: []byte{keyType}},
		{Tag: "identity", Content: identity[:]},
	}
	if one != nil {
		out = append(out, one.node("key"))
	}
	return append(out, signed.node("skey"))
}

func (k publicKey) node(tag string) node {
	children := []node{{Tag: "id", Content: bytes24(k.ID)}, {Tag: "value", Content: k.Key[:]}}
	if tag == "skey" {
		children = append(children, node{Tag: "signature", Content: k.Signature})
	}
	return node{Tag: tag, Content: children}
}

// parseKey reads a prekey; ok is false if it is not one.
func parseKey(n node) (k publicKey, ok bool) {
	id, value := content(n.GetChildByTag("id")), content(n.GetChildByTag("value"))
	if len(id) != 3 || len(value) != 32 {
		return k, false
	}
	k = publicKey{ID: uint24(id), Key: [32]byte(value)}
	if n.Tag == "skey" {
		k.Signature = content(n.GetChildByTag("signature"))
		ok = len(k.Signature) == 64
		return k, ok
	}
	return k, true
}

// uploadPreKeys takes a companion's new one-time keys and its signed prekey. A key that was handed out before is not
// taken again: a client that lost its place may offer it twice.
func (c *conn) uploadPreKeys(n *node) {
	signed, ok := parseKey(n.GetChildByTag("skey"))
	identity := content(n.GetChildByTag("identity"))
	c.s.update(func(t *batch) {
		d := c.device
		if !ok || len(identity) != 32 || [32]byte(identity) != d.identity || !signed.signedBy(d.identity) {
			c.s.recordViolation(t, ViolationBadSignature, d.user.pn(d.id).String(), "prekey upload with a wrong identity or signature")
			c.send(iqError(n, 406, "not-acceptable"))
			return
		}
		have := map[uint32]bool{}
		for _, k := range d.preKeys {
			have[k.ID] = true
		}
		list := n.GetChildByTag("list")
		for _, child := range list.GetChildren() {
			k, ok := parseKey(child)
			if !ok || have[k.ID] || d.spent[k.ID] {
				continue
			}
			have[k.ID] = true
			d.preKeys = append(d.preKeys, k)
			t.put(tablePreKeys, preKeyRow(d.address(), k.ID), func() []byte { return k.Key[:] })
		}
		d.signedPreKey = signed
		t.put(tableDevices, d.address(), d.encode)
		t.then(func() { c.send(result(n)) })
	})
}
