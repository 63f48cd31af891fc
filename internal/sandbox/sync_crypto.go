package sandbox

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/whatsmeow/appstate/lthash"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/util/cbcutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"google.golang.org/protobuf/proto"
)

// This file holds the arithmetic of app state, written apart from the client's own (whatsmeow appstate/hash.go,
// keys.go, encode.go), so that a mistake in one shows against the other.

// syncMAC is how many bytes of a value's MAC stand at its end.
const syncMAC = 32

// syncKeys are what a mutation is encrypted and signed with, all made from one shared key.
type syncKeys struct{ index, value, valueMAC, snapshotMAC, patchMAC []byte }

func expandSyncKey(data []byte) syncKeys {
	k := hkdfutil.SHA256(data, nil, []byte("WhatsApp Mutation Keys"), 160)
	return syncKeys{index: k[:32], value: k[32:64], valueMAC: k[64:96], snapshotMAC: k[96:128], patchMAC: k[128:160]}
}

// syncRecord is one setting: an index, such as ["mute","5511…@s.whatsapp.net"], and its value.
type syncRecord struct {
	indexMAC []byte
	blob     []byte // the encrypted setting and its MAC
	keyID    []byte
	index    []string
	action   *waSyncAction.SyncActionData
}

// mutation sets or removes a record.
type mutation struct {
	remove bool
	record *syncRecord
}

func (m *mutation) operation() waServerSync.SyncdMutation_SyncdOperation {
	if m.remove {
		return waServerSync.SyncdMutation_REMOVE
	}
	return waServerSync.SyncdMutation_SET
}

func (r *syncRecord) valueMAC() []byte { return r.blob[len(r.blob)-syncMAC:] }

func (r *syncRecord) wire() *waServerSync.SyncdRecord {
	return &waServerSync.SyncdRecord{
		Index: &waServerSync.SyncdIndex{Blob: r.indexMAC},
		Value: &waServerSync.SyncdValue{Blob: r.blob},
		KeyID: &waServerSync.KeyId{ID: r.keyID},
	}
}

func hmac256(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

func bytes64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// contentMAC signs an encrypted value together with what is done with it.
func contentMAC(operation waServerSync.SyncdMutation_SyncdOperation, content, keyID, key []byte) []byte {
	mac := hmac.New(sha512.New, key)
	mac.Write([]byte{byte(operation) + 1})
	mac.Write(keyID)
	mac.Write(content)
	mac.Write(bytes64(uint64(len(keyID) + 1)))
	return mac.Sum(nil)[:syncMAC]
}

// sealRecord encrypts a setting.
func sealRecord(k *syncKey, remove bool, index []string, version int32, value *waSyncAction.SyncActionValue) (*syncRecord, error) {
	rawIndex, err := json.Marshal(index)
	if err != nil {
		return nil, fmt.Errorf("encoding an index: %w", err)
	}
	r := &syncRecord{index: index, keyID: k.ID, action: &waSyncAction.SyncActionData{
		Index: rawIndex, Value: value, Padding: []byte{}, Version: &version,
	}}
	plain, err := proto.Marshal(r.action)
	if err != nil {
		return nil, fmt.Errorf("encoding a setting: %w", err)
	}
	iv := make([]byte, 16)
	_, _ = rand.Read(iv)
	keys := k.expanded()
	sealed, err := cbcutil.Encrypt(keys.value, iv, plain)
	if err != nil {
		return nil, fmt.Errorf("encrypting a setting: %w", err)
	}
	content := slices.Concat(iv, sealed)
	m := mutation{remove: remove, record: r}
	r.indexMAC = hmac256(keys.index, rawIndex)
	r.blob = append(content, contentMAC(m.operation(), content, k.ID, keys.valueMAC)...)
	return r, nil
}

// What can be wrong with a mutation.
var (
	errSyncShape    = errors.New("it lacks a part")
	errSyncKey      = errors.New("the phone does not know its key")
	errSyncValueMAC = errors.New("its value's MAC is wrong")
	errSyncIndexMAC = errors.New("its index's MAC is wrong")
)

// openRecord checks and decrypts a mutation.
func openRecord(k *syncKey, operation waServerSync.SyncdMutation_SyncdOperation, wire *waServerSync.SyncdRecord) (*syncRecord, error) {
	r := &syncRecord{indexMAC: wire.GetIndex().GetBlob(), blob: wire.GetValue().GetBlob(), keyID: wire.GetKeyID().GetID()}
	length := len(r.blob) - syncMAC
	if len(r.indexMAC) != sha256.Size || length < 32 || length%16 != 0 {
		return nil, errSyncShape
	}
	if k == nil {
		return nil, errSyncKey
	}
	keys := k.expanded()
	sealed := r.blob[:length]
	if !hmac.Equal(contentMAC(operation, sealed, k.ID, keys.valueMAC), r.valueMAC()) {
		return nil, errSyncValueMAC
	}
	plain, err := cbcutil.Decrypt(keys.value, sealed[:16], slices.Clone(sealed[16:])) // it decrypts in place
	if err != nil {
		return nil, fmt.Errorf("decrypting it: %w", err)
	}
	r.action = &waSyncAction.SyncActionData{}
	if err = proto.Unmarshal(plain, r.action); err != nil {
		return nil, fmt.Errorf("decoding it: %w", err)
	}
	if !hmac.Equal(hmac256(keys.index, r.action.GetIndex()), r.indexMAC) {
		return nil, errSyncIndexMAC
	}
	if err = json.Unmarshal(r.action.GetIndex(), &r.index); err != nil || len(r.index) == 0 {
		return nil, fmt.Errorf("its index is not a list of texts: %s", r.action.GetIndex())
	}
	return r, nil
}

// syncHash sums up all values of a collection: what is added and taken away in whatever order gives the same sum.
type syncHash [128]byte

func (h *syncHash) change(taken, added [][]byte) {
	lthash.WAPatchIntegrity.SubtractThenAddInPlace(h[:], taken, added)
}

func (h *syncHash) snapshotMAC(name string, version uint64, keys syncKeys) []byte {
	return hmac256(keys.snapshotMAC, h[:], bytes64(version), []byte(name))
}

// patchMAC signs a patch as the one that made this version.
func patchMAC(patch *waServerSync.SyncdPatch, name string, version uint64, keys syncKeys) []byte {
	parts := [][]byte{patch.GetSnapshotMAC()}
	for _, m := range patch.GetMutations() {
		blob := m.GetRecord().GetValue().GetBlob()
		parts = append(parts, blob[len(blob)-syncMAC:])
	}
	return hmac256(keys.patchMAC, append(parts, bytes64(version), []byte(name))...)
}
