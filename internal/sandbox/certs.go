package sandbox

import (
	"crypto/sha256"
	"fmt"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow/proto/waCert"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"
)

// rootFromSeed derives the root key pair from a seed, so that several servers can share one root.
func rootFromSeed(seed []byte) *keys.KeyPair {
	priv := sha256.Sum256(append([]byte("pombo sandbox root key\x00"), seed...))
	priv[0] &= 248
	priv[31] = priv[31]&127 | 64
	return keys.NewKeyPairFromPrivateKey(priv)
}

// certificate builds the chain that the server shows in the Noise handshake: root → intermediate → leaf, the leaf
// holding the server's static Noise key. The serials are what the client compares (whatsmeow handshake.go,
// verifyServerCert).
func certificate(root *keys.KeyPair, static [32]byte) ([]byte, error) {
	intermediate := keys.NewKeyPair()
	const rootSerial, intermediateSerial, leafSerial = 0, 1, 2
	first, err := signCert(root, &waCert.CertChain_NoiseCertificate_Details{
		Serial:       proto.Uint32(intermediateSerial),
		IssuerSerial: proto.Uint32(rootSerial),
		Key:          intermediate.Pub[:],
	})
	if err != nil {
		return nil, err
	}
	leaf, err := signCert(intermediate, &waCert.CertChain_NoiseCertificate_Details{
		Serial:       proto.Uint32(leafSerial),
		IssuerSerial: proto.Uint32(intermediateSerial),
		Key:          static[:],
	})
	if err != nil {
		return nil, err
	}
	chain, err := proto.Marshal(&waCert.CertChain{Intermediate: first, Leaf: leaf})
	if err != nil {
		return nil, fmt.Errorf("encoding the certificate chain: %w", err)
	}
	return chain, nil
}

func signCert(by *keys.KeyPair, details *waCert.CertChain_NoiseCertificate_Details) (*waCert.CertChain_NoiseCertificate, error) {
	raw, err := proto.Marshal(details)
	if err != nil {
		return nil, fmt.Errorf("encoding a certificate: %w", err)
	}
	return &waCert.CertChain_NoiseCertificate{Details: raw, Signature: sign(by, raw)}, nil
}

// sign makes an XEdDSA signature over message.
func sign(by *keys.KeyPair, message []byte) []byte {
	signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey(*by.Priv), message)
	return signature[:]
}

// verify checks an XEdDSA signature over message.
func verify(by [32]byte, message, signature []byte) bool {
	return len(signature) == 64 && ecc.VerifySignature(ecc.NewDjbECPublicKey(by), message, [64]byte(signature))
}
