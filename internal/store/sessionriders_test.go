package store_test

import (
	"sync/atomic"
	"testing"

	"go.mau.fi/whatsmeow/types"

	"pombo/internal/store"
)

// The names that contacts give themselves are known at once, and committed with the
// message that they came with; those of the address book stay beside them.
func TestNamesRide(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		i, _ := hooked(t, s, "i")
		p := newPhone(t, s)
		ana := types.NewJID("5511999900009", types.DefaultUserServer)
		want := func(who string, p phone, want types.ContactInfo) {
			t.Helper()
			if c, err := p.GetContact(within(t), ana); err != nil || c != want {
				t.Errorf("%s has %+v, %v, want %+v", who, c, err, want)
			}
			all, err := p.GetAllContacts(within(t))
			if c, found := all[ana]; err != nil || c != want || found != want.Found {
				t.Errorf("%s has %+v among all, %v, want %+v", who, c, err, want)
			}
		}
		put := func(name, before string) {
			t.Helper()
			if changed, was, err := p.PutPushName(within(t), ana, name); err != nil || !changed || was != before {
				t.Errorf("the name %s: changed %t from %q, %v", name, changed, was, err)
			}
		}
		want("at first, the device", p, types.ContactInfo{})
		put("Ana", "")
		if changed, _, err := p.PutPushName(within(t), ana, "Ana"); err != nil || changed {
			t.Errorf("the same name changed: %t, %v", changed, err)
		}
		if changed, _, err := p.PutBusinessName(within(t), ana, "Flores"); err != nil || !changed {
			t.Errorf("a verified name changed: %t, %v", changed, err)
		}
		named := types.ContactInfo{Found: true, PushName: "Ana", BusinessName: "Flores"}
		want("the device", p, named)
		must(t, p.decrypt("1_1:0", "1", text(t)))
		must(t, p.commit(event(i, "a")))
		want("after the commit, the device", p, named)
		want("after the commit, the next connection", p.again(), named)

		must(t, p.PutContactName(within(t), ana, "Ana", "Ana Souza"))
		put("Aninha", "Ana")
		must(t, p.Flush(within(t)))
		named.PushName, named.FirstName, named.FullName = "Aninha", "Ana", "Ana Souza"
		want("after another commit, the device", p, named)
		want("after another commit, the next connection", p.again(), named)
		// From the database, not from what was kept in memory.
		must(t, s.Close())
		p.s = open(t, store.Options{URI: uri})
		want("after a restart, the device", p.again(), named)
	})
}

// To know that nothing moves to a contact's LID, no commit is waited for; what is in
// that commit, and has to move, is not overlooked.
func TestMovingBesideACommit(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		var hold atomic.Bool
		held, release := make(chan struct{}), make(chan struct{})
		s := open(t, store.Options{URI: uri, Fault: func(op string) error {
			if op == "sessions" && hold.CompareAndSwap(true, false) {
				close(held)
				<-release
			}
			return nil
		}})
		p := newPhone(t, s)
		stranger, moving := types.NewJID("1", types.DefaultUserServer), types.NewJID("2", types.DefaultUserServer)
		lid := func(pn types.JID) types.JID { return types.NewJID("100"+pn.User, types.HiddenUserServer) }
		must(t, p.decrypt("2:0", "ratchet", text(t)))
		p.End(true)
		hold.Store(true)
		flushed := make(chan error, 1)
		go func() { flushed <- p.Flush(within(t)) }()
		<-held
		must(t, p.MigratePNToLID(within(t), stranger, lid(stranger)))
		if !p.Migrated(stranger) {
			t.Error("that nothing had to move was not noted")
		}
		moved := make(chan error, 1)
		go func() { moved <- p.MigratePNToLID(within(t), moving, lid(moving)) }()
		close(release)
		must(t, <-flushed)
		must(t, <-moved)
		p.wantSession("1002_1:0", "ratchet")
		p.again().wantSession("1002_1:0", "ratchet")
		p.wantSession("2:0", "")
	})
}
