package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// device stores a paired device.
func (b *bench) device(n uint64) *wastore.Device {
	b.t.Helper()
	d := b.Devices().NewDevice()
	jid := types.NewADJID(fmt.Sprintf("55119999%05d", n), 0, 1)
	d.ID = &jid
	d.LID = types.NewJID(fmt.Sprint(1000+n), types.HiddenUserServer)
	d.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	b.must(d.Save(b.ctx()))
	return d
}

// whatsmeow's tables live in the same database and stay.
func testDevices(t *testing.T, b *bench) {
	b.open()
	d := b.device(1)
	ctx := b.ctx()
	alice, lid := types.NewJID("5511", types.DefaultUserServer), types.NewJID("77", types.HiddenUserServer)
	keys, err := d.PreKeys.GetOrGenPreKeys(ctx, 50)
	b.must(err)
	b.must(d.PreKeys.MarkPreKeysAsUploaded(ctx, keys[9].KeyID))
	b.must(d.Sessions.PutSession(ctx, "5511:0", []byte("session")))
	b.must(d.Sessions.PutManySessions(ctx, map[string][]byte{"5511:1": {1}, "5511:2": {2}}))
	b.must(d.Identities.PutIdentity(ctx, "5511:0", [32]byte{1}))
	b.must(d.SenderKeys.PutSenderKey(ctx, "g", "u", []byte("sender key")))
	b.must(d.AppStateKeys.PutAppStateSyncKey(ctx, []byte("k"), wastore.AppStateSyncKey{Data: []byte("d"), Fingerprint: []byte("f"), Timestamp: 7}))
	b.must(d.AppState.PutAppStateVersion(ctx, "regular", 3, [128]byte{1}))
	b.must(d.AppState.PutAppStateMutationMACs(ctx, "regular", 3, []wastore.AppStateMutationMAC{{IndexMAC: make([]byte, 32), ValueMAC: make([]byte, 32)}}))
	b.must(d.AppState.DeleteAppStateMutationMACs(ctx, "regular", [][]byte{make([]byte, 32)}))
	_, _, err = d.Contacts.PutPushName(ctx, alice, "Alice")
	b.must(err)
	b.must(d.Contacts.PutAllContactNames(ctx, []wastore.ContactEntry{{JID: alice, FirstName: "A", FullName: "Alice B"}}))
	b.must(d.ChatSettings.PutArchived(ctx, alice, true))
	b.must(d.ChatSettings.PutMutedUntil(ctx, alice, time.Unix(2e9, 0)))
	b.must(d.MsgSecrets.PutMessageSecret(ctx, alice, alice, "ID", make([]byte, 32)))
	b.must(d.PrivacyTokens.PutPrivacyTokens(ctx, wastore.PrivacyToken{User: alice, Token: []byte("t"), Timestamp: time.Unix(1e9, 0)}))
	b.must(d.LIDs.PutLIDMapping(ctx, lid, alice))
	b.must(d.EventBuffer.PutBufferedEvent(ctx, [32]byte{9}, []byte("plain"), time.Unix(1e9, 0)))
	b.must(d.Sessions.MigratePNToLID(ctx, alice, lid))

	b.reopen()
	all, err := b.Devices().GetAllDevices(ctx)
	b.must(err)
	if len(all) != 1 || *all[0].ID != *d.ID || *all[0].NoiseKey.Priv != *d.NoiseKey.Priv {
		t.Fatalf("devices after a restart: %d", len(all))
	}
	d = all[0]
	if n, err := d.PreKeys.UploadedPreKeyCount(ctx); err != nil || n != 10 {
		t.Errorf("%d uploaded prekeys, %v", n, err)
	}
	sessions, err := d.Sessions.GetManySessions(ctx, []string{lid.SignalAddressUser() + ":0", "none"})
	b.must(err)
	if string(sessions[lid.SignalAddressUser()+":0"]) != "session" || sessions["none"] != nil {
		t.Errorf("sessions %q", sessions)
	}
	if got, err := d.LIDs.GetLIDForPN(ctx, alice); err != nil || got.User != "77" {
		t.Errorf("LID %v, %v", got, err)
	}
	if v, _, err := d.AppState.GetAppStateVersion(ctx, "regular"); err != nil || v != 3 {
		t.Errorf("app state version %d, %v", v, err)
	}
	if c, err := d.Contacts.GetContact(ctx, alice); err != nil || c.PushName != "Alice" || c.FullName != "Alice B" {
		t.Errorf("contact %+v, %v", c, err)
	}
	if secret, _, err := d.MsgSecrets.GetMessageSecret(ctx, lid, lid, "ID"); err != nil || len(secret) != 32 {
		t.Errorf("secret by LID: %d bytes, %v", len(secret), err)
	}
	if s, err := d.ChatSettings.GetChatSettings(ctx, alice); err != nil || !s.Archived {
		t.Errorf("chat settings %+v, %v", s, err)
	}
	if e, err := d.EventBuffer.GetBufferedEvent(ctx, [32]byte{9}); err != nil || string(e.Plaintext) != "plain" {
		t.Errorf("buffered event %+v, %v", e, err)
	}
	b.must(d.Delete(ctx))
}

// What whatsmeow does within a transaction, by several clients at once, beside
// appends and settles: nobody waits for ever, nothing fails, and a transaction
// that fails leaves nothing.
func testDevicesBeside(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	const clients, each = 6, 30
	var wg sync.WaitGroup
	failure := errors.New("decryption failed")
	for c := range uint64(clients) {
		d := b.device(c)
		wg.Go(func() {
			for n := range each {
				addr := fmt.Sprintf("%d:%d", c, n)
				err := d.EventBuffer.DoDecryptionTxn(b.ctx(), func(ctx context.Context) error {
					if err := d.Sessions.PutSession(ctx, addr, []byte(addr)); err != nil {
						return err
					}
					if got, err := d.Sessions.GetSession(ctx, addr); err != nil || string(got) != addr {
						return fmt.Errorf("session inside of its transaction: %q, %w", got, err)
					}
					if err := d.Sessions.PutManySessions(ctx, map[string][]byte{addr + "x": {1}}); err != nil {
						return err
					}
					if n%5 == 4 {
						return failure
					}
					return d.EventBuffer.PutBufferedEvent(ctx, [32]byte{byte(c), byte(n)}, []byte(addr), time.Now())
				})
				if err != nil && !errors.Is(err, failure) {
					t.Errorf("transaction: %v", err)
				}
				pn := types.NewJID(fmt.Sprintf("%d%03d", c+1, n), types.DefaultUserServer)
				if err := d.LIDs.PutLIDMapping(b.ctx(), types.NewJID("9"+pn.User, types.HiddenUserServer), pn); err != nil {
					t.Errorf("LID mapping: %v", err)
				}
				if _, _, err := d.Contacts.PutPushName(b.ctx(), pn, "name"); err != nil {
					t.Errorf("push name: %v", err)
				}
				if err := b.Append(b.ctx(), event(i, fmt.Sprint(c), n)); err != nil {
					t.Errorf("append: %v", err)
				}
				got, err := d.Sessions.GetSession(b.ctx(), addr)
				if err != nil || (n%5 == 4) != (got == nil) {
					t.Errorf("session %s: %q, %v", addr, got, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(b.pendingOf(w)); n != clients*each {
		t.Errorf("%d pending, want %d", n, clients*each)
	}
}
