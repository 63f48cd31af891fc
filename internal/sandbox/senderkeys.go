package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.mau.fi/libsignal/groups"
	senderkey "go.mau.fi/libsignal/groups/state/record"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// What the database keeps of sender keys.
const (
	tableOwnKeys      = "own_sender_keys" // with which phones encrypt, by number/room
	tableSenderKeys   = "sender_keys"     // with which phones decrypt, by number/room/number:id
	tableSenderChains = "sender_chains"   // how far companions are in their own, by number:id/room
)

// ownKey is the sender key with which a phone encrypts in one room, and the devices that were given it.
type ownKey struct {
	record *senderkey.SenderKey
	given  map[string]bool // by address
}

type ownKeyRow struct {
	Key   []byte   `json:"key"`
	Given []string `json:"given,omitempty"`
}

func (k *ownKey) encode() []byte {
	r := ownKeyRow{Key: k.record.Serialize()}
	for address := range k.given {
		r.Given = append(r.Given, address)
	}
	return mustJSON(r)
}

// keyShelf is the store that libsignal sees of one sender key.
type keyShelf struct{ record *senderkey.SenderKey }

func newKeyShelf(record *senderkey.SenderKey) *keyShelf {
	if record == nil {
		record = senderkey.NewSenderKey(serializer.SenderKeyRecord, serializer.SenderKeyState)
	}
	return &keyShelf{record}
}

func (k *keyShelf) LoadSenderKey(context.Context, *protocol.SenderKeyName) (*senderkey.SenderKey, error) {
	return k.record, nil
}

func (k *keyShelf) StoreSenderKey(_ context.Context, _ *protocol.SenderKeyName, record *senderkey.SenderKey) error {
	k.record = record
	return nil
}

func (k *keyShelf) cipher() (*groups.SessionBuilder, *groups.GroupCipher) {
	builder := groups.NewGroupSessionBuilder(k, serializer)
	return builder, groups.NewGroupCipher(builder, noName, k)
}

// noName is enough of a name: a shelf holds one key.
var noName = protocol.NewSenderKeyName("", protocol.NewSignalAddress("", 0))

// ownKeyFor returns the sender key of a phone in a room, made if there is none, and the message that gives it to
// others as it is now.
func (s *Server) ownKeyFor(t *batch, u *user, room string) (*ownKey, *waE2E.Message, error) {
	key := u.ownKeys[room]
	if key == nil {
		key = &ownKey{given: map[string]bool{}}
		u.ownKeys[room] = key
	}
	shelf := newKeyShelf(key.record)
	builder, _ := shelf.cipher()
	distribution, err := builder.Create(context.Background(), noName)
	if err != nil {
		return nil, nil, fmt.Errorf("making a sender key for %s: %w", room, err)
	}
	key.record = shelf.record
	t.put(tableOwnKeys, u.number+"/"+room, key.encode)
	return key, &waE2E.Message{SenderKeyDistributionMessage: &waE2E.SenderKeyDistributionMessage{
		GroupID: proto.String(room), AxolotlSenderKeyDistributionMessage: distribution.Serialize(),
	}}, nil
}

// seal encrypts for a room with a phone's sender key.
func (k *ownKey) seal(plain []byte) ([]byte, error) {
	shelf := newKeyShelf(k.record)
	_, cipher := shelf.cipher()
	sealed, err := cipher.Encrypt(context.Background(), pad(plain))
	if err != nil {
		return nil, fmt.Errorf("encrypting with a sender key: %w", err)
	}
	return sealed.SignedSerialize(), nil
}

// errNoSenderKey says that a phone was not given the sender key of a message.
var errNoSenderKey = errors.New("the phone does not have the sender key")

func senderKeyRow(u *user, room string, from *device) string {
	return u.number + "/" + room + "/" + from.address()
}

// takeSenderKey lets a phone keep the sender key that a companion gave it. One that it has it keeps as it is: clients
// send theirs along with every message.
func (s *Server) takeSenderKey(t *batch, u *user, room string, from *device, raw []byte) error {
	distribution, err := protocol.NewSenderKeyDistributionMessageFromBytes(raw, serializer.SenderKeyDistributionMessage)
	if err != nil {
		return fmt.Errorf("parsing a sender key: %w", err)
	}
	key := senderKeyRow(u, room, from)
	shelf := newKeyShelf(u.senderKeys[key])
	if _, err = shelf.record.GetSenderKeyStateByID(distribution.ID()); err == nil {
		return nil
	}
	builder, _ := shelf.cipher()
	if err = builder.Process(context.Background(), noName, distribution); err != nil {
		return fmt.Errorf("taking a sender key: %w", err)
	}
	s.putSenderKey(t, u, key, shelf.record)
	return nil
}

func (s *Server) putSenderKey(t *batch, u *user, key string, record *senderkey.SenderKey) {
	u.senderKeys[key] = record
	t.put(tableSenderKeys, key, func() []byte {
		if current := u.senderKeys[key]; current != nil {
			return current.Serialize()
		}
		return nil
	})
}

