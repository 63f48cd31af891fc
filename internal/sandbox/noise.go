package sandbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"
)

// handshake is the responder's side of Noise_XX_25519_AESGCM_SHA256 as WhatsApp speaks it. It differs from the Noise
// specification in one point: empty payloads are not mixed into the hash (whatsmeow socket/noisehandshake.go), so a
// general Noise library does not fit.
type handshake struct {
	hash  []byte
	chain []byte
	aead  cipher.AEAD
	count uint32
}

func newHandshake(prologue []byte) (*handshake, error) {
	h := &handshake{hash: []byte(socket.NoiseStartPattern), chain: []byte(socket.NoiseStartPattern)}
	var err error
	if h.aead, err = newGCM(h.hash); err != nil {
		return nil, err
	}
	h.mixHash(prologue)
	return h, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func nonce(count uint32) []byte {
	iv := make([]byte, 12)
	binary.BigEndian.PutUint32(iv[8:], count)
	return iv
}

func (h *handshake) mixHash(data []byte) {
	sum := sha256.Sum256(append(h.hash[:len(h.hash):len(h.hash)], data...))
	h.hash = sum[:]
}

func (h *handshake) mixKey(priv, pub []byte) error {
	secret, err := x25519(priv, pub)
	if err != nil {
		return err
	}
	chain, key, err := h.expand(secret)
	if err != nil {
		return err
	}
	h.chain, h.count = chain, 0
	h.aead, err = newGCM(key)
	return err
}

func (h *handshake) expand(secret []byte) (first, second []byte, err error) {
	out, err := hkdf.Key(sha256.New, secret, h.chain, "", 64)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving keys: %w", err)
	}
	return out[:32], out[32:], nil
}

func (h *handshake) encrypt(plain []byte) []byte {
	out := h.aead.Seal(nil, nonce(h.count), plain, h.hash)
	h.count++
	h.mixHash(out)
	return out
}

func (h *handshake) decrypt(sealed []byte) ([]byte, error) {
	out, err := h.aead.Open(nil, nonce(h.count), sealed, h.hash)
	if err != nil {
		return nil, err
	}
	h.count++
	h.mixHash(sealed)
	return out, nil
}

func x25519(priv, pub []byte) ([]byte, error) {
	private, err := ecdh.X25519().NewPrivateKey(priv)
	if err != nil {
		return nil, err
	}
	public, err := ecdh.X25519().NewPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return private.ECDH(public)
}

// noiseResult is what a finished handshake gives: the client's static key, its opening payload and the transport keys.
type noiseResult struct {
	clientKey   [32]byte
	payload     *waWa6.ClientPayload
	read, write cipher.AEAD
}

// serverIdentity is what the server shows to clients.
type serverIdentity struct {
	static *keys.KeyPair
	cert   []byte
}

// respond runs the handshake: read and write move one frame each.
func (id *serverIdentity) respond(prologue []byte, read func() ([]byte, error), write func([]byte) error) (*noiseResult, error) {
	h, err := newHandshake(prologue)
	if err != nil {
		return nil, err
	}
	hello, err := readHandshake(read)
	if err != nil {
		return nil, err
	}
	theirs := hello.GetClientHello().GetEphemeral()
	if len(theirs) != 32 {
		return nil, errors.New("client hello without a 32-byte ephemeral key")
	}
	h.mixHash(theirs)
	ephemeral, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	ours := ephemeral.PublicKey().Bytes()
	h.mixHash(ours)
	if err = h.mixKey(ephemeral.Bytes(), theirs); err != nil {
		return nil, err
	}
	static := h.encrypt(id.static.Pub[:])
	if err = h.mixKey(id.static.Priv[:], theirs); err != nil {
		return nil, err
	}
	answer, err := proto.Marshal(&waWa6.HandshakeMessage{ServerHello: &waWa6.HandshakeMessage_ServerHello{
		Ephemeral: ours, Static: static, Payload: h.encrypt(id.cert),
	}})
	if err != nil {
		return nil, err
	}
	if err = write(answer); err != nil {
		return nil, err
	}
	return h.finish(ephemeral.Bytes(), read)
}

// finish reads the client's last handshake message and derives the transport keys.
func (h *handshake) finish(ephemeral []byte, read func() ([]byte, error)) (*noiseResult, error) {
	last, err := readHandshake(read)
	if err != nil {
		return nil, err
	}
	static, err := h.decrypt(last.GetClientFinish().GetStatic())
	if err != nil {
		return nil, fmt.Errorf("decrypting the client's static key: %w", err)
	}
	if len(static) != 32 {
		return nil, fmt.Errorf("the client's static key has %d bytes, not 32", len(static))
	}
	if err = h.mixKey(ephemeral, static); err != nil {
		return nil, err
	}
	plain, err := h.decrypt(last.GetClientFinish().GetPayload())
	if err != nil {
		return nil, fmt.Errorf("decrypting the client's payload: %w", err)
	}
	result := &noiseResult{clientKey: [32]byte(static), payload: &waWa6.ClientPayload{}}
	if err = proto.Unmarshal(plain, result.payload); err != nil {
		return nil, fmt.Errorf("decoding the client's payload: %w", err)
	}
	clientWrite, serverWrite, err := h.expand(nil)
	if err != nil {
		return nil, err
	}
	if result.read, err = newGCM(clientWrite); err != nil {
		return nil, err
	}
	result.write, err = newGCM(serverWrite)
	return result, err
}

func readHandshake(read func() ([]byte, error)) (*waWa6.HandshakeMessage, error) {
	frame, err := read()
	if err != nil {
		return nil, err
	}
	var message waWa6.HandshakeMessage
	if err = proto.Unmarshal(frame, &message); err != nil {
		return nil, fmt.Errorf("decoding a handshake message: %w", err)
	}
	return &message, nil
}
