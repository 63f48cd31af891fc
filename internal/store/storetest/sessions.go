package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"pombo/internal/store"
)

// container is what both our own devices and whatsmeow's are in.
type container interface {
	wastore.DeviceContainer
	NewDevice() *wastore.Device
	GetDevice(ctx context.Context, jid types.JID) (*wastore.Device, error)
}

func saveDevice(b *bench, c container, n uint64) *wastore.Device {
	b.t.Helper()
	d := c.NewDevice()
	jid := types.NewADJID(fmt.Sprintf("55119999%05d", n), 0, 1)
	d.ID = &jid
	d.LID = types.JID{User: fmt.Sprint(1000 + n), Device: 1, Server: types.HiddenUserServer}
	d.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	b.must(d.Save(b.ctx()))
	return d
}

func loadDevice(b *bench, c container, jid types.JID) *wastore.Device {
	b.t.Helper()
	d, err := c.GetDevice(b.ctx(), jid)
	b.must(err)
	if d == nil {
		b.t.Fatalf("the device %s is not there", jid)
	}
	return d
}

// testSessions is what whatsmeow expects of its stores, whoever made them.
func testSessions[C container](of func(*store.Store) C) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		b.open()
		d := saveDevice(b, of(b.Store), 1)
		other := saveDevice(b, of(b.Store), 2)
		b.must(other.Sessions.PutSession(b.ctx(), "1_1:0", []byte("another device's")))
		for _, part := range []func(*testing.T, *bench, *wastore.Device){
			sessionsOf, identitiesOf, senderKeysOf, preKeysOf, lidsOf, contactsOf, secretsOf, migrationOf,
		} {
			part(t, b, d)
		}
		if s, err := other.Sessions.GetSession(b.ctx(), "1_1:0"); err != nil || string(s) != "another device's" {
			t.Errorf("another device's session: %q, %v", s, err)
		}
		b.must(d.Delete(b.ctx()))
		jid := types.NewADJID("5511999900001", 0, 1)
		if gone, err := of(b.Store).GetDevice(b.ctx(), jid); err != nil || gone != nil {
			t.Errorf("a deleted device: %v, %v", gone, err)
		}
		again := saveDevice(b, of(b.Store), 1)
		if s, err := again.Sessions.GetSession(b.ctx(), "2_1:0"); err != nil || s != nil {
			t.Errorf("a session of the device that was deleted: %q, %v", s, err)
		}
	}
}

func sessionsOf(t *testing.T, b *bench, d *wastore.Device) {
	ctx, s := b.ctx(), d.Sessions
	if has, err := s.HasSession(ctx, "1_1:0"); err != nil || has {
		t.Errorf("a session that never was: %t, %v", has, err)
	}
	b.must(s.PutSession(ctx, "1_1:0", []byte("a")))
	b.must(s.PutManySessions(ctx, map[string][]byte{"1_1:0": []byte("b"), "1_1:1": []byte("c"), "2_1:0": []byte("d"), "21_1:0": []byte("e")}))
	all, err := s.GetManySessions(ctx, []string{"1_1:0", "1_1:1", "2_1:0", "3_1:0"})
	b.must(err)
	equal(t, "sessions", all, map[string][]byte{"1_1:0": []byte("b"), "1_1:1": []byte("c"), "2_1:0": []byte("d"), "3_1:0": nil})
	b.must(s.DeleteSession(ctx, "1_1:0"))
	if got, err := s.GetSession(ctx, "1_1:0"); err != nil || got != nil {
		t.Errorf("a deleted session: %q, %v", got, err)
	}
	b.must(s.DeleteAllSessions(ctx, "1_1"))
	for address, want := range map[string]string{"1_1:1": "", "2_1:0": "d", "21_1:0": "e"} {
		if got, err := s.GetSession(ctx, address); err != nil || string(got) != want {
			t.Errorf("session %s after the deletion of 1_1's: %q, %v", address, got, err)
		}
	}
	many := map[string][]byte{}
	var addresses []string
	for i := range 100 {
		address := fmt.Sprintf("7%03d_1:0", i)
		many[address] = []byte(address)
		addresses = append(addresses, address)
	}
	b.must(s.PutManySessions(ctx, many))
	all, err = s.GetManySessions(ctx, addresses)
	b.must(err)
	equal(t, "many sessions", all, many)
}

