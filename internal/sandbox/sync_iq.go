package sandbox

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waServerSync"
	"google.golang.org/protobuf/proto"
)

// maxPatchesInAnswer is how many patches a client gets at once; it asks again for the others.
const maxPatchesInAnswer = 100

// syncAnswer is what a client gets about one collection.
type syncAnswer struct {
	node     node
	snapshot []byte // SyncdSnapshot, to be put on the media servers; nil: none
}

// handleSync answers what clients ask about their app state, and takes their patches (whatsmeow appstate.go).
func (c *conn) handleSync(n *node, sync node) {
	var answers []syncAnswer
	c.s.update(func(t *batch) {
		for _, wanted := range sync.GetChildrenByTag("collection") {
			answers = append(answers, c.syncCollection(t, &wanted))
		}
	})
	number := c.device.user.number
	files := make([]sealedMedia, len(answers))
	for i, a := range answers {
		if a.snapshot == nil {
			continue
		}
		var err error
		if files[i], err = c.s.sealBytes(a.snapshot, whatsmeow.MediaAppState, number); err != nil {
			c.s.log.Error("A snapshot could not be kept", "error", err)
			c.send(iqError(n, 500, "internal-server-error"))
			return
		}
	}
	c.s.update(func(t *batch) {
		children := make([]node, len(answers))
		for i, a := range answers {
			children[i] = a.node
			if a.snapshot != nil {
				children[i].Content = append([]node{c.s.snapshotNode(t, files[i])}, children[i].GetChildren()...)
			}
		}
		answer := result(n, node{Tag: "sync", Content: children})
		t.then(func() { c.send(answer) })
	})
}

// snapshotNode refers to a snapshot on the media servers.
func (s *Server) snapshotNode(t *batch, m sealedMedia) node {
	f := s.addMedia(t, m.file)
	raw, err := proto.Marshal(&waServerSync.ExternalBlobReference{
		MediaKey: m.key, DirectPath: proto.String(f.path()), Handle: &f.ID, FileSizeBytes: &m.length,
		FileSHA256: m.hash, FileEncSHA256: m.encHash,
	})
	if err != nil { // plain data
		s.log.Error("A reference to a snapshot could not be encoded", "error", err)
	}
	return node{Tag: "snapshot", Content: raw}
}

// syncCollection answers what a client asks about one collection. Called with s.mu held.
func (c *conn) syncCollection(t *batch, wanted *node) syncAnswer {
	s, u := c.s, c.device.user
	a := s.syncOf(t, u)
	name := str(wanted, "name")
	col := a.collections[name]
	version, err := strconv.ParseUint("0"+str(wanted, "version"), 10, 64)
	if col == nil || err != nil {
		return syncError(name, 400, "bad-request", nil)
	}
	if !slices.Contains(c.device.fetched, name) {
		c.device.fetched = append(c.device.fetched, name)
		t.put(tableDevices, c.device.address(), c.device.encode)
	}
	var failure *syncFailure
	patch, isPatch := wanted.GetOptionalChildByTag("patch")
	if isPatch {
		if failure = c.takePatch(t, col, version, content(patch)); failure != nil && failure.code != 409 {
			s.recordViolation(t, ViolationBadSync, u.pn(c.device.id).String(), fmt.Sprintf("a patch of %s: %s", name, failure.text))
			return syncError(name, failure.code, failure.text, nil)
		}
	}
	answer := syncAnswer{node: node{Tag: "collection", Attrs: attrs{"name": name, "version": col.version, "has_more_patches": "false"}}}
	if isPatch && failure == nil {
		return answer
	}
	patches, more, ok := col.since(version, maxPatchesInAnswer)
	if version == 0 || str(wanted, "return_snapshot") == "true" || !ok {
		if answer.snapshot, err = col.snapshot(a.latest()); err != nil {
			s.log.Error("A snapshot could not be encoded", "error", err)
			return syncError(name, 500, "internal-server-error", nil)
		}
	} else {
		list := make([]node, len(patches))
		for i, raw := range patches {
			list[i] = node{Tag: "patch", Content: raw}
		}
		answer.node.Content = []node{{Tag: "patches", Content: list}}
		answer.node.Attrs["has_more_patches"] = strconv.FormatBool(more)
	}
	if failure != nil { // the client applies what it missed and tries again
		answer.node = syncError(name, failure.code, failure.text, &answer.node).node
	}
	return answer
}

// syncFailure says why a patch is refused.
type syncFailure struct {
	code int
	text string
}

func syncError(name string, code int, text string, about *node) syncAnswer {
	n := node{Tag: "collection", Attrs: attrs{"name": name}}
	var children []node
	if about != nil {
		n.Attrs, children = about.Attrs, about.GetChildren()
	}
	n.Attrs["type"] = "error"
	n.Content = append([]node{{Tag: "error", Attrs: attrs{"code": code, "text": text}}}, children...)
	return syncAnswer{node: n}
}

// takePatch checks a client's patch as its phone and the account's other companions would, and applies it.
func (c *conn) takePatch(t *batch, col *collection, version uint64, raw []byte) *syncFailure {
	if version != col.version {
		return &syncFailure{409, "conflict"}
	}
	a := c.device.user.sync
	var patch waServerSync.SyncdPatch
	if err := proto.Unmarshal(raw, &patch); err != nil {
		return &syncFailure{400, err.Error()}
	}
	list, err := a.openPatch(&patch)
	if err != nil {
		return &syncFailure{400, err.Error()}
	}
	hash, err := col.next(list)
	if err != nil {
		return &syncFailure{400, err.Error()}
	}
	next := col.version + 1
	k := a.key(patch.GetKeyID().GetID())
	switch {
	case k == nil:
		err = errSyncKey
	case !hmac.Equal(hash.snapshotMAC(col.name, next, k.expanded()), patch.GetSnapshotMAC()):
		err = errors.New("its snapshot MAC is not that of the collection that it makes")
	case !hmac.Equal(patchMAC(&patch, col.name, next, k.expanded()), patch.GetPatchMAC()):
		err = errors.New("its patch MAC is wrong")
	}
	if err != nil {
		return &syncFailure{400, err.Error()}
	}
	patch.Version = &waServerSync.SyncdVersion{Version: &next}
	if err = c.s.commitPatch(t, c.device.user, col, &patch, list, hash, c.device); err != nil {
		return &syncFailure{400, err.Error()}
	}
	return nil
}

// openPatch checks and decrypts the mutations of a patch.
func (a *appSync) openPatch(patch *waServerSync.SyncdPatch) ([]mutation, error) {
	if patch.GetExternalMutations() != nil {
		return nil, errors.New("its mutations are outside of it, which only large ones from phones are")
	}
	if len(patch.GetMutations()) == 0 {
		return nil, errors.New("it has no mutations")
	}
	list := make([]mutation, len(patch.GetMutations()))
	for i, wire := range patch.GetMutations() {
		r, err := openRecord(a.key(wire.GetRecord().GetKeyID().GetID()), wire.GetOperation(), wire.GetRecord())
		if err != nil {
			return nil, fmt.Errorf("mutation %d: %w", i+1, err)
		}
		list[i] = mutation{remove: wire.GetOperation() == waServerSync.SyncdMutation_REMOVE, record: r}
	}
	return list, nil
}
