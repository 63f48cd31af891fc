package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/libsignal/ecc"
	groups "go.mau.fi/libsignal/groups/state/record"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/state/record"
	signalstore "go.mau.fi/libsignal/state/store"
	"go.mau.fi/libsignal/util/optional"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"
)

// serializer is the Signal wire form that WhatsApp uses.
var serializer = store.SignalProtobufSerializer

// encrypt encrypts for a companion on behalf of a user's phone. The first message of a session takes one of the
// companion's one-time prekeys. It returns the stanza's type ("pkmsg" or "msg") and the ciphertext.
func (s *Server) encrypt(t *batch, u *user, d *device, plain []byte) (kind string, ciphertext []byte, err error) {
	builder, address := s.session(t, u, d)
	if u.sessions[d.address()] == nil {
		if err = builder.ProcessBundle(context.Background(), s.takeBundle(t, d)); err != nil {
			return "", nil, fmt.Errorf("opening a session with %s: %w", d.address(), err)
		}
	}
	sealed, err := session.NewCipher(builder, address).Encrypt(context.Background(), pad(plain))
	if err != nil {
		return "", nil, fmt.Errorf("encrypting for %s: %w", d.address(), err)
	}
	kind = "msg"
	if sealed.Type() == protocol.PREKEY_TYPE {
		kind = "pkmsg"
	}
	return kind, sealed.Serialize(), nil
}

// decrypt decrypts what a companion encrypted for a user's phone. A failure leaves the session as it was: libsignal
// changes a session before it has checked the message.
func (s *Server) decrypt(t *batch, u *user, d *device, kind string, ciphertext []byte) ([]byte, error) {
	builder, address := s.session(t, u, d)
	cipher := session.NewCipher(builder, address)
	before := u.sessions[d.address()]
	var saved []byte
	if before != nil {
		saved = before.Serialize()
	}
	plain, err := decryptWith(cipher, kind, ciphertext)
	if err != nil {
		delete(u.sessions, d.address())
		if before != nil {
			restored, restoreErr := record.NewSessionFromBytes(saved, serializer.Session, serializer.State)
			if restoreErr != nil {
				return nil, fmt.Errorf("restoring a session: %w", restoreErr)
			}
			u.sessions[d.address()] = restored
		}
		return nil, err
	}
	if before != nil {
		if err := s.mend(t, u, d, saved); err != nil {
			return nil, err
		}
	}
	return unpad(plain)
}

// mend takes back what libsignal did to states of a session that it merely tried: it turns their ratchets and keeps
// them turned (session/SessionCipher.go, DecryptWithRecord). A real phone tries copies. saved is the session as it was.
func (s *Server) mend(t *batch, u *user, d *device, saved []byte) error {
	old, err := serializer.Session.Deserialize(saved)
	if err != nil {
		return fmt.Errorf("reading a session: %w", err)
	}
	now := u.sessions[d.address()].Structure()
	same := func(a, b *record.StateStructure) bool {
		return a.SessionVersion == b.SessionVersion && bytes.Equal(a.SenderBaseKey, b.SenderBaseKey)
	}
	if len(old.PreviousStates) == 0 || same(old.SessionState, now.SessionState) {
		return nil // the first one fitted
	}
	var former []*record.StateStructure
	for _, state := range now.PreviousStates {
		for _, o := range append([]*record.StateStructure{old.SessionState}, old.PreviousStates...) {
			if same(o, state) {
				state = o
				break
			}
		}
		known := append([]*record.StateStructure{now.SessionState}, former...)
		if !slices.ContainsFunc(known, func(other *record.StateStructure) bool { return same(other, state) }) {
			former = append(former, state)
		}
	}
	now.PreviousStates = former
	mended, err := record.NewSessionFromStructure(now, serializer.Session, serializer.State)
	if err != nil {
		return fmt.Errorf("mending a session: %w", err)
	}
	return (&phoneKeys{t: t, u: u, remote: d}).StoreSession(context.Background(), nil, mended)
}

