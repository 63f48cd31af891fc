package sandbox

import (
	"context"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/coder/websocket"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"
)

// wireClient is a bare client: it speaks the wire protocol and confirms what it is told to, but decrypts nothing.
type wireClient struct {
	t      testing.TB
	s      *Server
	addr   string
	number string

	noise, identity *keys.KeyPair
	signedPreKey    *keys.PreKey
	jid             types.JID
	ids             int

	ws           *websocket.Conn
	read, write  cipher.AEAD
	reads, sends uint32
	buffer       []byte
}

func newWireClient(t testing.TB, s *Server, addr, number string) *wireClient {
	identity := keys.NewKeyPair()
	return &wireClient{
		t: t, s: s, addr: addr, number: number,
		noise: keys.NewKeyPair(), identity: identity, signedPreKey: identity.CreateSignedPreKey(1),
	}
}

// dial connects and runs the handshake, with a registration or, once linked, a login.
func (w *wireClient) dial() error {
	ctx := w.t.Context()
	ws, answer, err := websocket.Dial(ctx, "wss://web.whatsapp.com/ws/chat", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: Transport(w.addr)}, HTTPHeader: http.Header{"Origin": {socket.Origin}},
	})
	if answer != nil && answer.Body != nil { // nil once the connection is a WebSocket
		_ = answer.Body.Close()
	}
	if err != nil {
		return err
	}
	ws.SetReadLimit(-1)
	w.ws, w.buffer, w.reads, w.sends = ws, nil, 0, 0
	h, err := newHandshake(socket.WAConnHeader)
	if err != nil {
		return err
	}
	ephemeral, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	public := ephemeral.PublicKey().Bytes()
	h.mixHash(public)
	if err = w.writeHandshake(true, &waWa6.HandshakeMessage{ClientHello: &waWa6.HandshakeMessage_ClientHello{Ephemeral: public}}); err != nil {
		return err
	}
	frame, err := w.frame()
	if err != nil {
		return err
	}
	var hello waWa6.HandshakeMessage
	if err = proto.Unmarshal(frame, &hello); err != nil {
		return err
	}
	return w.finish(h, ephemeral.Bytes(), hello.GetServerHello())
}

func (w *wireClient) finish(h *handshake, ephemeral []byte, hello *waWa6.HandshakeMessage_ServerHello) error {
	h.mixHash(hello.GetEphemeral())
	if err := h.mixKey(ephemeral, hello.GetEphemeral()); err != nil {
		return err
	}
	static, err := h.decrypt(hello.GetStatic())
	if err != nil {
		return err
	}
	if err = h.mixKey(ephemeral, static); err != nil {
		return err
	}
	if _, err = h.decrypt(hello.GetPayload()); err != nil {
		return err
	}
	sealed := h.encrypt(w.noise.Pub[:])
	if err = h.mixKey(w.noise.Priv[:], hello.GetEphemeral()); err != nil {
		return err
	}
	payload, err := proto.Marshal(w.payload())
	if err != nil {
		return err
	}
	err = w.writeHandshake(false, &waWa6.HandshakeMessage{ClientFinish: &waWa6.HandshakeMessage_ClientFinish{
		Static: sealed, Payload: h.encrypt(payload),
	}})
	if err != nil {
		return err
	}
	ours, theirs, err := h.expand(nil)
	if err != nil {
		return err
	}
	if w.write, err = newGCM(ours); err != nil {
		return err
	}
	w.read, err = newGCM(theirs)
	return err
}

func (w *wireClient) payload() *waWa6.ClientPayload {
	if !w.jid.IsEmpty() {
		return &waWa6.ClientPayload{Username: proto.Uint64(w.jid.UserInt()), Device: proto.Uint32(uint32(w.jid.Device))}
	}
	return &waWa6.ClientPayload{DevicePairingData: &waWa6.ClientPayload_DevicePairingRegistrationData{
		ERegid: []byte{0, 0, 0, 7}, EKeytype: []byte{keyType}, EIdent: w.identity.Pub[:], ESkeyID: bytes24(1),
		ESkeyVal: w.signedPreKey.Pub[:], ESkeySig: w.signedPreKey.Signature[:],
	}}
}

func (w *wireClient) writeHandshake(first bool, m *waWa6.HandshakeMessage) error {
	raw, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	var out []byte
	if first {
		out = append(out, socket.WAConnHeader...)
	}
	return w.ws.Write(w.t.Context(), websocket.MessageBinary, appendFrame(out, raw))
}

func (w *wireClient) frame() ([]byte, error) {
	for {
		if len(w.buffer) >= 3 {
			length := int(binary.BigEndian.Uint32(append([]byte{0}, w.buffer[:3]...)))
			if len(w.buffer) >= 3+length {
				frame := w.buffer[3 : 3+length]
				w.buffer = w.buffer[3+length:]
				return slices.Clone(frame), nil
			}
		}
		_, data, err := w.ws.Read(w.t.Context())
		if err != nil {
			return nil, err
		}
		w.buffer = append(w.buffer, data...)
	}
}

