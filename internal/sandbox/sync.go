package sandbox

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// appSync is an account's app state: what its phone and its companions keep in common, such as which chats are muted.
// It is made when it is first needed.
type appSync struct {
	keys        []*syncKey // oldest first; the last one is used
	collections map[string]*collection
}

// syncKey is a key that the phone made and shared with the companions.
type syncKey struct {
	ID   []byte    `json:"id"`
	Data []byte    `json:"data"`
	At   time.Time `json:"at"`
	keys *syncKeys
}

func (k *syncKey) expanded() syncKeys {
	if k.keys == nil {
		expanded := expandSyncKey(k.Data)
		k.keys = &expanded
	}
	return *k.keys
}

// collection is one part of an account's app state, with a version of its own. It starts at version 1: at version 0,
// clients take everything for a first synchronization, which makes no events (whatsmeow appstate.go, fetchAppState).
type collection struct {
	name    string
	version uint64
	hash    syncHash
	records map[string]*syncRecord // by index MAC
	patches [][]byte               // SyncdPatch; the last one made version
}

// maxPatches is how many patches a collection keeps. A client that was away for more gets a snapshot.
const maxPatches = 5000

// key finds a key by its ID, or nil.
func (a *appSync) key(id []byte) *syncKey {
	i := slices.IndexFunc(a.keys, func(k *syncKey) bool { return bytes.Equal(k.ID, id) })
	if i < 0 {
		return nil
	}
	return a.keys[i]
}

func (a *appSync) latest() *syncKey { return a.keys[len(a.keys)-1] }

// syncOf returns the account's app state, made if it is new. Called with s.mu held.
func (s *Server) syncOf(t *batch, u *user) *appSync {
	if u.sync != nil {
		return u.sync
	}
	u.sync = &appSync{collections: map[string]*collection{}}
	s.addSyncKey(t, u)
	for _, name := range appstate.AllPatchNames {
		col := &collection{name: string(name), version: 1, records: map[string]*syncRecord{}}
		u.sync.collections[col.name] = col
		t.put(tableCollections, u.number+"/"+col.name, col.encode)
	}
	s.alignPushName(t, u)
	return u.sync
}

// addSyncKey makes the key that is used from now on. An ID is the number of the device that made it, and a rising one.
func (s *Server) addSyncKey(t *batch, u *user) {
	var epoch uint32
	if len(u.sync.keys) > 0 {
		epoch = binary.BigEndian.Uint32(u.sync.latest().ID[2:]) + 1
	} else {
		raw := make([]byte, 4)
		_, _ = rand.Read(raw)
		epoch = binary.BigEndian.Uint32(raw) % 0xffff
	}
	k := &syncKey{ID: binary.BigEndian.AppendUint32([]byte{0, 0}, epoch), Data: make([]byte, 32), At: time.Now().UTC()}
	_, _ = rand.Read(k.Data)
	u.sync.keys = append(u.sync.keys, k)
	t.put(tableSyncKeys, fmt.Sprintf("%s/%s", u.number, hex.EncodeToString(k.ID)), encodeJSON(k))
}

// alignPushName writes the phone's push name into its app state, from where the companions have theirs.
func (s *Server) alignPushName(t *batch, u *user) {
	known := u.sync.collections[string(appstate.WAPatchCriticalBlock)].value(appstate.IndexSettingPushName)
	if known != nil && known.action.GetValue().GetPushNameSetting().GetName() == u.name {
		return
	}
	if err := s.mutate(t, u, appstate.BuildSettingPushName(u.name)); err != nil {
		s.log.Error("A push name could not be written into the app state", "number", u.number, "error", err)
	}
}

// value returns the record with this index, or nil.
func (c *collection) value(index ...string) *syncRecord {
	for _, r := range c.records {
		if slices.Equal(r.index, index) {
			return r
		}
	}
	return nil
}

// mutate lets the phone change its app state, and tells its companions.
func (s *Server) mutate(t *batch, u *user, patch appstate.PatchInfo) error {
	var list []mutation
	for _, m := range patch.Mutations {
		at := time.Now().UnixMilli()
		m.Value.Timestamp = &at
		r, err := sealRecord(s.syncOf(t, u).latest(), false, m.Index, m.Version, m.Value)
		if err != nil {
			return err
		}
		list = append(list, mutation{record: r})
	}
	return s.change(t, u, string(patch.Type), list)
}

