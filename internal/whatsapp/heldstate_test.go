package whatsapp

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// heldCalls write nothing by themselves: what they are given waits for its events.
var heldCalls = []string{"PutAppStateVersion", "DeleteAppStateVersion", "PutAppStateMutationMACs", "DeleteAppStateMutationMACs"}

// What whatsmeow writes while it reads a page of the app state is visible to it at
// once, and to nobody else before the page is kept; then all of it is there, or,
// as long as the store fails, nothing.
func TestHeldState(t *testing.T) {
	f := &faulty{}
	w := newWorld(t, nil)
	d := w.devices.NewDevice()
	jid := types.NewADJID(account1, 0, 1)
	l := w.session.newLine(d)
	defer l.close()
	d.ID, d.LID, d.Account = &jid, types.NewJID("9", types.HiddenUserServer), &waAdv.ADVSignedDeviceIdentity{
		Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	if err := d.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	inner := d.AppState.(*guard).in
	g := &guard{l: l, in: f.over(inner)}
	mac := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	added := func(index, value byte) []store.AppStateMutationMAC {
		return []store.AppStateMutationMAC{{IndexMAC: mac(index), ValueMAC: mac(value)}}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h := &heldState{macs: map[string][]byte{}}
	ctx := context.WithValue(t.Context(), heldKey{}, h)
	must(g.PutAppStateVersion(ctx, "regular", 1, [128]byte{1}))
	must(g.DeleteAppStateMutationMACs(ctx, "regular", nil))
	must(g.PutAppStateMutationMACs(ctx, "regular", 1, added(1, 10)))
	must(g.PutAppStateVersion(ctx, "regular", 2, [128]byte{2}))
	must(g.DeleteAppStateMutationMACs(ctx, "regular", [][]byte{mac(1)}))
	must(g.PutAppStateMutationMACs(ctx, "regular", 2, append(added(2, 20), added(2, 21)...)))
	must(g.PutContactName(ctx, types.NewJID(contact1, types.DefaultUserServer), "Ana", "Ana Silva"))

	stored := func(want uint64, one, two []byte) {
		t.Helper()
		version, _, err := inner.GetAppStateVersion(t.Context(), "regular")
		if err != nil || version != want {
			t.Errorf("version %d is stored, %v, want %d", version, err, want)
		}
		for index, value := range map[byte][]byte{1: one, 2: two} {
			if got, err := inner.GetAppStateMutationMAC(t.Context(), "regular", mac(index)); err != nil || !bytes.Equal(got, value) {
				t.Errorf("MAC %d is %x, %v", index, got, err)
			}
		}
	}
	stored(0, nil, nil)
	for index, value := range map[byte][]byte{1: nil, 2: mac(21), 3: nil} {
		if got, err := g.GetAppStateMutationMAC(ctx, "regular", mac(index)); err != nil || !bytes.Equal(got, value) {
			t.Errorf("whatsmeow sees MAC %d as %x, %v", index, got, err)
		}
	}

	failed := map[string]bool{}
	f.set(func(op string) error {
		if op != "DoDecryptionTxn" && !failed[op] {
			failed[op] = true
			return errBroken
		}
		return nil
	}, nil)
	must(g.keep(t.Context(), "regular", h))
	f.set(nil, nil)
	stored(2, nil, mac(21))
	if !failed["PutAppStateVersion"] || len(failed) < 2 {
		t.Errorf("only %v failed", failed)
	}
	if c, err := inner.GetContact(t.Context(), types.NewJID(contact1, types.DefaultUserServer)); err != nil || c.FullName != "Ana Silva" || c.FirstName != "Ana" {
		t.Errorf("the contact is %+v, %v", c, err)
	}

	whole := &heldState{full: true, macs: map[string][]byte{}}
	ctx = context.WithValue(t.Context(), heldKey{}, whole)
	if version, _, err := g.GetAppStateVersion(ctx, "regular"); err != nil || version != 0 {
		t.Errorf("fetched anew, it begins at %d, %v", version, err)
	}
	if got, err := g.GetAppStateMutationMAC(ctx, "regular", mac(2)); err != nil || got != nil {
		t.Errorf("fetched anew, MAC 2 is %x, %v", got, err)
	}
	must(g.PutAppStateVersion(ctx, "regular", 9, [128]byte{9}))
	must(g.DeleteAppStateMutationMACs(ctx, "regular", nil))
	must(g.PutAppStateMutationMACs(ctx, "regular", 9, added(1, 90)))
	must(g.keep(t.Context(), "regular", whole))
	stored(9, mac(90), nil)
}

// whatsmeow's own fetches end before they begin.
func TestOwnFetchesAreRefused(t *testing.T) {
	l, g := testLine(t, nil, time.Hour)
	ctx := t.Context()
	_, _, err := g.GetAppStateVersion(ctx, "regular")
	for _, err := range []error{
		err, g.PutAppStateVersion(ctx, "regular", 1, [128]byte{}), g.DeleteAppStateVersion(ctx, "regular"),
		g.PutAppStateMutationMACs(ctx, "regular", 1, nil), g.DeleteAppStateMutationMACs(ctx, "regular", nil),
	} {
		if !errors.Is(err, errLater) {
			t.Errorf("got %v", err)
		}
	}
	if l.why() != nil {
		t.Errorf("the line is over: %v", l.why())
	}
}