func decryptWith(cipher *session.Cipher, kind string, ciphertext []byte) ([]byte, error) {
	switch kind {
	case "pkmsg":
		message, err := protocol.NewPreKeySignalMessageFromBytes(ciphertext, serializer.PreKeySignalMessage, serializer.SignalMessage)
		if err != nil {
			return nil, fmt.Errorf("parsing a prekey message: %w", err)
		}
		return cipher.DecryptMessage(context.Background(), message)
	case "msg":
		message, err := protocol.NewSignalMessageFromBytes(ciphertext, serializer.SignalMessage)
		if err != nil {
			return nil, fmt.Errorf("parsing a message: %w", err)
		}
		return cipher.Decrypt(context.Background(), message)
	default:
		return nil, fmt.Errorf("unknown encryption type %q", kind)
	}
}

func (s *Server) session(t *batch, u *user, d *device) (*session.Builder, *protocol.SignalAddress) {
	address := protocol.NewSignalAddress(d.user.number, uint32(d.id))
	return session.NewBuilderFromSignal(&phoneKeys{t: t, u: u, remote: d}, address, serializer), address
}

// bundle makes libsignal's form of a device's public keys. one may be nil: no one-time key was left.
func bundle(registrationID, deviceID uint32, identityKey [32]byte, signed publicKey, one *publicKey) *prekey.Bundle {
	id, key := optional.NewEmptyUint32(), ecc.ECPublicKeyable(nil)
	if one != nil {
		id, key = optional.NewOptionalUint32(one.ID), ecc.NewDjbECPublicKey(one.Key)
	}
	return prekey.NewBundle(registrationID, deviceID, id, signed.ID, key, ecc.NewDjbECPublicKey(signed.Key),
		[64]byte(signed.Signature), identity.NewKey(ecc.NewDjbECPublicKey(identityKey)))
}

// phoneKeys is the key store that libsignal sees of one phone, for one other device.
type phoneKeys struct {
	t      *batch
	u      *user
	remote *device
}

var _ signalstore.SignalProtocol = (*phoneKeys)(nil)

func (p *phoneKeys) GetIdentityKeyPair() *identity.KeyPair {
	return identity.NewKeyPair(
		identity.NewKey(ecc.NewDjbECPublicKey(*p.u.identity.Pub)), ecc.NewDjbECPrivateKey(*p.u.identity.Priv))
}

func (p *phoneKeys) GetLocalRegistrationID() uint32 { return p.u.registrationID }

// SaveIdentity does nothing: the network knows every device's identity.
func (p *phoneKeys) SaveIdentity(context.Context, *protocol.SignalAddress, *identity.Key) error {
	return nil
}

// IsTrustedIdentity holds a session to the identity that the device registered with.
func (p *phoneKeys) IsTrustedIdentity(_ context.Context, _ *protocol.SignalAddress, key *identity.Key) (bool, error) {
	return key.PublicKey().PublicKey() == p.remote.identity, nil
}

func (p *phoneKeys) LoadPreKey(_ context.Context, id uint32) (*record.PreKey, error) {
	key := p.u.preKeys[id]
	if key == nil {
		return nil, nil
	}
	return record.NewPreKey(id, pairOf(&key.KeyPair), serializer.PreKeyRecord), nil
}

func (p *phoneKeys) StorePreKey(context.Context, uint32, *record.PreKey) error { return errNotStored }

func (p *phoneKeys) ContainsPreKey(_ context.Context, id uint32) (bool, error) {
	return p.u.preKeys[id] != nil, nil
}

func (p *phoneKeys) RemovePreKey(_ context.Context, id uint32) error {
	if p.u.preKeys[id] != nil {
		delete(p.u.preKeys, id)
		p.t.drop(tablePhonePreKeys, preKeyRow(p.u.number, id))
	}
	return nil
}

