package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow/proto/waServerSync"
)

// How an account's app state is kept: its keys, its collections, and each collection's records and patches.

type collectionRow struct {
	Version uint64 `json:"version"`
	Hash    []byte `json:"hash"`
}

type recordRow struct {
	Index []byte `json:"index"` // MAC
	Value []byte `json:"value"`
	KeyID []byte `json:"keyId"`
}

func (c *collection) encode() []byte { return mustJSON(collectionRow{c.version, c.hash[:]}) }

func (r *syncRecord) encode() []byte { return mustJSON(recordRow{r.indexMAC, r.blob, r.keyID}) }

// syncAt finds the app state and, if the key names one, the collection that a row belongs to.
func (s *Server) syncAt(key string) (*appSync, *collection, error) {
	parts := strings.Split(key, "/")
	u := s.world.users[parts[0]]
	if u == nil || len(parts) < 2 {
		return nil, nil, fmt.Errorf("it is not of a known number")
	}
	if u.sync == nil {
		u.sync = &appSync{collections: map[string]*collection{}}
	}
	return u.sync, u.sync.collections[parts[1]], nil
}

func (s *Server) readSyncKey(key string, value []byte) error {
	a, _, err := s.syncAt(key)
	if err != nil {
		return err
	}
	var k syncKey
	if err = json.Unmarshal(value, &k); err != nil {
		return err
	}
	a.keys = append(a.keys, &k)
	slices.SortStableFunc(a.keys, func(x, y *syncKey) int { return x.At.Compare(y.At) })
	return nil
}

func (s *Server) readCollection(key string, value []byte) error {
	a, _, err := s.syncAt(key)
	if err != nil {
		return err
	}
	var r collectionRow
	if err = json.Unmarshal(value, &r); err != nil {
		return err
	}
	_, name, _ := strings.Cut(key, "/")
	c := &collection{name: name, version: r.Version, records: map[string]*syncRecord{}}
	copy(c.hash[:], r.Hash)
	a.collections[name] = c
	return nil
}

func (s *Server) readSyncRecord(key string, value []byte) error {
	a, c, err := s.syncAt(key)
	if err != nil {
		return err
	}
	var row recordRow
	if err = json.Unmarshal(value, &row); err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("it is not of a known collection")
	}
	wire := (&syncRecord{indexMAC: row.Index, blob: row.Value, keyID: row.KeyID}).wire()
	r, err := openRecord(a.key(row.KeyID), waServerSync.SyncdMutation_SET, wire)
	if err != nil {
		return err
	}
	c.records[string(r.indexMAC)] = r
	return nil
}

func (s *Server) readSyncPatch(key string, value []byte) error {
	_, c, err := s.syncAt(key)
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("it is not of a known collection")
	}
	c.patches = append(c.patches, value)
	return nil
}