// next returns the next stanza with one of these tags, and drops others.
func (w *wireClient) next(tags ...string) (*node, error) {
	for {
		frame, err := w.frame()
		if err != nil {
			return nil, err
		}
		plain, err := w.read.Open(nil, nonce(w.reads), frame, nil)
		if err != nil {
			return nil, err
		}
		w.reads++
		n, err := waBinary.Unmarshal(plain[1:])
		if err != nil {
			return nil, err
		}
		if str(n, "category") == "peer" { // from the own phone
			if err = w.confirm(n); err != nil {
				return nil, err
			}
			continue
		}
		if slices.Contains(tags, n.Tag) {
			return n, nil
		}
	}
}

func (w *wireClient) send(n node) error {
	raw, err := waBinary.Marshal(n)
	if err != nil {
		return err
	}
	w.sends++
	return w.ws.Write(w.t.Context(), websocket.MessageBinary, appendSealed(nil, w.write, w.sends-1, raw))
}

// ask sends a query and returns its answer.
func (w *wireClient) ask(namespace, kind string, children ...node) (*node, error) {
	w.ids++
	id := fmt.Sprint("q", w.ids)
	if err := w.send(node{Tag: "iq", Attrs: attrs{"id": id, "xmlns": namespace, "type": kind, "to": types.ServerJID}, Content: children}); err != nil {
		return nil, err
	}
	for {
		n, err := w.next("iq")
		if err != nil || str(n, "id") == id {
			return n, err
		}
	}
}

// pair links the client to the phone with its number.
func (w *wireClient) pair(ctx context.Context) error {
	if err := w.dial(); err != nil {
		return err
	}
	offer, err := w.next("iq")
	if err != nil {
		return err
	}
	ref := content(offer.GetChildByTag("pair-device", "ref"))
	encode := base64.StdEncoding.EncodeToString
	secret := make([]byte, 32)
	scanned := make(chan error, 1)
	go func() {
		_, err := w.s.Scan(ctx, ScanRequest{Number: w.number, Code: fmt.Sprintf("%s,%s,%s,%s",
			ref, encode(w.noise.Pub[:]), encode(w.identity.Pub[:]), encode(secret))})
		scanned <- err
	}()
	success, err := w.next("iq")
	if err != nil {
		return err
	}
	device := success.GetChildByTag("pair-success", "device")
	var container waAdv.ADVSignedDeviceIdentityHMAC
	var signed waAdv.ADVSignedDeviceIdentity
	err = errors.Join(
		proto.Unmarshal(content(success.GetChildByTag("pair-success", "device-identity")), &container),
		proto.Unmarshal(container.GetDetails(), &signed))
	if err != nil {
		return err
	}
	signed.DeviceSignature = sign(w.identity, slices.Concat(
		whatsmeow.AdvDeviceSignaturePrefix, signed.GetDetails(), w.identity.Pub[:], signed.GetAccountSignatureKey()))
	signed.AccountSignatureKey = nil
	raw, err := proto.Marshal(&signed)
	if err != nil {
		return err
	}
	err = w.send(node{Tag: "iq", Attrs: attrs{"to": types.ServerJID, "type": "result", "id": str(success, "id")}, Content: []node{
		{Tag: "pair-device-sign", Content: []node{{Tag: "device-identity", Content: raw}}},
	}})
	if err != nil {
		return err
	}
	if _, err = w.next("stream:error"); err != nil {
		return err
	}
	w.jid = jid(&device, "jid")
	_ = w.ws.CloseNow()
	return <-scanned
}

// login connects, brings one-time keys and says that it is ready.
func (w *wireClient) login() error {
	if err := w.dial(); err != nil {
		return err
	}
	if _, err := w.next("success"); err != nil {
		return err
	}
	count, err := w.ask("encrypt", "get", node{Tag: "count"})
	if err != nil {
		return err
	}
	if child := first(count); number(&child, "value") == 0 {
		var list []node
		for i := range uint32(50) {
			list = append(list, publicKey{ID: i + 1, Key: *keys.NewKeyPair().Pub}.node("key"))
		}
		signed := publicKey{ID: 1, Key: *w.signedPreKey.Pub, Signature: w.signedPreKey.Signature[:]}
		answer, err := w.ask("encrypt", "set",
			node{Tag: "registration", Content: []byte{0, 0, 0, 7}}, node{Tag: "type", Content: []byte{keyType}},
			node{Tag: "identity", Content: w.identity.Pub[:]}, node{Tag: "list", Content: list}, signed.node("skey"))
		if err != nil || str(answer, "type") != "result" {
			return fmt.Errorf("uploading keys: %v, %w", answer, err)
		}
	}
	_, err = w.ask("passive", "set", node{Tag: "active"})
	return err
}

// confirm confirms a message.
func (w *wireClient) confirm(n *node) error {
	return w.send(node{Tag: "receipt", Attrs: attrs{"id": str(n, "id"), "to": n.Attrs["from"], "type": "inactive"}})
}