func (p *phoneKeys) LoadSession(_ context.Context, _ *protocol.SignalAddress) (*record.Session, error) {
	if existing := p.u.sessions[p.remote.address()]; existing != nil {
		return existing, nil
	}
	return record.NewSession(serializer.Session, serializer.State), nil
}

func (p *phoneKeys) GetSubDeviceSessions(context.Context, string) ([]uint32, error) { return nil, nil }

func (p *phoneKeys) StoreSession(_ context.Context, _ *protocol.SignalAddress, r *record.Session) error {
	u, remote := p.u, p.remote.address()
	if r.IsFresh() {
		// libsignal keeps the former state of a session only if the session was
		// loaded, which this one never is.
		var err error
		if r, err = record.NewSessionFromStructure(r.Structure(), serializer.Session, serializer.State); err != nil {
			return fmt.Errorf("storing a session: %w", err)
		}
	}
	u.sessions[remote] = r
	p.t.put(tableSessions, u.number+"/"+remote, func() []byte {
		if current := u.sessions[remote]; current != nil {
			return current.Serialize()
		}
		return nil
	})
	return nil
}

func (p *phoneKeys) ContainsSession(_ context.Context, _ *protocol.SignalAddress) (bool, error) {
	return p.u.sessions[p.remote.address()] != nil, nil
}

func (p *phoneKeys) DeleteSession(context.Context, *protocol.SignalAddress) error {
	delete(p.u.sessions, p.remote.address())
	p.t.drop(tableSessions, p.u.number+"/"+p.remote.address())
	return nil
}

func (p *phoneKeys) DeleteAllSessions(context.Context) error { return errNotStored }

func (p *phoneKeys) LoadSignedPreKey(_ context.Context, id uint32) (*record.SignedPreKey, error) {
	if id != p.u.signedPreKey.KeyID {
		return nil, nil
	}
	key := p.u.signedPreKey
	return record.NewSignedPreKey(id, 0, pairOf(&key.KeyPair), *key.Signature, serializer.SignedPreKeyRecord), nil
}

func (p *phoneKeys) LoadSignedPreKeys(context.Context) ([]*record.SignedPreKey, error) {
	return nil, errNotStored
}

func (p *phoneKeys) StoreSignedPreKey(context.Context, uint32, *record.SignedPreKey) error {
	return errNotStored
}

func (p *phoneKeys) ContainsSignedPreKey(_ context.Context, id uint32) (bool, error) {
	return id == p.u.signedPreKey.KeyID, nil
}

func (p *phoneKeys) RemoveSignedPreKey(context.Context, uint32) error { return errNotStored }

func (p *phoneKeys) StoreSenderKey(context.Context, *protocol.SenderKeyName, *groups.SenderKey) error {
	return errNotStored
}

func (p *phoneKeys) LoadSenderKey(context.Context, *protocol.SenderKeyName) (*groups.SenderKey, error) {
	return nil, errNotStored
}

var errNotStored = errors.New("a phone's key store does not do this")

func pairOf(k *keys.KeyPair) *ecc.ECKeyPair {
	return ecc.NewECKeyPair(ecc.NewDjbECPublicKey(*k.Pub), ecc.NewDjbECPrivateKey(*k.Priv))
}

// pad appends 1 to 15 bytes that each hold their number (whatsmeow message.go, padMessage).
func pad(plain []byte) []byte {
	var random [1]byte
	_, _ = rand.Read(random[:])
	length := int(random[0] & 0xf)
	if length == 0 {
		length = 0xf
	}
	out := make([]byte, len(plain), len(plain)+length)
	copy(out, plain)
	for range length {
		out = append(out, byte(length))
	}
	return out
}

func unpad(plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, errors.New("the plaintext is empty")
	}
	length := int(plain[len(plain)-1])
	if length == 0 || length > len(plain) {
		return nil, errors.New("the plaintext has no valid padding")
	}
	for _, b := range plain[len(plain)-length:] {
		if int(b) != length {
			return nil, errors.New("the plaintext has no valid padding")
		}
	}
	return plain[:len(plain)-length], nil
}
