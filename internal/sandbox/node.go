package sandbox

import (
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// node is one stanza or a part of one.
type node = waBinary.Node

type attrs = waBinary.Attrs

// str returns a string attribute, or "". Attributes that hold a JID are not strings.
func str(n *node, key string) string {
	value, _ := n.Attrs[key].(string)
	return value
}

// jid returns a JID attribute, or an empty JID.
func jid(n *node, key string) types.JID {
	value, _ := n.Attrs[key].(types.JID)
	return value
}

// number returns an attribute that holds a whole number, or 0.
func number(n *node, key string) int {
	value, _ := strconv.Atoi(str(n, key))
	return value
}

// content returns the bytes inside a node, or nil.
func content(n node) []byte {
	switch value := n.Content.(type) {
	case []byte:
		return value
	case string:
		return []byte(value)
	}
	return nil
}

// first returns a node's first child, or an empty node.
func first(n *node) node {
	if children := n.GetChildren(); len(children) > 0 {
		return children[0]
	}
	return node{}
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
