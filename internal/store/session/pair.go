package session

import (
	"crypto/rand"

	"filippo.io/edwards25519"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/util/keys"
)

// pairOf returns a private key with its public key. keys.NewKeyPairFromPrivateKey does
// the same, and takes more than twice as long: X25519 has no table of the base point's
// multiples. A public key is such a multiple, so it is computed on the curve's other
// form, for which there is one, as libsignal does to sign; in constant time, too.
func pairOf(private [32]byte) (*keys.KeyPair, error) {
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(private[:])
	if err != nil {
		return nil, err
	}
	public := [32]byte(new(edwards25519.Point).ScalarBaseMult(scalar).BytesMontgomery())
	return &keys.KeyPair{Pub: &public, Priv: &private}, nil
}

// loadPreKey makes a prekey of what is stored of it.
func loadPreKey(id uint32, private []byte) (*keys.PreKey, error) {
	if len(private) != 32 {
		return nil, sqlstore.ErrInvalidLength
	}
	pair, err := pairOf([32]byte(private))
	if err != nil {
		return nil, err
	}
	return &keys.PreKey{KeyPair: *pair, KeyID: id}, nil
}

// newPreKey makes a new prekey.
func newPreKey(id uint32) (*keys.PreKey, error) {
	var private [32]byte
	if _, err := rand.Read(private[:]); err != nil {
		return nil, err
	}
	// As every private key of X25519 is used, and whatsmeow stores its own.
	private[0] &= 248
	private[31] &= 127
	private[31] |= 64
	return loadPreKey(id, private[:])
}
