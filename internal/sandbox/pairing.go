package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

const (
	// qrRefs is how many QR references a client gets. It shows the first for 60 s and the others for 20 s each
	// (whatsmeow qrchan.go).
	qrRefs = 6
	// pairingTime is when the server gives up on a client that was not paired.
	pairingTime = 60*time.Second + (qrRefs-1)*20*time.Second + 5*time.Second
	// scanTime is how long a phone waits for the client to complete the pairing.
	scanTime = 30 * time.Second
)

// pairing is a client that waits to be linked to a phone. Guarded by s.mu.
type pairing struct {
	c    *conn
	refs []string
	keys deviceKeys
	code *codePairing // set if the client asked for pairing by code
	scan *scan        // set while a phone links it
}

// deviceKeys is what a client registers with.
type deviceKeys struct {
	registrationID uint32
	identity       [32]byte
	signedPreKey   publicKey
	fullHistory    bool // the client wants all messages that the phone has
}

// scan is a phone that links a client.
type scan struct {
	user     *user
	details  []byte // ADVDeviceIdentity
	keyIndex uint32
	deviceID uint16
	iqID     string
	done     chan error // receives once
}

// end forgets the pairing. A phone that is linking the client is told err.
func (p *pairing) end(err error) {
	for _, ref := range p.refs {
		delete(p.c.s.world.pairings, ref)
	}
	if p.code != nil && p.c.s.world.codes[p.code.number] == p {
		delete(p.c.s.world.codes, p.code.number)
	}
	if p.code != nil && p.code.typed != nil {
		p.code.typed <- err
		p.code.typed = nil
	}
	p.finish(err)
}

// finish reports how the scan went, if there is one.
func (p *pairing) finish(err error) {
	if p.scan != nil {
		p.scan.done <- err
		p.scan = nil
	}
}

// startPairing sends the QR references to a client that is not registered.
func (c *conn) startPairing(data *waWa6.ClientPayload_DevicePairingRegistrationData) {
	p := &pairing{c: c}
	var err error
	if p.keys, err = registration(data); err != nil {
		c.s.violation(c, ViolationBadSignature, err.Error())
		c.s.update(func(*batch) { c.fail(400) })
		return
	}
	refNodes := make([]node, qrRefs)
	for i := range refNodes {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)
		ref := "2@" + base64.StdEncoding.EncodeToString(raw)
		p.refs = append(p.refs, ref)
		refNodes[i] = node{Tag: "ref", Content: []byte(ref)}
	}
	c.s.update(func(*batch) {
		c.pairing = p
		for _, ref := range p.refs {
			c.s.world.pairings[ref] = p
		}
		c.send(node{Tag: "iq", Attrs: attrs{
			"from": types.ServerJID, "type": "set", "id": randomID(4), "xmlns": "md",
		}, Content: []node{{Tag: "pair-device", Content: refNodes}}})
		c.s.running.Go(func() {
			if c.pause(pairingTime) {
				c.cancel()
			}
		})
	})
}

// registration reads and checks the keys that a client registers with (whatsmeow store/clientpayload.go).
func registration(data *waWa6.ClientPayload_DevicePairingRegistrationData) (deviceKeys, error) {
	var k deviceKeys
	if len(data.GetERegid()) != 4 || len(data.GetEIdent()) != 32 || len(data.GetESkeyID()) != 3 ||
		len(data.GetESkeyVal()) != 32 || len(data.GetESkeySig()) != 64 {
		return k, fmt.Errorf("the registration has keys of a wrong length")
	}
	k.registrationID = binary.BigEndian.Uint32(data.GetERegid())
	k.identity = [32]byte(data.GetEIdent())
	k.signedPreKey = publicKey{
		ID: uint24(data.GetESkeyID()), Key: [32]byte(data.GetESkeyVal()), Signature: data.GetESkeySig(),
	}
	if !k.signedPreKey.signedBy(k.identity) {
		return k, fmt.Errorf("the registration's signed prekey has a bad signature")
	}
	var props waCompanionReg.DeviceProps
	if err := proto.Unmarshal(data.GetDeviceProps(), &props); err != nil {
		return k, fmt.Errorf("the registration's properties cannot be read: %w", err)
	}
	k.fullHistory = props.GetRequireFullSync()
	return k, nil
}

// signedBy checks a signed prekey's signature by the device's identity.
func (k publicKey) signedBy(identity [32]byte) bool {
	return verify(identity, append([]byte{keyType}, k.Key[:]...), k.Signature)
}

// keyType is the type byte of Curve25519 keys (libsignal ecc.DjbType).
const keyType = 5

