package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/util/keys"
)

// rowKey names a row of the database.
type rowKey struct{ table, key string }

// What the database keeps. Each table maps a key to a value.
const (
	tableMeta         = "meta"          // version, root
	tableUsers        = "users"         // by number
	tableDevices      = "devices"       // by number:id
	tablePreKeys      = "prekeys"       // companions' one-time keys, by number:id/key id; empty value: handed out
	tablePhonePreKeys = "phone_prekeys" // phones' one-time keys, by number/key id
	tableSessions     = "sessions"      // Signal sessions of phones, by number/number:id
	tableStanzas      = "stanzas"       // what companions have not confirmed, by number:id/sequence
	tableMessages     = "messages"      // by sequence
	tableConfirmed    = "confirmed"     // by number/sequence
	tableSeen         = "seen"          // by number/stanza
	tableViolations   = "violations"    // by sequence
	tableMedia        = "media"         // paths of media files, by id
	tableProfiles     = "profiles"      // by number
	tableSyncKeys     = "sync_keys"     // keys of app state, by number/id
	tableCollections  = "sync"          // by number/name
	tableSyncRecords  = "sync_records"  // by number/collection/MAC of the index
	tableSyncPatches  = "sync_patches"  // by number/collection/version
)

// encodeJSON encodes a value when its row is written.
func encodeJSON(value any) func() []byte {
	return func() []byte { return mustJSON(value) }
}

func mustJSON(value any) []byte {
	raw, err := json.Marshal(value)
	if err != nil { // all values are plain data
		return []byte("null")
	}
	return raw
}

type userRow struct {
	Name           string  `json:"name"`
	Identity       []byte  `json:"identity"` // private
	RegistrationID uint32  `json:"registrationId"`
	SignedPreKey   privRow `json:"signedPreKey"`
	NextPreKey     uint32  `json:"nextPreKey"`
	NextDevice     uint16  `json:"nextDevice"`
	LastSeen       int64   `json:"lastSeen,omitempty"` // seconds since 1970
}

type privRow struct {
	ID        uint32 `json:"id"`
	Key       []byte `json:"key"`
	Signature []byte `json:"signature"`
}

type deviceRow struct {
	NoiseKey       []byte    `json:"noiseKey"`
	Identity       []byte    `json:"identity"`
	RegistrationID uint32    `json:"registrationId"`
	SignedPreKey   privRow   `json:"signedPreKey"`
	KeyIndex       uint32    `json:"keyIndex"`
	PairedAt       time.Time `json:"pairedAt"`
	Synced         int       `json:"synced,omitempty"`
	Full           bool      `json:"full,omitempty"`
}

type stanzaRowValue struct {
	Class string `json:"class"`
	ID    string `json:"id"`
	Kind  string `json:"kind,omitempty"`
	From  string `json:"from,omitempty"`
	Data  []byte `json:"data"`
}

func (u *user) encode() []byte {
	var lastSeen int64
	if !u.lastSeen.IsZero() {
		lastSeen = u.lastSeen.Unix()
	}
	return mustJSON(userRow{
		LastSeen: lastSeen, Name: u.name, Identity: u.identity.Priv[:], RegistrationID: u.registrationID,
		SignedPreKey: privRow{u.signedPreKey.KeyID, u.signedPreKey.Priv[:], u.signedPreKey.Signature[:]},
		NextPreKey:   u.nextPreKey, NextDevice: u.nextDevice,
	})
}

func (d *device) encode() []byte {
	return mustJSON(deviceRow{
		NoiseKey: d.noiseKey[:], Identity: d.identity[:], RegistrationID: d.registrationID,
		SignedPreKey: privRow{d.signedPreKey.ID, d.signedPreKey.Key[:], d.signedPreKey.Signature},
		KeyIndex:     d.keyIndex, PairedAt: d.pairedAt, Synced: d.synced, Full: d.full,
	})
}

func (st *stanza) encode() []byte {
	return mustJSON(stanzaRowValue{st.class, st.id, st.kind, st.from, st.data})
}

