package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	senderkey "go.mau.fi/libsignal/groups/state/record"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// world is everything the network knows. Memory is the truth; the store only follows.
type world struct {
	rootSeed   []byte
	users      map[string]*user // by number
	byLID      map[string]*user
	groups     map[string]*group      // by id
	chains     map[string]senderChain // see tableSenderChains
	calls      map[string]*call       // by id
	sequence   uint64                 // of stanzas and messages, rising
	violations []Violation

	pairings map[string]*pairing // by QR reference
	codes    map[string]*pairing // by number: clients that asked for pairing by code
}

func (w *world) init() {
	w.users = map[string]*user{}
	w.byLID = map[string]*user{}
	w.groups = map[string]*group{}
	w.chains = map[string]senderChain{}
	w.calls = map[string]*call{}
	w.pairings = map[string]*pairing{}
	w.codes = map[string]*pairing{}
}

func (w *world) next() uint64 {
	w.sequence++
	return w.sequence
}

// user is a number on the network: its phone, and the companions linked to it.
type user struct {
	number string
	lid    string
	name   string // push name

	// the phone's Signal keys; the identity also signs the companions' identities, as on the original
	identity       *keys.KeyPair
	registrationID uint32
	signedPreKey   *keys.PreKey
	preKeys        map[uint32]*keys.PreKey // one-time keys that were handed out and not yet used
	nextPreKey     uint32
	sessions       map[string]*record.Session      // by the other device's address
	ownKeys        map[string]*ownKey              // by room
	senderKeys     map[string]*senderkey.SenderKey // see tableSenderKeys

	devices    map[uint16]*device
	nextDevice uint16

	received     []*message
	sent         []*message
	receivedByID map[string]*message // by sender/id
	sentByID     map[string]*message
	confirmed    []Confirmation
	seen         map[string]time.Time // outgoing stanzas of the companions that were handled, and when
	seenOrder    []string
	available    bool
	lastSeen     time.Time      // zero: never
	shown        []PresenceSeen // by the companions; forgotten with the process
	sync         *appSync       // settings; nil: none yet
	profile      profile
	watchers     map[string]bool // numbers whose companions asked for this user's devices
}

// device is a companion: a linked client.
type device struct {
	user           *user
	id             uint16
	addr           string // see address
	noiseKey       [32]byte
	identity       [32]byte
	registrationID uint32
	signedPreKey   publicKey
	preKeys        []publicKey     // one-time keys that can be handed out, oldest first
	spent          map[uint32]bool // ids of those that were handed out
	keyIndex       uint32
	pairedAt       time.Time
	synced         int  // what its phone has told it: see welcome
	full           bool // it asked for all messages
	greeted        bool // it is being told its first messages

	conn  *conn     // nil: offline
	queue []*stanza // what the client has not confirmed
	sent  int       // how many of them were sent on this connection

	uses map[string]map[keyUse][32]byte // message keys used, by the sending companion; lost with the process
}

// publicKey is the public part of a prekey.
type publicKey struct {
	ID        uint32   `json:"id"`
	Key       [32]byte `json:"key"`
	Signature []byte   `json:"signature,omitempty"` // only of a signed prekey
}

var numberRule = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)

// checkNumber says whether a phone number has the form that the network knows.
func checkNumber(field, number string) error {
	if number == "" {
		return errorf(Invalid, "%q is missing: give a phone number, for example \"5511999990000\"", field)
	}
	if !numberRule.MatchString(number) {
		return errorf(Invalid, "%q is %q: a phone number has 7 to 15 digits with the country code, without + or leading zero", field, number)
	}
	return nil
}

// normalizeNumber strips what people write around a number: "+", blanks, a JID's server and device.
func normalizeNumber(number string) string {
	number, _, _ = strings.Cut(strings.TrimSpace(number), "@")
	number, _, _ = strings.Cut(number, ":")
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("+-() ", r) {
			return -1
		}
		return r
	}, number)
}

// lidOf derives the number's LID: 15 digits, always the same for a number, and telling nothing about it.
func lidOf(number string) string {
	sum := sha256.Sum256([]byte("pombo sandbox lid\x00" + number))
	return fmt.Sprintf("1%014d", binary.BigEndian.Uint64(sum[:8])%100_000_000_000_000)
}

// ensureUser returns the user with this number, made if new.
func (s *Server) ensureUser(t *batch, number string) *user {
	if u := s.world.users[number]; u != nil {
		return u
	}
	u := &user{
		number:         number,
		lid:            lidOf(number),
		name:           "Contact " + number[len(number)-4:],
		identity:       keys.NewKeyPair(),
		registrationID: 1 + uint32(s.world.next()%16379),
	}
	u.signedPreKey = u.identity.CreateSignedPreKey(1)
	u.makeMaps()
	s.addUser(u)
	t.put(tableUsers, number, u.encode)
	return u
}

func (u *user) makeMaps() {
	u.preKeys = map[uint32]*keys.PreKey{}
	u.sessions = map[string]*record.Session{}
	u.ownKeys = map[string]*ownKey{}
	u.senderKeys = map[string]*senderkey.SenderKey{}
	u.devices = map[uint16]*device{}
	u.seen = map[string]time.Time{}
	u.watchers = map[string]bool{}
	u.receivedByID = map[string]*message{}
	u.sentByID = map[string]*message{}
}

func (s *Server) addUser(u *user) {
	s.world.users[u.number] = u
	s.world.byLID[u.lid] = u
}

// find returns the user that a JID means, by number or LID, or nil.
func (s *Server) find(j types.JID) *user {
	switch j.Server {
	case types.DefaultUserServer, types.LegacyUserServer, types.HostedServer:
		return s.world.users[strings.TrimPrefix(j.User, "+")]
	case types.HiddenUserServer, types.HostedLIDServer:
		return s.world.byLID[j.User]
	}
	return nil
}

// pn is the JID of one of the user's devices by number; device 0, the phone, has a JID without device.
func (u *user) pn(device uint16) types.JID {
	return types.JID{User: u.number, Device: device, Server: types.DefaultUserServer}
}

// lidJID is the same by LID.
func (u *user) lidJID(device uint16) types.JID {
	return types.JID{User: u.lid, Device: device, Server: types.HiddenUserServer}
}

// as is the JID of one of the user's devices in the form that like has.
func (u *user) as(like types.JID, device uint16) types.JID {
	if like.Server == types.HiddenUserServer {
		return u.lidJID(device)
	}
	return u.pn(device)
}

// companions are the user's linked devices, by rising id.
func (u *user) companions() []*device {
	ids := slices.Sorted(maps.Keys(u.devices))
	out := make([]*device, len(ids))
	for i, id := range ids {
		out[i] = u.devices[id]
	}
	return out
}

// newDeviceID gives the next companion its id: rising, and within the byte that a JID has for it.
func (u *user) newDeviceID() uint16 {
	for {
		u.nextDevice++
		if u.nextDevice > 254 {
			u.nextDevice = 1
		}
		if u.devices[u.nextDevice] == nil {
			return u.nextDevice
		}
	}
}

// address names a device in the phones' session stores and in the store's keys.
func (d *device) address() string { return d.addr }

func newDevice(u *user, id uint16) *device {
	return &device{
		user: u, id: id, addr: fmt.Sprintf("%s:%d", u.number, id),
		spent: map[uint32]bool{}, uses: map[string]map[keyUse][32]byte{},
	}
}
