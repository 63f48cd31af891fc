package whatsapp

import (
	"context"
	"fmt"
	"runtime/debug"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
)

// surviving makes a handler survive its own panics. What strangers send reaches parsers
// that panic (libsignal reads the first byte of keys that have none: ecc/Curve.go,
// DecodePoint), and nothing in whatsmeow recovers. The process would end, with all
// instances, and again after each start, since WhatsApp sends again what was not
// confirmed.
func (l *line) surviving(handle stanzaHandler) stanzaHandler {
	return func(ctx context.Context, n *waBinary.Node) {
		defer func() {
			if p := recover(); p != nil {
				l.stumbled(ctx, n, p)
			}
		}()
		handle(ctx, n)
	}
}

// stumbled is called when handling a stanza panicked. A message is told as one that
// cannot be read, and then refused, so that it does not come again; of what is not for
// strangers to send, a new connection may be the remedy.
func (l *line) stumbled(ctx context.Context, n *waBinary.Node, p any) {
	if n.Tag != "message" {
		l.panicked("handling a stanza <"+n.Tag+">", p)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			l.panicked("telling of a malformed message", p)
		}
	}()
	l.log.Error("a malformed message: it is told as one that cannot be read", "id", n.Attrs["id"], "from", n.Attrs["from"],
		"panic", p, "stack", string(debug.Stack()))
	l.endUnit() // what was read of it
	if l.tellUndecryptable(n, failedPart(n, fmt.Errorf("handling it panicked: %v", p))) {
		l.client.DangerousInternals().SendAck(ctx, n, whatsmeow.NackParsingError) //nolint:staticcheck // there is no other way to it
	}
}
