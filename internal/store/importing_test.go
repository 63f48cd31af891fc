package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	_ "modernc.org/sqlite"

	"pombo"
	"pombo/internal/store"
	"pombo/internal/store/storetest"
)

// foreign is another program's database, made by whatsmeow's own store.
func foreign(t *testing.T, driver, dialect, address string) (*sql.DB, *sqlstore.Container) {
	t.Helper()
	db, err := sql.Open(driver, address)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	c := sqlstore.NewWithDB(db, dialect, nil)
	must(t, c.Upgrade(within(t)))
	for n, user := range []string{"5511999900001", "5511999900002"} {
		d := c.NewDevice()
		jid := types.NewADJID(user, 0, 7)
		d.ID = &jid
		d.LID = types.JID{User: "9" + user, Device: 7, Server: types.HiddenUserServer}
		d.PushName = "Loja"
		d.Account = &waAdv.ADVSignedDeviceIdentity{
			Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
		}
		must(t, d.Save(within(t)))
		fillDevice(t, within(t), d, byte(n))
	}
	return db, c
}

func fillDevice(t *testing.T, ctx context.Context, d *wastore.Device, n byte) { //nolint:revive // testing comes first here
	t.Helper()
	ana, lid := types.NewJID("5521", types.DefaultUserServer), types.NewJID("77", types.HiddenUserServer)
	keys, err := d.PreKeys.GetOrGenPreKeys(ctx, 120)
	must(t, err)
	must(t, d.PreKeys.MarkPreKeysAsUploaded(ctx, keys[99].KeyID))
	must(t, d.Sessions.PutSession(ctx, "77_1:0", []byte{'s', n}))
	must(t, d.Identities.PutIdentity(ctx, "77_1:0", [32]byte{n}))
	must(t, d.SenderKeys.PutSenderKey(ctx, "g@g.us", "77_1:0", []byte{'k', n}))
	must(t, d.AppStateKeys.PutAppStateSyncKey(ctx, []byte{n}, wastore.AppStateSyncKey{Data: []byte("d"), Fingerprint: []byte("f"), Timestamp: 7}))
	must(t, d.AppState.PutAppStateVersion(ctx, "regular", 3, [128]byte{n}))
	must(t, d.AppState.PutAppStateMutationMACs(ctx, "regular", 3, []wastore.AppStateMutationMAC{{IndexMAC: make([]byte, 32), ValueMAC: make([]byte, 32)}}))
	_, _, err = d.Contacts.PutPushName(ctx, ana, "Ana")
	must(t, err)
	must(t, d.ChatSettings.PutArchived(ctx, ana, true))
	must(t, d.MsgSecrets.PutMessageSecret(ctx, ana, ana, "ID", make([]byte, 32)))
	must(t, d.PrivacyTokens.PutPrivacyTokens(ctx, wastore.PrivacyToken{User: ana, Token: []byte("t"), Timestamp: time.Unix(1e9, 0)}))
	must(t, d.LIDs.PutLIDMapping(ctx, lid, ana))
	must(t, d.EventBuffer.PutBufferedEvent(ctx, [32]byte{n}, []byte("waits"), time.Unix(1e9, 0)))
}

func TestImportDevices(t *testing.T) {
	sources := map[string]func(t *testing.T) string{
		"FromSQLite": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "main.db")
			foreign(t, "sqlite", "sqlite3", "file:"+path+"?_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)")
			return path
		},
		"FromPostgres": func(t *testing.T) string {
			uri := storetest.Postgres(t)
			foreign(t, "pgx", "postgres", uri)
			return uri
		},
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, uri string) { testImport(t, source(t), uri) })
		})
	}
}

func testImport(t *testing.T, from, uri string) {
	source, err := store.OpenSource(within(t), from)
	must(t, err)
	defer source.Close()
	devices, err := source.Devices(within(t))
	must(t, err)
	if len(devices) != 2 || devices[1].PushName != "Loja" || devices[1].LID.User != "95511999900002" {
		t.Fatalf("devices %+v", devices)
	}
	s := open(t, store.Options{URI: uri})
	i := pombo.Instance{ID: "0f8fad5b-d9cb-469f-a165-70867728950e", Name: "loja", Token: "T", JID: devices[1].JID.String()}
	must(t, s.Import(within(t), source, i))
	if err := s.Import(within(t), source, i); pombo.KindOf(err) != pombo.Conflict {
		t.Errorf("a second import: %v", err)
	}
	second := pombo.Instance{ID: "another", Name: "loja", Token: "T", JID: devices[0].JID.String()}
	if err := s.Import(within(t), source, second); pombo.KindOf(err) != pombo.Forbidden {
		t.Errorf("a name that is taken: %v", err)
	}
	all, err := s.Instances(within(t))
	must(t, err)
	if len(all) != 1 || all[0].JID != i.JID {
		t.Errorf("instances %+v", all)
	}
	if d, err := s.Devices().GetDevice(within(t), devices[0].JID); err != nil || d != nil {
		t.Errorf("the device that was refused is there: %v", err)
	}
	d, err := s.Devices().GetDevice(within(t), devices[1].JID)
	must(t, err)
	checkImported(t, within(t), d)
}