func identitiesOf(t *testing.T, b *bench, d *wastore.Device) {
	ctx, s := b.ctx(), d.Identities
	trusted := func(address string, identity byte, want bool) {
		t.Helper()
		if got, err := s.IsTrustedIdentity(ctx, address, [32]byte{identity}); err != nil || got != want {
			t.Errorf("identity %d of %s is trusted: %t, %v", identity, address, got, err)
		}
	}
	trusted("1_1:0", 1, true) // the first is
	b.must(s.PutIdentity(ctx, "1_1:0", [32]byte{1}))
	b.must(s.PutIdentity(ctx, "1_1:1", [32]byte{1}))
	trusted("1_1:0", 1, true)
	trusted("1_1:0", 2, false)
	b.must(s.PutIdentity(ctx, "1_1:0", [32]byte{2}))
	trusted("1_1:0", 2, true)
	trusted("1_1:0", 1, false)
	b.must(s.DeleteIdentity(ctx, "1_1:0"))
	trusted("1_1:0", 3, true)
	trusted("1_1:1", 3, false)
	b.must(s.DeleteAllIdentities(ctx, "1_1"))
	trusted("1_1:1", 3, true)
}

func senderKeysOf(t *testing.T, b *bench, d *wastore.Device) {
	ctx, s := b.ctx(), d.SenderKeys
	for range 2 {
		if key, err := s.GetSenderKey(ctx, "g@g.us", "1_1:0"); err != nil || key != nil {
			t.Errorf("a sender key that never was: %q, %v", key, err)
		}
	}
	b.must(s.PutSenderKey(ctx, "g@g.us", "1_1:0", []byte("a")))
	b.must(s.PutSenderKey(ctx, "g@g.us", "1_1:0", []byte("b")))
	if key, err := s.GetSenderKey(ctx, "g@g.us", "1_1:0"); err != nil || string(key) != "b" {
		t.Errorf("sender key %q, %v", key, err)
	}
	own := d.GetLID().SignalAddress().String()
	b.must(s.PutSenderKey(ctx, "g@g.us", own, []byte("own")))
	if key, err := s.GetSenderKey(ctx, "g@g.us", own); err != nil || string(key) != "own" {
		t.Errorf("our own sender key %q, %v", key, err)
	}
}

func preKeysOf(t *testing.T, b *bench, d *wastore.Device) {
	ctx, s := b.ctx(), d.PreKeys
	made, err := s.GetOrGenPreKeys(ctx, 40)
	b.must(err)
	again, err := s.GetOrGenPreKeys(ctx, 50)
	b.must(err)
	if len(made) != 40 || len(again) != 50 || *again[0].Priv != *made[0].Priv || again[49].KeyID != 50 {
		t.Fatalf("%d prekeys, then %d", len(made), len(again))
	}
	b.must(s.MarkPreKeysAsUploaded(ctx, 10))
	if n, err := s.UploadedPreKeyCount(ctx); err != nil || n != 10 {
		t.Errorf("%d are uploaded, %v", n, err)
	}
	one, err := s.GenOnePreKey(ctx)
	b.must(err)
	got, err := s.GetPreKey(ctx, one.KeyID)
	b.must(err)
	if one.KeyID != 51 || *got.Priv != *one.Priv || *got.Pub != *one.Pub {
		t.Errorf("prekey %d is not as it was made", one.KeyID)
	}
	b.must(s.RemovePreKey(ctx, one.KeyID))
	if got, err := s.GetPreKey(ctx, one.KeyID); err != nil || got != nil {
		t.Errorf("a prekey that was used: %v, %v", got, err)
	}
}

func lidsOf(t *testing.T, b *bench, d *wastore.Device) {
	ctx, s := b.ctx(), d.LIDs
	pn := func(user string) types.JID { return types.NewJID(user, types.DefaultUserServer) }
	lid := func(user string) types.JID { return types.NewJID(user, types.HiddenUserServer) }
	if got, err := s.GetLIDForPN(ctx, pn("501")); err != nil || !got.IsEmpty() {
		t.Errorf("LID of a stranger: %s, %v", got, err)
	}
	b.must(s.PutLIDMapping(ctx, lid("901"), pn("501")))
	b.must(s.PutManyLIDMappings(ctx, []wastore.LIDMapping{{LID: lid("902"), PN: pn("502")}, {LID: pn("x"), PN: pn("503")}}))
	device := pn("501")
	device.Device = 7
	if got, err := s.GetLIDForPN(ctx, device); err != nil || got.User != "901" || got.Device != 7 {
		t.Errorf("LID of 501: %s, %v", got, err)
	}
	if got, err := s.GetPNForLID(ctx, lid("902")); err != nil || got != pn("502") {
		t.Errorf("number of 902: %s, %v", got, err)
	}
	many, err := s.GetManyLIDsForPNs(ctx, []types.JID{pn("501"), pn("502"), pn("503")})
	b.must(err)
	equal(t, "LIDs", many, map[types.JID]types.JID{pn("501"): lid("901"), pn("502"): lid("902")})
	// A number that gets another LID has only that one.
	b.must(s.PutLIDMapping(ctx, lid("903"), pn("501")))
	if got, err := s.GetLIDForPN(ctx, pn("501")); err != nil || got.User != "903" {
		t.Errorf("LID of 501 after the change: %s, %v", got, err)
	}
	if _, err := s.GetLIDForPN(ctx, lid("901")); err == nil {
		t.Error("a LID was taken for a phone number")
	}
}