// open opens the database and reads the state. Tables are read in an order in which each finds what it refers to.
func (s *Server) open(dir string) error {
	var err error
	if s.store, err = openDatabase(dir); err != nil {
		return err
	}
	byTable := map[string][]row{}
	err = s.store.each(func(table, key string, value []byte) error {
		byTable[table] = append(byTable[table], row{rowKey{table, key}, value})
		return nil
	})
	for _, step := range []struct {
		table string
		read  func(key string, value []byte) error
	}{
		{tableMeta, s.readMeta}, {tableUsers, s.readUser}, {tableDevices, s.readDevice}, {tablePreKeys, s.readPreKey},
		{tableGroups, s.readGroup}, {tableOwnKeys, s.readOwnKey}, {tableSenderKeys, s.readSenderKey},
		{tableSenderChains, s.readSenderChain}, {tableCalls, s.readCall},
		{tablePhonePreKeys, s.readPhonePreKey}, {tableSessions, s.readSession}, {tableStanzas, s.readStanza},
		{tableMessages, s.readMessage}, {tableConfirmed, s.readConfirmed}, {tableSeen, s.readSeen}, {tableViolations, s.readViolation},
		{tableMedia, s.readMedia}, {tableSyncKeys, s.readSyncKey}, {tableCollections, s.readCollection},
		{tableSyncRecords, s.readSyncRecord}, {tableSyncPatches, s.readSyncPatch}, {tableProfiles, s.readProfile},
	} {
		for _, r := range byTable[step.table] {
			if err == nil {
				if err = step.read(r.key, r.value); err != nil {
					err = fmt.Errorf("reading %s %s: %w", r.table, r.key, err)
				}
			}
		}
	}
	if err == nil {
		err = s.checkMedia()
	}
	if err != nil {
		_ = s.store.db.Close()
		return fmt.Errorf("reading the sandbox's state: %w", err)
	}
	for _, u := range s.world.users {
		slices.SortStableFunc(u.seenOrder, func(a, b string) int { return u.seen[a].Compare(u.seen[b]) })
	}
	s.current.put(tableMeta, "version", func() []byte { return []byte(stateVersion) })
	return nil
}

func (s *Server) readMeta(key string, value []byte) error {
	switch key {
	case "version":
		if string(value) != stateVersion {
			return fmt.Errorf("the state has version %s, this sandbox knows version %s", value, stateVersion)
		}
	case "root":
		s.world.rootSeed = value
	}
	return nil
}

func (s *Server) readUser(number string, value []byte) error {
	var r userRow
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	if len(r.Identity) != 32 || len(r.SignedPreKey.Key) != 32 || len(r.SignedPreKey.Signature) != 64 {
		return fmt.Errorf("a key has a wrong length")
	}
	signature := [64]byte(r.SignedPreKey.Signature)
	u := &user{
		number: number, lid: lidOf(number), name: r.Name, registrationID: r.RegistrationID,
		identity: keys.NewKeyPairFromPrivateKey([32]byte(r.Identity)),
		signedPreKey: &keys.PreKey{
			KeyPair: *keys.NewKeyPairFromPrivateKey([32]byte(r.SignedPreKey.Key)), KeyID: r.SignedPreKey.ID, Signature: &signature,
		},
		nextPreKey: r.NextPreKey, nextDevice: r.NextDevice,
	}
	if r.LastSeen != 0 {
		u.lastSeen = time.Unix(r.LastSeen, 0)
	}
	u.makeMaps()
	s.addUser(u)
	return nil
}

func (s *Server) readDevice(address string, value []byte) error {
	var r deviceRow
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	name, idText, _ := strings.Cut(address, ":")
	id, err := strconv.ParseUint(idText, 10, 16)
	u := s.world.users[name]
	if err != nil || u == nil || len(r.NoiseKey) != 32 || len(r.Identity) != 32 || len(r.SignedPreKey.Key) != 32 {
		return fmt.Errorf("it is not a device of a known number")
	}
	d := newDevice(u, uint16(id))
	d.noiseKey, d.identity, d.registrationID = [32]byte(r.NoiseKey), [32]byte(r.Identity), r.RegistrationID
	d.signedPreKey = publicKey{r.SignedPreKey.ID, [32]byte(r.SignedPreKey.Key), r.SignedPreKey.Signature}
	d.keyIndex, d.pairedAt, d.synced, d.full = r.KeyIndex, r.PairedAt, r.Synced, r.Full
	u.devices[d.id] = d
	return nil
}

