package sandbox

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// codePairing is a client that shows a code for the phone's owner to type (whatsmeow pair-code.go). The code protects
// the exchange of two ephemeral keys, and these the exchange of the secret that a QR code would have shown.
type codePairing struct {
	number  string // the phone that the client wants
	ref     string
	wrapped []byte // the client's ephemeral key: salt 32, IV 16, encrypted key 32

	// set when the code was typed
	request   ScanRequest
	ephemeral *keys.KeyPair // the phone's
	companion []byte        // the client's ephemeral key, decrypted
	typed     chan error    // receives once if it goes wrong before the linking starts
	secret    chan []byte   // receives the secret once
}

const pairingCodeAlphabet = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"

// handleLinkCode takes the two queries of pairing by code: companion_hello and companion_finish.
func (c *conn) handleLinkCode(n *node, child node) {
	switch str(&child, "stage") {
	case "companion_hello":
		c.linkCodeHello(n, child)
	case "companion_finish":
		c.linkCodeFinish(n, child)
	default:
		c.unknownIQ(n)
	}
}

// linkCodeHello notes that a client shows a code for a number, and gives it a reference.
func (c *conn) linkCodeHello(n *node, child node) {
	wrapped := content(child.GetChildByTag("link_code_pairing_wrapped_companion_ephemeral_pub"))
	noise := content(child.GetChildByTag("companion_server_auth_key_pub"))
	wanted := jid(&child, "jid").User
	display := string(content(child.GetChildByTag("companion_platform_display")))
	c.s.update(func(*batch) {
		switch {
		case c.pairing == nil || len(wrapped) != 80 || !slices.Equal(noise, c.noise.clientKey[:]) || checkNumber("jid", wanted) != nil:
			c.send(iqError(n, 400, "bad-request"))
			return
		case !strings.Contains(display, "("): // it has to be "Browser (OS)"
			c.send(iqError(n, 400, "bad-request"))
			return
		}
		raw := make([]byte, 16)
		_, _ = rand.Read(raw)
		if old := c.pairing.code; old != nil && c.s.world.codes[old.number] == c.pairing {
			delete(c.s.world.codes, old.number)
		}
		c.pairing.code = &codePairing{number: wanted, ref: "1@" + base64.RawURLEncoding.EncodeToString(raw), wrapped: wrapped}
		c.s.world.codes[wanted] = c.pairing
		c.send(result(n, node{Tag: "link_code_companion_reg", Attrs: attrs{"stage": "companion_hello"}, Content: []node{
			{Tag: "link_code_pairing_ref", Content: []byte(c.pairing.code.ref)},
		}}))
	})
}

// scanPairingCode lets the phone's owner type the code that a client shows.
func (s *Server) scanPairingCode(ctx context.Context, r ScanRequest) (ScanResult, error) {
	code := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(r.PairingCode), "-", ""))
	if len(code) != 8 || strings.Trim(code, pairingCodeAlphabet) != "" {
		return ScanResult{}, errorf(Invalid, "\"pairingCode\" is %q: it has 8 characters out of %s", r.PairingCode, pairingCodeAlphabet)
	}
	typed, secret := make(chan error, 1), make(chan []byte, 1)
	p, wrapped, err := s.codeFor(r.Number)
	if err != nil {
		return ScanResult{}, err
	}
	ephemeral := keys.NewKeyPair()
	companion, err := crypt(code, wrapped[:32], wrapped[32:48], wrapped[48:])
	if err != nil {
		return ScanResult{}, err
	}
	ours := make([]byte, 48, 80)
	_, _ = rand.Read(ours)
	sealed, err := crypt(code, ours[:32], ours[32:], ephemeral.Pub[:])
	if err != nil {
		return ScanResult{}, err
	}
	ours = append(ours, sealed...)
	s.update(func(t *batch) {
		if s.world.codes[r.Number] != p || p.scan != nil || p.code.typed != nil {
			typed <- errorf(Conflict, "A phone is linking this client already, or the client has left")
			return
		}
		u := s.ensureUser(t, r.Number)
		p.code.request, p.code.ephemeral, p.code.companion, p.code.typed, p.code.secret = r, ephemeral, companion, typed, secret
		p.c.send(node{Tag: "notification", Attrs: attrs{
			"from": types.ServerJID, "type": "link_code_companion_reg", "id": randomID(8), "t": unix(now()),
		}, Content: []node{{Tag: "link_code_companion_reg", Attrs: attrs{"stage": "primary_hello"}, Content: []node{
			{Tag: "link_code_pairing_wrapped_primary_ephemeral_pub", Content: ours},
			{Tag: "primary_identity_pub", Content: u.identity.Pub[:]},
			{Tag: "link_code_pairing_ref", Content: []byte(p.code.ref)},
		}}}})
	})
	ctx, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	select {
	case err = <-typed:
		return ScanResult{}, err
	case advSecret := <-secret:
		return s.link(ctx, r, func() (*pairing, []byte, error) { return p, advSecret, nil })
	case <-ctx.Done():
		s.forgetTyped(p)
		return ScanResult{}, errorf(Conflict, "The client did not answer within %s", scanTime)
	case <-s.ctx.Done():
		return ScanResult{}, errorf(Conflict, "The sandbox is shutting down")
	}
}

