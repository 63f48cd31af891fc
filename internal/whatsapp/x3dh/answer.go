// Package x3dh begins the session that somebody's first message asks for, as the one
// who gets it: the agreement of keys X3DH (https://signal.org/docs/specifications/x3dh)
// and the first turn of the double ratchet
// (https://signal.org/docs/specifications/doubleratchet), in the form in which libsignal
// keeps sessions. It reads and decrypts nothing, and keeps no key.
//
// libsignal does the same; but it multiplies by golang.org/x/crypto/curve25519, which
// computes a public key besides each secret, thirteen multiplications for a first
// message, half of what such a message costs. Here they are seven, in a faster
// implementation, in constant time as well.
package x3dh

import (
	"crypto/rand"
	"errors"

	"github.com/cloudflare/circl/dh/x25519"
	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/kdf"
	"go.mau.fi/libsignal/keys/chain"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/root"
	"go.mau.fi/libsignal/keys/session"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"
)

// Keys are our keys that a first message names.
type Keys struct {
	Registration uint32
	Identity     *keys.KeyPair
	Signed       *keys.KeyPair
	OneTime      *keys.KeyPair // nil: it names none
}

// ErrWeakKey says that a key of the message is none that somebody has made: whoever
// uses it wants the secret to be known.
var ErrWeakKey = errors.New("a key of the message is of low order")

// Answer returns the session in which m is the next message. Nothing shows yet that m
// comes from the owner of its keys: the session must be thrown away if m cannot be
// decrypted in it. Errors: ErrWeakKey; no randomness.
func Answer(m *protocol.PreKeySignalMessage, ours Keys) ([]byte, error) {
	secrets, err := agree(m, ours)
	if err != nil {
		return nil, err
	}
	their := m.WhisperMessage().SenderRatchetKey()
	receiving, err := turn(secrets.RootKey(), their, *ours.Signed.Priv)
	if err != nil {
		return nil, err
	}
	next, err := newKeyPair()
	if err != nil {
		return nil, err
	}
	sending, err := turn(receiving.RootKey(), their, next.PrivateKey().Serialize())
	if err != nil {
		return nil, err
	}
	s := record.NewState(store.SignalProtobufSerializer.State)
	s.SetVersion(protocol.CurrentVersion)
	s.SetRemoteIdentityKey(m.IdentityKey())
	s.SetLocalIdentityKey(identity.NewKey(ecc.NewDjbECPublicKey(*ours.Identity.Pub)))
	s.SetLocalRegistrationID(ours.Registration)
	s.SetRemoteRegistrationID(m.RegistrationID())
	s.SetSenderBaseKey(m.BaseKey().Serialize())
	s.SetRootKey(root.NewKey(kdf.DeriveSecrets, sending.RootKey()))
	s.AddReceiverChain(their, chain.NewKey(kdf.DeriveSecrets, receiving.ChainKey(), 0))
	s.SetSenderChain(next, chain.NewKey(kdf.DeriveSecrets, sending.ChainKey(), 0))
	return record.NewSessionFromState(s, store.SignalProtobufSerializer.Session).Serialize(), nil
}

// agree derives the session's first root key (X3DH, section 3.3, where we are Bob; the
// text that names the use is the one of Signal's own libraries).
func agree(m *protocol.PreKeySignalMessage, ours Keys) (*session.DerivedSecrets, error) {
	type pair struct {
		their ecc.ECPublicKeyable
		our   *keys.KeyPair
	}
	agreements := []pair{
		{m.IdentityKey().PublicKey(), ours.Signed},
		{m.BaseKey(), ours.Identity},
		{m.BaseKey(), ours.Signed},
	}
	if ours.OneTime != nil {
		agreements = append(agreements, pair{m.BaseKey(), ours.OneTime})
	}
	// 32 bytes of ones are no key of the curve: what is derived from them and secrets
	// is derived from nothing else.
	master := make([]byte, 32, 32*5)
	for i := range master {
		master[i] = 0xFF
	}
	for _, a := range agreements {
		secret, err := shared(a.their, *a.our.Priv)
		if err != nil {
			return nil, err
		}
		master = append(master, secret[:]...)
	}
	return derive(master, nil, "WhisperText")
}

// turn is one turn of the ratchet (double ratchet, section 5.2): the next root key,
// and the key of a chain of messages.
func turn(rootKey []byte, their ecc.ECPublicKeyable, our [32]byte) (*session.DerivedSecrets, error) {
	secret, err := shared(their, our)
	if err != nil {
		return nil, err
	}
	return derive(secret[:], rootKey, root.KdfInfo)
}

func derive(secret, salt []byte, use string) (*session.DerivedSecrets, error) {
	derived, err := kdf.DeriveSecrets(secret, salt, []byte(use), root.DerivedSecretsSize)
	if err != nil {
		return nil, err
	}
	return session.NewDerivedSecrets(derived), nil
}

func shared(their ecc.ECPublicKeyable, our [32]byte) (secret x25519.Key, err error) {
	private, public := x25519.Key(our), x25519.Key(their.PublicKey())
	if !x25519.Shared(&secret, &private, &public) {
		return secret, ErrWeakKey
	}
	return secret, nil
}

func newKeyPair() (*ecc.ECKeyPair, error) {
	var private, public x25519.Key
	if _, err := rand.Read(private[:]); err != nil {
		return nil, err
	}
	// As every private key of X25519 is used, and libsignal keeps its own.
	private[0] &= 248
	private[31] &= 127
	private[31] |= 64
	x25519.KeyGen(&public, &private)
	return ecc.NewECKeyPair(ecc.NewDjbECPublicKey(public), ecc.NewDjbECPrivateKey(private)), nil
}