func contactsOf(t *testing.T, b *bench, d *wastore.Device) {
	ctx, s := b.ctx(), d.Contacts
	ana, bia := types.NewJID("601", types.DefaultUserServer), types.NewJID("602", types.DefaultUserServer)
	if c, err := s.GetContact(ctx, ana); err != nil || c.Found {
		t.Errorf("a stranger: %+v, %v", c, err)
	}
	for i, want := range []bool{true, false} {
		if changed, before, err := s.PutPushName(ctx, ana, "Ana"); err != nil || changed != want || before != "" {
			t.Errorf("push name, time %d: changed %t from %q, %v", i, changed, before, err)
		}
	}
	if changed, before, err := s.PutPushName(ctx, ana, "Aninha"); err != nil || !changed || before != "Ana" {
		t.Errorf("another push name: changed %t from %q, %v", changed, before, err)
	}
	_, _, err := s.PutBusinessName(ctx, ana, "Ana Ltda")
	b.must(err)
	b.must(s.PutAllContactNames(ctx, []wastore.ContactEntry{{JID: ana, FirstName: "A", FullName: "A B"}, {JID: bia, FirstName: "B", FullName: "B C"}}))
	b.must(s.PutManyRedactedPhones(ctx, []wastore.RedactedPhoneEntry{{JID: bia, RedactedPhone: "+55 ••"}}))
	c, err := s.GetContact(ctx, ana)
	b.must(err)
	equal(t, "contact", c, types.ContactInfo{Found: true, FirstName: "A", FullName: "A B", PushName: "Aninha", BusinessName: "Ana Ltda"})
	all, err := s.GetAllContacts(ctx)
	b.must(err)
	equal(t, "contact among all", all[bia], types.ContactInfo{Found: true, FirstName: "B", FullName: "B C", RedactedPhone: "+55 ••"})
}

func secretsOf(t *testing.T, b *bench, d *wastore.Device) {
	ctx, s := b.ctx(), d.MsgSecrets
	pn, lid := types.NewJID("701", types.DefaultUserServer), types.NewJID("801", types.HiddenUserServer)
	b.must(d.LIDs.PutLIDMapping(ctx, lid, pn))
	b.must(s.PutMessageSecret(ctx, pn, pn, "A", []byte("secret A")))
	b.must(s.PutMessageSecrets(ctx, []wastore.MessageSecretInsert{{Chat: lid, Sender: lid, ID: "B", Secret: []byte("secret B")}}))
	b.must(s.PutMessageSecrets(ctx, []wastore.MessageSecretInsert{{Chat: lid, Sender: lid, ID: "B", Secret: []byte("another")}}))
	for id, sender := range map[string]types.JID{"A": pn, "B": lid} {
		for _, ask := range []types.JID{pn, lid} {
			secret, from, err := s.GetMessageSecret(ctx, ask, ask, id)
			if err != nil || string(secret) != "secret "+id || from != sender {
				t.Errorf("secret of %s asked for as %s: %q from %s, %v", id, ask, secret, from, err)
			}
		}
	}
	if secret, _, err := s.GetMessageSecret(ctx, pn, pn, "C"); err != nil || secret != nil {
		t.Errorf("a secret that never was: %q, %v", secret, err)
	}
}