// ScanRequest lets a phone link a client. Give Code, Instance or PairingCode.
type ScanRequest struct {
	Code        string `json:"code,omitempty"`        // the text of the QR code
	Instance    string `json:"instance,omitempty"`    // the instance that shows it: see Options.PairingCode
	PairingCode string `json:"pairingCode,omitempty"` // the 8 characters that the client shows instead of a QR code
	Number      string `json:"number"`                // the phone; made if it is new
	Name        string `json:"name,omitempty"`        // its push name, if it is to change
}

// ScanResult names the new companion.
type ScanResult struct {
	JID string `json:"jid"`
	LID string `json:"lid"`
}

// Scan lets the phone with r.Number link a client, and returns when the client's signature has been checked and the
// companion is kept. Errors: Invalid for a code that cannot be one, NotFound for one that nobody shows, Conflict for a
// client that is being linked already or leaves meanwhile.
func (s *Server) Scan(ctx context.Context, r ScanRequest) (ScanResult, error) {
	r.Number = normalizeNumber(r.Number)
	if err := checkNumber("number", r.Number); err != nil {
		return ScanResult{}, err
	}
	if r.PairingCode != "" {
		return s.scanPairingCode(ctx, r)
	}
	if r.Code == "" && r.Instance == "" {
		return ScanResult{}, errorf(Invalid, "Give the text of the QR code as \"code\", or the name of the \"instance\" that shows it, or a \"pairingCode\"")
	}
	if r.Code == "" {
		if s.options.PairingCode == nil {
			return ScanResult{}, errorf(Invalid, "This sandbox does not know instances: give the text of the QR code as \"code\" instead of \"instance\"")
		}
		code, err := s.options.PairingCode(ctx, r.Instance)
		if err != nil {
			return ScanResult{}, errorf(NotFound, "No QR code from the %q instance: %v", r.Instance, err)
		}
		r.Code = code
	}
	qr, err := parseQR(r.Code)
	if err != nil {
		return ScanResult{}, err
	}
	return s.link(ctx, r, func() (*pairing, []byte, error) {
		p := s.world.pairings[qr.ref]
		switch {
		case p == nil:
			return nil, nil, errorf(NotFound, "No client shows this QR code now: codes change every 20 to 60 seconds, so read it again")
		case p.c.noise.clientKey != qr.noise || p.keys.identity != qr.identity:
			return nil, nil, errorf(Invalid, "The keys in this QR code are not those of the client that shows it")
		}
		return p, qr.secret, nil
	})
}

// link starts the linking of the client that find returns (with the secret that authenticates the phone to it), and
// waits for its end. find is called with s.mu held.
func (s *Server) link(ctx context.Context, r ScanRequest, find func() (*pairing, []byte, error)) (ScanResult, error) {
	var result ScanResult
	var err error
	done := make(chan error, 1)
	s.update(func(t *batch) {
		var p *pairing
		var secret []byte
		if p, secret, err = find(); err != nil {
			return
		}
		if p.scan != nil {
			err = errorf(Conflict, "A phone is linking this client already")
			return
		}
		u := s.ensureUser(t, r.Number)
		if r.Name != "" && r.Name != u.name {
			u.name = r.Name
			t.put(tableUsers, u.number, u.encode)
		}
		result, err = p.offer(u, secret, done)
	})
	if err != nil {
		return ScanResult{}, err
	}
	return result, s.awaitScan(ctx, done)
}

func (s *Server) awaitScan(ctx context.Context, done <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errorf(Conflict, "The client did not complete the pairing within %s", scanTime)
	case <-s.ctx.Done():
		return errorf(Conflict, "The sandbox is shutting down")
	}
}

