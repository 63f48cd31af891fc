package whatsapp

import (
	"bytes"
	"context"
	"errors"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// heldState is what whatsmeow writes about a collection of the app state while it
// reads a page of it. It stays here until the events of that page are appended:
// whatsmeow stores the version of a patch as soon as it is decrypted, and a crash
// before its events were told would skip them for good.
type heldState struct {
	full    bool // the collection comes as a whole: what was kept of it goes
	set     bool
	version uint64
	hash    [128]byte
	macs    map[string][]byte // by index; nil: removed
	order   []macs
	names   []store.ContactEntry
}

// macs are those of one patch.
type macs struct {
	version uint64
	removed [][]byte
	added   []store.AppStateMutationMAC
}

type heldKey struct{}

func held(ctx context.Context) *heldState {
	h, _ := ctx.Value(heldKey{}).(*heldState)
	return h
}

// errLater is what whatsmeow gets when it wants to fetch a part of the app state
// by itself: the line does it (see syncState), on a path that keeps the version
// back, that ends with the line, and that has one order.
var errLater = errors.New("the app state is fetched by the line")

// GetAppStateVersion begins each of whatsmeow's own fetches.
func (g *guard) GetAppStateVersion(ctx context.Context, name string) (version uint64, hash [128]byte, err error) {
	h := held(ctx)
	switch {
	case h == nil:
		g.l.syncState()
		return 0, hash, errLater
	case h.full:
		return 0, hash, nil
	}
	err = g.do(ctx, "GetAppStateVersion", func(ctx context.Context) (err error) {
		version, hash, err = g.in.GetAppStateVersion(ctx, name)
		return err
	})
	return version, hash, err
}

// PutAppStateVersion is called after each patch, before the changes of its MACs.
func (g *guard) PutAppStateVersion(ctx context.Context, _ string, version uint64, hash [128]byte) error {
	h := held(ctx)
	if h == nil {
		return errLater
	}
	h.set, h.version, h.hash = true, version, hash
	h.order = append(h.order, macs{version: version})
	return nil
}

// DeleteAppStateVersion is never called on the line's own path.
func (g *guard) DeleteAppStateVersion(context.Context, string) error { return errLater }

// DeleteAppStateMutationMACs comes right after PutAppStateVersion.
func (g *guard) DeleteAppStateMutationMACs(ctx context.Context, _ string, indexes [][]byte) error {
	h := held(ctx)
	if h == nil || len(h.order) == 0 {
		return errLater
	}
	last := &h.order[len(h.order)-1]
	for _, index := range indexes {
		h.macs[string(index)] = nil
		last.removed = append(last.removed, bytes.Clone(index))
	}
	return nil
}

// PutAppStateMutationMACs comes right after DeleteAppStateMutationMACs.
func (g *guard) PutAppStateMutationMACs(ctx context.Context, _ string, _ uint64, added []store.AppStateMutationMAC) error {
	h := held(ctx)
	if h == nil || len(h.order) == 0 {
		return errLater
	}
	last := &h.order[len(h.order)-1]
	for _, m := range added {
		m = store.AppStateMutationMAC{IndexMAC: bytes.Clone(m.IndexMAC), ValueMAC: bytes.Clone(m.ValueMAC)}
		h.macs[string(m.IndexMAC)] = m.ValueMAC
		last.added = append(last.added, m)
	}
	return nil
}

// GetAppStateMutationMAC is asked for what a patch replaces.
func (g *guard) GetAppStateMutationMAC(ctx context.Context, name string, index []byte) ([]byte, error) {
	if h := held(ctx); h != nil {
		if value, ok := h.macs[string(index)]; ok || h.full {
			return value, nil
		}
	}
	return get(g, ctx, "GetAppStateMutationMAC", func(ctx context.Context) ([]byte, error) {
		return g.in.GetAppStateMutationMAC(ctx, name, index)
	})
}

// PutContactName keeps the names of an address book together: an account has
// thousands.
func (g *guard) PutContactName(ctx context.Context, user types.JID, first, full string) error {
	if h := held(ctx); h != nil {
		h.names = append(h.names, store.ContactEntry{JID: user, FirstName: first, FullName: full})
		return nil
	}
	return g.do(ctx, "PutContactName", func(ctx context.Context) error { return g.in.PutContactName(ctx, user, first, full) })
}

// keep writes what was held, all or nothing: a version without its MACs, or MACs
// without their version, would make the next patch look forged.
func (g *guard) keep(ctx context.Context, name string, h *heldState) error {
	if len(h.names) > 0 {
		if err := g.PutAllContactNames(ctx, h.names); err != nil {
			return err
		}
	}
	together := g.in.DoDecryptionTxn // with whatsmeow's own store a transaction like any other
	if a, ok := g.unit.(atomically); ok {
		together = a.Atomically
	}
	return g.do(ctx, "keep the app state", func(ctx context.Context) error {
		return together(ctx, func(ctx context.Context) error { return h.write(ctx, g.in, name) })
	})
}

// atomically is what stores with units can do for what has no part in reading messages.
type atomically interface {
	// Atomically commits what fn writes of the app state, all or nothing.
	Atomically(ctx context.Context, fn func(context.Context) error) error
}

func (h *heldState) write(ctx context.Context, to store.AppStateStore, name string) error {
	if h.full {
		if err := to.DeleteAppStateVersion(ctx, name); err != nil { // and the MACs with it
			return err
		}
	}
	if err := to.PutAppStateVersion(ctx, name, h.version, h.hash); err != nil {
		return err
	}
	for _, m := range h.order {
		if err := to.DeleteAppStateMutationMACs(ctx, name, m.removed); err != nil {
			return err
		}
		if err := to.PutAppStateMutationMACs(ctx, name, m.version, distinct(m.added)); err != nil {
			return err
		}
	}
	return nil
}

// distinct leaves the last of those that a patch sets more than once.
func distinct(added []store.AppStateMutationMAC) []store.AppStateMutationMAC {
	last := make(map[string]int, len(added))
	for i, m := range added {
		last[string(m.IndexMAC)] = i
	}
	if len(last) == len(added) {
		return added
	}
	out := make([]store.AppStateMutationMAC, 0, len(last))
	for i, m := range added {
		if last[string(m.IndexMAC)] == i {
			out = append(out, m)
		}
	}
	return out
}