// change makes the next version of a collection with the phone's own mutations.
func (s *Server) change(t *batch, u *user, name string, list []mutation) error {
	a := s.syncOf(t, u)
	col, k := a.collections[name], a.latest()
	hash, err := col.next(list)
	if err != nil {
		return err
	}
	patch := &waServerSync.SyncdPatch{
		Version:     &waServerSync.SyncdVersion{Version: proto.Uint64(col.version + 1)},
		SnapshotMAC: hash.snapshotMAC(name, col.version+1, k.expanded()),
		KeyID:       &waServerSync.KeyId{ID: k.ID},
	}
	for _, m := range list {
		patch.Mutations = append(patch.Mutations, &waServerSync.SyncdMutation{Operation: m.operation().Enum(), Record: m.record.wire()})
	}
	patch.PatchMAC = patchMAC(patch, name, col.version+1, k.expanded())
	return s.commitPatch(t, u, col, patch, list, hash, nil)
}

var errSyncRemove = errors.New("it removes what is not there")

// next returns the hash that a collection has after the mutations.
func (c *collection) next(list []mutation) (syncHash, error) {
	hash := c.hash
	var taken, added [][]byte
	current := map[string]*syncRecord{} // what the mutations before did; nil: removed
	for i := range list {
		m := &list[i]
		key := string(m.record.indexMAC)
		before, touched := current[key]
		if !touched {
			before = c.records[key]
		}
		if before != nil {
			taken = append(taken, before.valueMAC())
		} else if m.remove {
			return hash, errSyncRemove
		}
		current[key] = nil
		if !m.remove {
			added = append(added, m.record.valueMAC())
			current[key] = m.record
		}
	}
	hash.change(taken, added)
	return hash, nil
}

// commitPatch makes a checked patch the collection's next version, and tells all companions but the one it is from.
func (s *Server) commitPatch(t *batch, u *user, col *collection, patch *waServerSync.SyncdPatch, list []mutation, hash syncHash, from *device) error {
	raw, err := proto.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	prefix := u.number + "/" + col.name
	col.version, col.hash = patch.GetVersion().GetVersion(), hash
	t.put(tableCollections, prefix, col.encode)
	col.patches = append(col.patches, raw)
	t.put(tableSyncPatches, fmt.Sprintf("%s/%016x", prefix, col.version), func() []byte { return raw })
	if len(col.patches) > maxPatches {
		t.drop(tableSyncPatches, fmt.Sprintf("%s/%016x", prefix, col.version-uint64(len(col.patches))+1))
		col.patches = col.patches[1:]
	}
	for _, m := range list {
		key := string(m.record.indexMAC)
		row := prefix + "/" + hex.EncodeToString(m.record.indexMAC)
		if m.remove {
			delete(col.records, key)
			t.drop(tableSyncRecords, row)
			continue
		}
		col.records[key] = m.record
		t.put(tableSyncRecords, row, m.record.encode)
		s.obey(t, u, m.record)
	}
	n := node{Tag: "notification", Attrs: attrs{
		"from": types.ServerJID, "type": "server_sync", "id": randomID(8), "t": unix(now()),
	}, Content: []node{{Tag: "collection", Attrs: attrs{"name": col.name, "version": col.version}}}}
	for _, d := range u.companions() {
		if d != from && d.synced > 0 {
			s.enqueue(t, d, "", n)
		}
	}
	return nil
}

// obey does on the phone what a setting says.
func (s *Server) obey(t *batch, u *user, r *syncRecord) {
	if name := r.action.GetValue().GetPushNameSetting().GetName(); r.index[0] == appstate.IndexSettingPushName && name != "" && name != u.name {
		u.name = name
		t.put(tableUsers, u.number, u.encode)
	}
}

// snapshot is the whole collection in one piece.
func (c *collection) snapshot(k *syncKey) ([]byte, error) {
	out := &waServerSync.SyncdSnapshot{
		Version: &waServerSync.SyncdVersion{Version: &c.version},
		Mac:     c.hash.snapshotMAC(c.name, c.version, k.expanded()),
		KeyID:   &waServerSync.KeyId{ID: k.ID},
	}
	for _, key := range slices.Sorted(maps.Keys(c.records)) {
		out.Records = append(out.Records, c.records[key].wire())
	}
	return proto.Marshal(out)
}

// since returns the patches that bring a client from a version to the present one, at most limit; ok is false if they
// are not all kept.
func (c *collection) since(version uint64, limit int) (patches [][]byte, more, ok bool) {
	missing := c.version - version
	if version > c.version || missing > uint64(len(c.patches)) {
		return nil, false, false
	}
	patches = c.patches[uint64(len(c.patches))-missing:]
	if len(patches) > limit {
		return patches[:limit], true, true
	}
	return patches, false, true
}