// deviceAt finds a device by its address, or nil.
func (s *Server) deviceAt(address string) *device {
	name, idText, _ := strings.Cut(address, ":")
	id, err := strconv.ParseUint(idText, 10, 16)
	u := s.world.users[name]
	if err != nil || u == nil {
		return nil
	}
	return u.devices[uint16(id)]
}

func (s *Server) readPreKey(key string, value []byte) error {
	address, idText, _ := strings.Cut(key, "/")
	id, err := strconv.ParseUint(idText, 16, 32)
	d := s.deviceAt(address)
	switch {
	case err != nil || d == nil:
		return fmt.Errorf("it is not a key of a known device")
	case len(value) == 32:
		d.preKeys = append(d.preKeys, publicKey{ID: uint32(id), Key: [32]byte(value)})
	default:
		d.spent[uint32(id)] = true
	}
	return nil
}

func (s *Server) readPhonePreKey(key string, value []byte) error {
	name, idText, _ := strings.Cut(key, "/")
	id, err := strconv.ParseUint(idText, 16, 32)
	u := s.world.users[name]
	if err != nil || u == nil || len(value) != 32 {
		return fmt.Errorf("it is not a key of a known number")
	}
	u.preKeys[uint32(id)] = &keys.PreKey{KeyPair: *keys.NewKeyPairFromPrivateKey([32]byte(value)), KeyID: uint32(id)}
	return nil
}

func (s *Server) readSession(key string, value []byte) error {
	name, remote, _ := strings.Cut(key, "/")
	u := s.world.users[name]
	if u == nil {
		return fmt.Errorf("it is not a session of a known number")
	}
	session, err := record.NewSessionFromBytes(value, serializer.Session, serializer.State)
	if err != nil {
		return err
	}
	u.sessions[remote] = session
	return nil
}

// readSequence reads the sequence number that a key ends in, and keeps the world's ahead of it.
func (s *Server) readSequence(text string) (uint64, error) {
	seq, err := strconv.ParseUint(text, 16, 64)
	s.world.sequence = max(s.world.sequence, seq)
	return seq, err
}

func (s *Server) readStanza(key string, value []byte) error {
	var r stanzaRowValue
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	address, seqText, _ := strings.Cut(key, "/")
	seq, err := s.readSequence(seqText)
	d := s.deviceAt(address)
	if err != nil || d == nil {
		return fmt.Errorf("it is not for a known device")
	}
	d.queue = append(d.queue, &stanza{seq: seq, class: r.Class, id: r.ID, kind: r.Kind, from: r.From, data: r.Data})
	return nil
}

func (s *Server) readMessage(key string, value []byte) error {
	var m message
	if err := json.Unmarshal(value, &m); err != nil {
		return err
	}
	if _, err := s.readSequence(key); err != nil {
		return err
	}
	if u := s.world.users[m.From]; u != nil {
		u.addSent(&m)
	}
	for _, name := range m.Read {
		if u := s.world.users[name]; u != nil {
			u.addReceived(&m)
		}
	}
	return nil
}

func (s *Server) readConfirmed(key string, value []byte) error {
	var c Confirmation
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	name, seqText, _ := strings.Cut(key, "/")
	if _, err := s.readSequence(seqText); err != nil {
		return err
	}
	if u := s.world.users[name]; u != nil {
		u.confirmed = append(u.confirmed, c)
	}
	return nil
}

func (s *Server) readSeen(key string, value []byte) error {
	name, stanzaKey, _ := strings.Cut(key, "/")
	seconds, err := strconv.ParseInt(string(value), 10, 64)
	if u := s.world.users[name]; u != nil {
		u.seen[stanzaKey] = time.Unix(seconds, 0)
		u.seenOrder = append(u.seenOrder, stanzaKey)
	}
	return err
}

func (s *Server) readViolation(key string, value []byte) error {
	var v Violation
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	s.world.violations = append(s.world.violations, v)
	_, err := s.readSequence(key)
	return err
}
