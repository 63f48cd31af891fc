package session

import (
	"crypto/rand"
	"testing"

	"go.mau.fi/whatsmeow/util/keys"
)

// Public keys are those that whatsmeow computes, whatever the bits of the private key
// that do not count.
func TestPairOf(t *testing.T) {
	privates := [][32]byte{{}, {31: 0xff}, {0: 7}, {0: 1, 31: 0x80}}
	ones := [32]byte{}
	for i := range ones {
		ones[i] = 0xff
	}
	privates = append(privates, ones)
	for range 200 {
		var p [32]byte
		if _, err := rand.Read(p[:]); err != nil {
			t.Fatal(err)
		}
		privates = append(privates, p)
	}
	for _, p := range privates {
		want := keys.NewKeyPairFromPrivateKey(p)
		got, err := pairOf(p)
		if err != nil || *got.Pub != *want.Pub || *got.Priv != *want.Priv {
			t.Fatalf("the pair of %x is %x, %x, %v, want %x", p, got.Pub, got.Priv, err, want.Pub)
		}
	}
}

// New prekeys are private keys of X25519, and each is another.
func TestNewPreKey(t *testing.T) {
	seen := map[[32]byte]bool{}
	for id := range uint32(50) {
		k, err := newPreKey(id)
		if err != nil {
			t.Fatal(err)
		}
		if k.KeyID != id || seen[*k.Priv] || *k.Pub != *keys.NewKeyPairFromPrivateKey(*k.Priv).Pub {
			t.Fatalf("prekey %d is %d, made before: %t, or its public key is another's", id, k.KeyID, seen[*k.Priv])
		}
		if k.Priv[0]&7 != 0 || k.Priv[31]&0xc0 != 64 {
			t.Fatalf("the private key %x is none of X25519", k.Priv)
		}
		seen[*k.Priv] = true
	}
}

func BenchmarkPairOf(b *testing.B) {
	for b.Loop() {
		if _, err := pairOf([32]byte{1, 2, 3}); err != nil {
			b.Fatal(err)
		}
	}
}