// offer sends the client the identity that the phone signed for it.
func (p *pairing) offer(u *user, secret []byte, done chan error) (ScanResult, error) {
	id := u.newDeviceID()
	index := uint32(id)
	details, err := proto.Marshal(&waAdv.ADVDeviceIdentity{
		RawID: proto.Uint32(u.registrationID), Timestamp: proto.Uint64(uint64(time.Now().Unix())), KeyIndex: &index,
		AccountType: waAdv.ADVEncryptionType_E2EE.Enum(), DeviceType: waAdv.ADVEncryptionType_E2EE.Enum(),
	})
	if err != nil {
		return ScanResult{}, fmt.Errorf("encoding a device identity: %w", err)
	}
	signed, err := proto.Marshal(&waAdv.ADVSignedDeviceIdentity{
		Details:             details,
		AccountSignatureKey: u.identity.Pub[:],
		AccountSignature:    sign(u.identity, slices.Concat(whatsmeow.AdvAccountSignaturePrefix, details, p.keys.identity[:])),
	})
	if err != nil {
		return ScanResult{}, fmt.Errorf("encoding a signed device identity: %w", err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(signed)
	container, err := proto.Marshal(&waAdv.ADVSignedDeviceIdentityHMAC{Details: signed, HMAC: mac.Sum(nil)})
	if err != nil {
		return ScanResult{}, fmt.Errorf("encoding a device identity container: %w", err)
	}
	p.scan = &scan{user: u, details: details, keyIndex: index, deviceID: id, iqID: randomID(4), done: done}
	p.c.send(node{Tag: "iq", Attrs: attrs{
		"from": types.ServerJID, "type": "set", "id": p.scan.iqID, "xmlns": "md",
	}, Content: []node{{Tag: "pair-success", Content: []node{
		{Tag: "device-identity", Content: container},
		{Tag: "biz", Attrs: attrs{}},
		{Tag: "device", Attrs: attrs{"jid": u.pn(id), "lid": u.lidJID(id)}},
		{Tag: "platform", Attrs: attrs{"name": "android"}},
	}}}})
	return ScanResult{JID: u.pn(id).String(), LID: u.lidJID(id).String()}, nil
}

// handlePairSign takes the client's answer to pair-success: its own signature, or an error.
func (c *conn) handlePairSign(n *node) {
	c.s.update(func(t *batch) {
		p := c.pairing
		if p == nil || p.scan == nil || p.scan.iqID != str(n, "id") {
			return
		}
		if str(n, "type") == "error" {
			e := first(n)
			p.finish(errorf(Conflict, "The client refused the pairing: %s %s", str(&e, "code"), str(&e, "text")))
			return
		}
		signed := n.GetChildByTag("pair-device-sign", "device-identity")
		if err := p.checkSignature(content(signed)); err != nil {
			c.s.recordViolation(t, ViolationBadSignature, p.scan.user.pn(p.scan.deviceID).String(), err.Error())
			c.send(iqError(n, 401, "not-authorized"))
			c.closeSoon()
			p.finish(errorf(Conflict, "The client completed the pairing wrongly: %v", err))
			return
		}
		p.register(t)
	})
}

// checkSignature verifies the device's signature over its identity (whatsmeow pair.go, generateDeviceSignature).
func (p *pairing) checkSignature(raw []byte) error {
	var signed waAdv.ADVSignedDeviceIdentity
	if err := proto.Unmarshal(raw, &signed); err != nil {
		return fmt.Errorf("the signed identity cannot be decoded: %w", err)
	}
	if !slices.Equal(signed.GetDetails(), p.scan.details) {
		return fmt.Errorf("the signed identity is another one than the phone's")
	}
	message := slices.Concat(whatsmeow.AdvDeviceSignaturePrefix, p.scan.details, p.keys.identity[:], p.scan.user.identity.Pub[:])
	if !verify(p.keys.identity, message, signed.GetDeviceSignature()) {
		return fmt.Errorf("the device signature is wrong")
	}
	return nil
}

// register keeps the new companion and sends the client to log in with it.
func (p *pairing) register(t *batch) {
	c, s, u := p.c, p.c.s, p.scan.user
	d := newDevice(u, p.scan.deviceID)
	d.noiseKey, d.identity, d.registrationID = c.noise.clientKey, p.keys.identity, p.keys.registrationID
	d.signedPreKey, d.keyIndex, d.pairedAt, d.full = p.keys.signedPreKey, p.scan.keyIndex, now(), p.keys.fullHistory
	u.devices[d.id] = d
	t.put(tableUsers, u.number, u.encode)
	t.put(tableDevices, d.address(), d.encode)
	s.devicesChanged(t, u, d, "add")
	t.then(func() {
		c.streamError(attrs{"code": "515"})
		c.pairing = nil
		p.end(nil)
	})
}

// qrCode is what a QR text says (whatsmeow pair.go, makeQRData).
type qrCode struct {
	ref             string
	noise, identity [32]byte
	secret          []byte
}

func parseQR(code string) (qrCode, error) {
	code = strings.TrimSpace(code)
	if i := strings.LastIndex(code, "#"); i >= 0 { // newer codes are links that end in it
		code = code[i+1:]
	}
	parts := strings.Split(code, ",")
	if len(parts) < 4 {
		return qrCode{}, errorf(Invalid, "This is not the text of a pairing QR code: it has %d parts instead of 4 (reference, noise key, identity key, secret)", len(parts))
	}
	q := qrCode{ref: parts[0]}
	for i, name := range []string{"noise key", "identity key", "secret"} {
		raw, err := base64.StdEncoding.DecodeString(parts[i+1])
		if err != nil || len(raw) != 32 {
			return qrCode{}, errorf(Invalid, "This is not the text of a pairing QR code: its %s is not 32 bytes in base64", name)
		}
		switch i {
		case 0:
			q.noise = [32]byte(raw)
		case 1:
			q.identity = [32]byte(raw)
		case 2:
			q.secret = raw
		}
	}
	return q, nil
}

// randomID returns n random bytes in capital hexadecimal, the form of the ids that phones make.
func randomID(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw)
	return strings.ToUpper(hex.EncodeToString(raw))
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

func bytes24(v uint32) []byte { return []byte{byte(v >> 16), byte(v >> 8), byte(v)} }
