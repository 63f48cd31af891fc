package x3dh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/logger"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/libsignal/tests"
	"go.mau.fi/libsignal/util/keyhelper"
	"go.mau.fi/libsignal/util/optional"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"

	"pombo/internal/whatsapp/x3dh"
)

var serializer = store.SignalProtobufSerializer

// user is one side, with libsignal's own stores.
type user struct {
	address      *protocol.SignalAddress
	identity     *identity.KeyPair
	registration uint32
	signed, one  *ecc.ECKeyPair
	sessions     *tests.InMemorySession
	preKeys      *tests.InMemoryPreKey
	signedKeys   *tests.InMemorySignedPreKey
	identities   *tests.InMemoryIdentityKey
}

const signedID, oneID = 7, 9

func newUser(t *testing.T, name string) *user {
	t.Helper()
	pair, err := keyhelper.GenerateIdentityKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	u := &user{
		address: protocol.NewSignalAddress(name, 0), identity: pair, registration: keyhelper.GenerateRegistrationID(),
		sessions: tests.NewInMemorySession(serializer), preKeys: tests.NewInMemoryPreKey(), signedKeys: tests.NewInMemorySignedPreKey(),
	}
	u.identities = tests.NewInMemoryIdentityKey(pair, u.registration)
	for _, k := range []**ecc.ECKeyPair{&u.signed, &u.one} {
		if *k, err = ecc.GenerateKeyPair(); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// learn gives the user's keys to libsignal, so that it can answer by itself.
func (u *user) learn(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := u.preKeys.StorePreKey(ctx, oneID, record.NewPreKey(oneID, u.one, serializer.PreKeyRecord)); err != nil {
		t.Fatal(err)
	}
	signed := record.NewSignedPreKey(signedID, 0, u.signed, [64]byte{}, serializer.SignedPreKeyRecord)
	if err := u.signedKeys.StoreSignedPreKey(ctx, signedID, signed); err != nil {
		t.Fatal(err)
	}
}

func (u *user) builder(other *user) *session.Builder {
	return session.NewBuilder(u.sessions, u.preKeys, u.signedKeys, u.identities, other.address, serializer)
}

func (u *user) cipher(other *user) *session.Cipher {
	return session.NewCipher(u.builder(other), other.address)
}

// bundle is what others get of the user's keys.
func (u *user) bundle(oneTime bool) *prekey.Bundle {
	one, id := u.one.PublicKey(), optional.NewOptionalUint32(oneID)
	if !oneTime {
		one, id = nil, optional.NewEmptyUint32()
	}
	signature := ecc.CalculateSignature(u.identity.PrivateKey(), u.signed.PublicKey().Serialize())
	return prekey.NewBundle(u.registration, 0, id, signedID, one, u.signed.PublicKey(), signature, u.identity.PublicKey())
}

func (u *user) keys(oneTime bool) x3dh.Keys {
	pair := func(public ecc.ECPublicKeyable, private ecc.ECPrivateKeyable) *keys.KeyPair {
		pub, priv := public.PublicKey(), private.Serialize()
		return &keys.KeyPair{Pub: &pub, Priv: &priv}
	}
	k := x3dh.Keys{
		Registration: u.registration,
		Identity:     pair(u.identity.PublicKey().PublicKey(), u.identity.PrivateKey()),
		Signed:       pair(u.signed.PublicKey(), u.signed.PrivateKey()),
	}
	if oneTime {
		k.OneTime = pair(u.one.PublicKey(), u.one.PrivateKey())
	}
	return k
}

// write encrypts a message, as it comes to the other side.
func (u *user) write(t *testing.T, other *user, text string) protocol.CiphertextMessage {
	t.Helper()
	m, err := u.cipher(other).Encrypt(t.Context(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var parsed protocol.CiphertextMessage
	if m.Type() == protocol.PREKEY_TYPE {
		parsed, err = protocol.NewPreKeySignalMessageFromBytes(m.Serialize(), serializer.PreKeySignalMessage, serializer.SignalMessage)
	} else {
		parsed, err = protocol.NewSignalMessageFromBytes(m.Serialize(), serializer.SignalMessage)
	}
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func (u *user) read(t *testing.T, other *user, m protocol.CiphertextMessage) (string, error) {
	t.Helper()
	var text []byte
	var err error
	if first, ok := m.(*protocol.PreKeySignalMessage); ok {
		text, err = u.cipher(other).DecryptMessage(t.Context(), first)
	} else {
		text, err = u.cipher(other).Decrypt(t.Context(), m.(*protocol.SignalMessage))
	}
	return string(text), err
}

func (u *user) reads(t *testing.T, other *user, m protocol.CiphertextMessage, want string) {
	t.Helper()
	if got, err := u.read(t, other, m); err != nil || got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// keep stores an answer as the session with another user.
func (u *user) keep(t *testing.T, other *user, answer []byte) {
	t.Helper()
	s, err := record.NewSessionFromBytes(answer, serializer.Session, serializer.State)
	if err == nil {
		err = u.sessions.StoreSession(t.Context(), other.address, s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hello makes two users, and the first messages of one to the other.
func hello(t *testing.T, oneTime bool, texts ...string) (alice, bob *user, first []*protocol.PreKeySignalMessage) {
	t.Helper()
	logger.Logger = quiet{}
	alice, bob = newUser(t, "alice"), newUser(t, "bob")
	if err := alice.builder(bob).ProcessBundle(t.Context(), bob.bundle(oneTime)); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		first = append(first, alice.write(t, bob, text).(*protocol.PreKeySignalMessage))
	}
	return alice, bob, first
}

// libsignal takes an answer for a session of its own, and both go on with it in both
// directions. It has none of the keys to answer by itself.
func TestAnswer(t *testing.T) {
	for _, oneTime := range []bool{true, false} {
		t.Run(fmt.Sprint("one-time key ", oneTime), func(t *testing.T) {
			alice, bob, first := hello(t, oneTime, "1", "2", "3")
			answer, err := x3dh.Answer(first[1], bob.keys(oneTime)) // which of them comes first does not matter
			if err != nil {
				t.Fatal(err)
			}
			bob.keep(t, alice, answer)
			bob.reads(t, alice, first[1], "2")
			bob.reads(t, alice, first[0], "1")
			for i := range 3 { // libsignal keeps the keys of five turns
				there, back := fmt.Sprint("there ", i), fmt.Sprint("back ", i)
				alice.reads(t, bob, bob.write(t, alice, back), back)
				bob.reads(t, alice, alice.write(t, bob, there), there)
			}
			bob.reads(t, alice, first[2], "3")
			if _, err := bob.read(t, alice, first[0]); err == nil {
				t.Error("a message was read twice")
			}
		})
	}
}

// But for what is chosen at random, an answer is what libsignal makes of the message.
func TestAnswerIsAsLibsignals(t *testing.T) {
	alice, bob, first := hello(t, true, "1")
	answer, err := x3dh.Answer(first[0], bob.keys(true))
	if err != nil {
		t.Fatal(err)
	}
	bob.learn(t.Context(), t)
	bob.reads(t, alice, first[0], "1")
	theirs, err := bob.sessions.LoadSession(t.Context(), alice.address)
	if err != nil {
		t.Fatal(err)
	}
	bob.keep(t, alice, answer)
	bob.reads(t, alice, first[0], "1")
	ours, err := bob.sessions.LoadSession(t.Context(), alice.address)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(s *record.Session) []byte {
		structure := s.Structure()
		state := structure.SessionState
		if state.SenderChain.SenderRatchetKeyPrivate == nil || len(state.RootKey) != 32 || len(state.SenderChain.ChainKey.Key) != 32 {
			t.Errorf("a part of the state is missing: %+v", state)
		}
		state.RootKey, state.SenderChain = nil, nil
		state.PreviousCounter = 0 // libsignal's is -1, as the length of a chain that never was
		return serializer.Session.Serialize(structure)
	}
	if o, l := plain(ours), plain(theirs); !bytes.Equal(o, l) {
		t.Errorf("ours is\n%s\nlibsignal's\n%s", o, l)
	}
}

// Who has not the keys that a message names, or changed it, has no session with us.
func TestAnswerToAnother(t *testing.T) {
	alice, bob, first := hello(t, true, "1")
	for name, k := range map[string]x3dh.Keys{
		"another's":        newUser(t, "carol").keys(true),
		"without one-time": bob.keys(false),
	} {
		answer, err := x3dh.Answer(first[0], k)
		if err != nil {
			t.Fatal(err)
		}
		bob.keep(t, alice, answer)
		if text, err := bob.read(t, alice, first[0]); err == nil {
			t.Errorf("with keys that are %s: read %q", name, text)
		}
	}
}

func TestWeakKeys(t *testing.T) {
	_, bob, first := hello(t, true, "1")
	m, weak := first[0], ecc.NewDjbECPublicKey([32]byte{1}) // of order 4
	inner := m.WhisperMessage()
	for name, parts := range map[string]struct {
		base     ecc.ECPublicKeyable
		identity *identity.Key
	}{
		"base":     {weak, m.IdentityKey()},
		"identity": {m.BaseKey(), identity.NewKey(weak)},
	} {
		forged, err := protocol.NewPreKeySignalMessage(3, m.RegistrationID(), m.PreKeyID(), m.SignedPreKeyID(), parts.base, parts.identity,
			inner, serializer.PreKeySignalMessage, serializer.SignalMessage)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := x3dh.Answer(forged, bob.keys(true))
		if !errors.Is(err, x3dh.ErrWeakKey) || answer != nil {
			t.Errorf("a weak %s key: %s, %v", name, answer, err)
		}
	}
}

type quiet struct{}

func (quiet) Debug(string, string)   {}
func (quiet) Info(string, string)    {}
func (quiet) Warning(string, string) {}
func (quiet) Error(string, string)   {}
func (quiet) Configure(string)       {}