func checkImported(t *testing.T, ctx context.Context, d *wastore.Device) { //nolint:revive // testing comes first here
	t.Helper()
	ana := types.NewJID("5521", types.DefaultUserServer)
	if n, err := d.PreKeys.UploadedPreKeyCount(ctx); err != nil || n != 100 {
		t.Errorf("%d uploaded prekeys, %v", n, err)
	}
	if keys, err := d.PreKeys.GetOrGenPreKeys(ctx, 20); err != nil || keys[0].KeyID != 101 || keys[19].KeyID != 120 {
		t.Errorf("prekeys that are not uploaded: %v", err)
	}
	if v, err := d.Sessions.GetSession(ctx, "77_1:0"); err != nil || string(v) != "s\x01" {
		t.Errorf("session %q, %v", v, err)
	}
	if ok, err := d.Identities.IsTrustedIdentity(ctx, "77_1:0", [32]byte{2}); err != nil || ok {
		t.Errorf("identity: %v", err)
	}
	if v, err := d.SenderKeys.GetSenderKey(ctx, "g@g.us", "77_1:0"); err != nil || string(v) != "k\x01" {
		t.Errorf("sender key %q, %v", v, err)
	}
	if k, err := d.AppStateKeys.GetAppStateSyncKey(ctx, []byte{1}); err != nil || k == nil || k.Timestamp != 7 {
		t.Errorf("app state key %+v, %v", k, err)
	}
	if v, hash, err := d.AppState.GetAppStateVersion(ctx, "regular"); err != nil || v != 3 || hash[0] != 1 {
		t.Errorf("app state %d, %v", v, err)
	}
	if mac, err := d.AppState.GetAppStateMutationMAC(ctx, "regular", make([]byte, 32)); err != nil || len(mac) != 32 {
		t.Errorf("app state MAC %x, %v", mac, err)
	}
	if c, err := d.Contacts.GetContact(ctx, ana); err != nil || c.PushName != "Ana" {
		t.Errorf("contact %+v, %v", c, err)
	}
	if c, err := d.ChatSettings.GetChatSettings(ctx, ana); err != nil || !c.Archived {
		t.Errorf("chat settings %+v, %v", c, err)
	}
	if v, _, err := d.MsgSecrets.GetMessageSecret(ctx, ana, ana, "ID"); err != nil || len(v) != 32 {
		t.Errorf("secret %x, %v", v, err)
	}
	if v, err := d.PrivacyTokens.GetPrivacyToken(ctx, ana); err != nil || v == nil || string(v.Token) != "t" {
		t.Errorf("privacy token %+v, %v", v, err)
	}
	if lid, err := d.LIDs.GetLIDForPN(ctx, ana); err != nil || lid.User != "77" {
		t.Errorf("LID %s, %v", lid, err)
	}
	if e, err := d.EventBuffer.GetBufferedEvent(ctx, [32]byte{1}); err != nil || e == nil || string(e.Plaintext) != "waits" {
		t.Errorf("plaintext that waits: %+v, %v", e, err)
	}
}

// Older tables lack columns and tables; newer ones are not understood.
func TestImportVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	db, _ := foreign(t, "sqlite", "sqlite3", "file:"+path+"?_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)")
	version := func(version, compat any) {
		t.Helper()
		_, err := db.ExecContext(within(t), `UPDATE whatsmeow_version SET version = ?, compat = ?`, version, compat)
		must(t, err)
	}
	for _, c := range []struct {
		version, compat any
		want            string
	}{{4, nil, "start a newer version of the other program"}, {12, nil, "use a newer Pombo"}, {12, 12, "use a newer Pombo"}, {12, 8, ""}} {
		version(c.version, c.compat)
		source, err := store.OpenSource(within(t), path)
		if c.want == "" {
			must(t, err)
			must(t, source.Close())
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("version %v: %v", c.version, err)
		}
	}
	version(6, nil)
	for _, query := range []string{
		`DROP TABLE whatsmeow_lid_map`, `DROP TABLE whatsmeow_event_buffer`, `ALTER TABLE whatsmeow_device DROP COLUMN lid`,
		`ALTER TABLE whatsmeow_device DROP COLUMN lid_migration_ts`, `ALTER TABLE whatsmeow_contacts DROP COLUMN redacted_phone`,
	} {
		_, err := db.ExecContext(within(t), query)
		must(t, err)
	}
	source, err := store.OpenSource(within(t), path)
	must(t, err)
	defer source.Close()
	s := open(t, store.Options{URI: newFile(t)})
	jid := types.NewADJID("5511999900001", 0, 7)
	must(t, s.Import(within(t), source, pombo.Instance{ID: "id", Name: "old", JID: jid.String()}))
	d, err := s.Devices().GetDevice(within(t), jid)
	must(t, err)
	if v, err := d.Sessions.GetSession(within(t), "77_1:0"); err != nil || string(v) != "s\x00" {
		t.Errorf("session %q, %v", v, err)
	}
}
