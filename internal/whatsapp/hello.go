package whatsapp

import (
	"context"

	"go.mau.fi/libsignal/protocol"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/store"

	"pombo/internal/whatsapp/x3dh"
)

// answerHello returns the session that the first message of a contact begins, and
// which of our prekeys that uses up; nil: none. libsignal finds the session where it
// looks for one, and has nothing left to make (session/Session.go, processV3); package
// x3dh says why. What is not as it should be is left to libsignal: then there is no
// session, and no error.
func (g *guard) answerHello(ctx context.Context) (session []byte, used *uint32, err error) {
	m := helloOf(ctx)
	ours := g.l.client.Store
	if m == nil || m.MessageVersion() != protocol.CurrentVersion || m.SignedPreKeyID() != ours.SignedPreKey.KeyID {
		return nil, nil, nil
	}
	keys := x3dh.Keys{Registration: ours.RegistrationID, Identity: ours.IdentityKey, Signed: &ours.SignedPreKey.KeyPair}
	if id := m.PreKeyID(); !id.IsEmpty {
		one, err := g.GetPreKey(ctx, id.Value)
		if one == nil || err != nil {
			return nil, nil, err
		}
		keys.OneTime, used = &one.KeyPair, &id.Value
	}
	if session, err = x3dh.Answer(m, keys); err != nil {
		return nil, nil, nil //nolint:nilerr // what becomes of such a message is libsignal's to say
	}
	return session, used, nil
}

// helloOf returns the first message of a contact whose stanza is being handled, nil if
// the stanza has none.
func helloOf(ctx context.Context) *protocol.PreKeySignalMessage {
	n, ok := ctx.Value(stanzaKey{}).(*waBinary.Node)
	if !ok {
		return nil
	}
	for _, part := range n.GetChildrenByTag("enc") {
		content, ok := part.Content.([]byte)
		if !ok || part.AttrGetter().OptionalString("type") != "pkmsg" {
			continue
		}
		s := store.SignalProtobufSerializer
		m, err := protocol.NewPreKeySignalMessageFromBytes(content, s.PreKeySignalMessage, s.SignalMessage)
		if err != nil {
			return nil
		}
		return m
	}
	return nil
}