func migrationOf(t *testing.T, b *bench, d *wastore.Device) {
	ctx := b.ctx()
	pn, lid := types.NewJID("101", types.DefaultUserServer), types.NewJID("201", types.HiddenUserServer)
	b.must(d.Sessions.PutManySessions(ctx, map[string][]byte{"101:0": []byte("phone"), "101:3": []byte("web"), "1012:0": []byte("another")}))
	b.must(d.Identities.PutIdentity(ctx, "101:3", [32]byte{7}))
	b.must(d.SenderKeys.PutSenderKey(ctx, "h@g.us", "101:0", []byte("sender key")))
	b.must(d.Sessions.MigratePNToLID(ctx, pn, lid))
	all, err := d.Sessions.GetManySessions(ctx, []string{"101:0", "101:3", "201_1:0", "201_1:3", "1012:0"})
	b.must(err)
	equal(t, "sessions after the move", all, map[string][]byte{
		"101:0": nil, "101:3": nil, "201_1:0": []byte("phone"), "201_1:3": []byte("web"), "1012:0": []byte("another"),
	})
	if ok, err := d.Identities.IsTrustedIdentity(ctx, "201_1:3", [32]byte{8}); err != nil || ok {
		t.Errorf("the identity did not move: %v", err)
	}
	if key, err := d.SenderKeys.GetSenderKey(ctx, "h@g.us", "201_1:0"); err != nil || string(key) != "sender key" {
		t.Errorf("sender key after the move: %q, %v", key, err)
	}
}

// A database goes from whatsmeow's own store to ours and back, and each finds what
// the other left: also the plaintext of a message whose event is not safe yet.
func testSessionsChangeHands(t *testing.T, b *bench) {
	b.open()
	ctx := b.ctx()
	jid := *saveDevice(b, b.PlainDevices(), 1).ID
	plain := loadDevice(b, b.PlainDevices(), jid)
	b.must(plain.Sessions.PutSession(ctx, "1_1:0", []byte("by sqlstore")))
	b.must(plain.EventBuffer.PutBufferedEvent(ctx, [32]byte{1}, []byte("waits"), time.Unix(1e9, 0)))
	b.must(plain.EventBuffer.PutBufferedEvent(ctx, [32]byte{2}, []byte("done"), time.Unix(1e9, 0)))
	b.must(plain.EventBuffer.ClearBufferedEventPlaintext(ctx, [32]byte{2}))

	own := loadDevice(b, b.Devices(), jid)
	if s, err := own.Sessions.GetSession(ctx, "1_1:0"); err != nil || string(s) != "by sqlstore" {
		t.Errorf("session %q, %v", s, err)
	}
	e, err := own.EventBuffer.GetBufferedEvent(ctx, [32]byte{1})
	b.must(err)
	if e == nil || string(e.Plaintext) != "waits" || e.ServerTime.Unix() != 1e9 {
		t.Errorf("the plaintext that waits is %+v", e)
	}
	b.must(own.EventBuffer.ClearBufferedEventPlaintext(ctx, [32]byte{1}))
	for _, hash := range [][32]byte{{1}, {2}, {3}} {
		if e, err := own.EventBuffer.GetBufferedEvent(ctx, hash); err != nil || e != nil {
			t.Errorf("the plaintext %d is still there: %+v, %v", hash[0], e, err)
		}
	}
	b.must(own.Sessions.PutSession(ctx, "1_1:0", []byte("by ours")))
	plain = loadDevice(b, b.PlainDevices(), jid)
	if s, err := plain.Sessions.GetSession(ctx, "1_1:0"); err != nil || string(s) != "by ours" {
		t.Errorf("session %q, %v", s, err)
	}
	if e, err := plain.EventBuffer.GetBufferedEvent(ctx, [32]byte{1}); err != nil || e == nil || e.Plaintext != nil {
		t.Errorf("the plaintext after its event: %+v, %v", e, err)
	}
}

// Strangers choose names and IDs: none of them may make a write fail for good.
func testSessionsStrange(t *testing.T, b *bench) {
	b.open()
	d := saveDevice(b, b.Devices(), 1)
	ctx, ana := b.ctx(), types.NewJID("601", types.DefaultUserServer)
	for _, strange := range []string{"a\x00b", "\xff\xfe", ""} {
		_, _, err := d.Contacts.PutPushName(ctx, ana, strange)
		b.must(err)
		b.must(d.Contacts.PutAllContactNames(ctx, []wastore.ContactEntry{{JID: ana, FirstName: strange, FullName: strange}}))
		b.must(d.MsgSecrets.PutMessageSecret(ctx, ana, ana, strange, []byte("s")))
		b.must(d.MsgSecrets.PutMessageSecrets(ctx, []wastore.MessageSecretInsert{{Chat: ana, Sender: ana, ID: strange, Secret: []byte("s")}}))
		b.must(d.Sessions.PutSession(ctx, "1_1:0", []byte(strange+"x")))
	}
	if c, err := d.Contacts.GetContact(ctx, ana); err != nil || !c.Found || c.PushName != "" {
		t.Errorf("contact %+v, %v", c, err)
	}
}