// codeFor finds the client that shows a code for a number.
func (s *Server) codeFor(number string) (*pairing, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.world.codes[number]
	if p == nil {
		return nil, nil, errorf(NotFound, "No client shows a pairing code for %s: ask the instance for one with this number first", number)
	}
	return p, p.code.wrapped, nil
}

func (s *Server) forgetTyped(p *pairing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.code != nil {
		p.code.typed = nil
	}
}

// linkCodeFinish takes the client's key bundle, and from it the secret that authenticates the phone.
func (c *conn) linkCodeFinish(n *node, child node) {
	bundle := content(child.GetChildByTag("link_code_pairing_wrapped_key_bundle"))
	ref := content(child.GetChildByTag("link_code_pairing_ref"))
	c.s.update(func(*batch) {
		p := c.pairing
		if p == nil || p.code == nil || p.code.typed == nil || string(ref) != p.code.ref {
			c.send(iqError(n, 404, "item-not-found"))
			return
		}
		secret, err := p.advSecret(bundle)
		if err != nil {
			p.code.typed <- err
			p.code.typed = nil
			c.send(iqError(n, 401, "not-authorized"))
			return
		}
		c.send(result(n))
		p.code.secret <- secret
		p.code.typed = nil
	})
}

// advSecret opens the key bundle and derives the secret of the pairing. That the bundle cannot be opened means that the
// two sides used different codes.
func (p *pairing) advSecret(wrapped []byte) ([]byte, error) {
	u := p.c.s.world.users[p.code.number]
	if len(wrapped) < 32+12+16 {
		return nil, errorf(Conflict, "The client sent a key bundle of %d bytes", len(wrapped))
	}
	salt, iv, sealed := wrapped[:32], wrapped[32:44], wrapped[44:]
	wrong := errorf(Invalid, "This is not the code that the client shows")
	shared, err := x25519(p.code.ephemeral.Priv[:], p.code.companion)
	if err != nil {
		return nil, wrong
	}
	key, err := hkdf.Key(sha256.New, shared, salt, "link_code_pairing_key_bundle_encryption_key", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the bundle's key: %w", err)
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, iv, sealed, nil)
	if err != nil {
		return nil, wrong
	}
	if len(plain) != 96 || !slices.Equal(plain[:32], p.keys.identity[:]) || !slices.Equal(plain[32:64], u.identity.Pub[:]) {
		return nil, errorf(Conflict, "The client's key bundle holds other identities than the ones being linked")
	}
	identityShared, err := x25519(u.identity.Priv[:], plain[:32])
	if err != nil {
		return nil, fmt.Errorf("agreeing with the client's identity: %w", err)
	}
	return hkdf.Key(sha256.New, slices.Concat(shared, identityShared, plain[64:]), nil, "adv_secret", 32)
}

// crypt encrypts or decrypts a key with the typed code.
func crypt(code string, salt, iv, data []byte) ([]byte, error) {
	key, err := pbkdf2.Key(sha256.New, code, salt, 2<<16, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the pairing code's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making the pairing code's cipher: %w", err)
	}
	out := make([]byte, len(data))
	cipher.NewCTR(block, iv).XORKeyStream(out, data)
	return out, nil
}