// unseal decrypts what a companion encrypted for a room, on behalf of a phone. A failure leaves the key as it was.
func (s *Server) unseal(t *batch, u *user, room string, from *device, ciphertext []byte) ([]byte, error) {
	key := senderKeyRow(u, room, from)
	record := u.senderKeys[key]
	if record == nil {
		return nil, errNoSenderKey
	}
	message, err := protocol.NewSenderKeyMessageFromBytes(ciphertext, serializer.SenderKeyMessage)
	if err != nil {
		return nil, fmt.Errorf("parsing a sender key message: %w", err)
	}
	if _, err = record.GetSenderKeyStateByID(message.KeyID()); err != nil {
		return nil, errNoSenderKey
	}
	saved := record.Serialize()
	shelf := newKeyShelf(record)
	_, cipher := shelf.cipher()
	plain, err := cipher.Decrypt(context.Background(), message)
	if err != nil {
		restored, restoreErr := senderkey.NewSenderKeyFromBytes(saved, serializer.SenderKeyRecord, serializer.SenderKeyState)
		if restoreErr != nil {
			return nil, fmt.Errorf("restoring a sender key: %w", restoreErr)
		}
		u.senderKeys[key] = restored
		return nil, err
	}
	s.putSenderKey(t, u, key, shelf.record)
	return unpad(plain)
}

// senderChain is how far a companion's sender key in a room was used.
type senderChain struct {
	KeyID     uint32   `json:"keyId"`
	Iteration uint32   `json:"iteration"`
	Sum       [32]byte `json:"sum"` // of the last ciphertext
}

// reusesSenderKey says what is wrong if a companion encrypts with an iteration of its sender key that is behind the
// last one. It notes the iteration otherwise.
func (s *Server) reusesSenderKey(t *batch, from *device, room string, ciphertext []byte) string {
	message, err := protocol.NewSenderKeyMessageFromBytes(ciphertext, serializer.SenderKeyMessage)
	if err != nil {
		return "" // the receivers will find out
	}
	row := from.address() + "/" + room
	next := senderChain{message.KeyID(), message.Iteration(), sha256.Sum256(ciphertext)}
	if last, ok := s.world.chains[row]; ok && last.KeyID == next.KeyID && next.Iteration <= last.Iteration {
		if last.Sum == next.Sum {
			return ""
		}
		return fmt.Sprintf("iteration %d of the sender key came after iteration %d", next.Iteration, last.Iteration)
	}
	s.world.chains[row] = next
	t.put(tableSenderChains, row, encodeJSON(next))
	return ""
}

// renewKeys lets the members of a group make new sender keys, so that those who went cannot read on, and lets those
// who went forget the keys that they have.
func (s *Server) renewKeys(t *batch, g *group, gone []*user) {
	room := g.jid().String()
	for _, u := range append(s.membersOf(g), gone...) {
		if u.ownKeys[room] != nil {
			delete(u.ownKeys, room)
			t.drop(tableOwnKeys, u.number+"/"+room)
		}
	}
	for _, u := range gone {
		for key := range u.senderKeys {
			if strings.HasPrefix(key, u.number+"/"+room+"/") {
				delete(u.senderKeys, key)
				t.drop(tableSenderKeys, key)
			}
		}
	}
}

// forgetSenderKeys forgets what concerns the sender keys of a companion that is gone.
func (s *Server) forgetSenderKeys(t *batch, d *device) {
	for _, u := range s.world.users {
		for room, key := range u.ownKeys {
			if key.given[d.address()] {
				delete(key.given, d.address())
				t.put(tableOwnKeys, u.number+"/"+room, key.encode)
			}
		}
		for key := range u.senderKeys {
			if strings.HasSuffix(key, "/"+d.address()) {
				delete(u.senderKeys, key)
				t.drop(tableSenderKeys, key)
			}
		}
	}
	for row := range s.world.chains {
		if strings.HasPrefix(row, d.address()+"/") {
			delete(s.world.chains, row)
			t.drop(tableSenderChains, row)
		}
	}
}

func (s *Server) readOwnKey(row string, value []byte) error {
	var r ownKeyRow
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	name, room, _ := strings.Cut(row, "/")
	u := s.world.users[name]
	if u == nil {
		return fmt.Errorf("it is not a key of a known number")
	}
	record, err := senderkey.NewSenderKeyFromBytes(r.Key, serializer.SenderKeyRecord, serializer.SenderKeyState)
	if err != nil {
		return err
	}
	key := &ownKey{record: record, given: map[string]bool{}}
	for _, address := range r.Given {
		key.given[address] = true
	}
	u.ownKeys[room] = key
	return nil
}

func (s *Server) readSenderKey(row string, value []byte) error {
	name, _, _ := strings.Cut(row, "/")
	u := s.world.users[name]
	if u == nil {
		return fmt.Errorf("it is not a key of a known number")
	}
	record, err := senderkey.NewSenderKeyFromBytes(value, serializer.SenderKeyRecord, serializer.SenderKeyState)
	if err != nil {
		return err
	}
	u.senderKeys[row] = record
	return nil
}

func (s *Server) readSenderChain(row string, value []byte) error {
	var chain senderChain
	if err := json.Unmarshal(value, &chain); err != nil {
		return err
	}
	s.world.chains[row] = chain
	return nil
}
