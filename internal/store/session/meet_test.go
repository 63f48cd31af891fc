package session_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	_ "modernc.org/sqlite"

	"pombo"
	"pombo/internal/store"
	"pombo/internal/store/session"
	"pombo/internal/store/storetest"
)

var (
	deviceJID = types.NewADJID("5511999900001", 0, 1)
	anaPN     = types.NewJID("5511999900009", types.DefaultUserServer)
	anaLID    = types.NewJID("1009", types.HiddenUserServer)
)

// The addresses of Ana's phone, by her number and by her LID.
const anaByPN, anaByLID = "5511999900009:0", "1009_1:0"

func each(t *testing.T, run func(t *testing.T, uri string)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); run(t, "sqlite:"+filepath.Join(t.TempDir(), "pombo.db")) })
	t.Run("Postgres", func(t *testing.T) { t.Parallel(); run(t, storetest.Postgres(t)) })
}

func open(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	o.LockWait = time.Minute
	s, err := store.Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair makes a device.
func pair(t testing.TB, in wastore.DeviceContainer, d *wastore.Device) *session.Device {
	t.Helper()
	d.ID = &deviceJID
	d.LID = types.JID{User: "1001", Device: 1, Server: types.HiddenUserServer}
	d.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	must(t, in.PutDevice(t.Context(), d))
	return d.Sessions.(*session.Device)
}

// again is the device of the next connection.
func again(t *testing.T, in *session.Container) *session.Device {
	t.Helper()
	d, err := in.GetDevice(t.Context(), deviceJID)
	must(t, err)
	return d.Sessions.(*session.Device)
}

func wantSession(t *testing.T, d *session.Device, address, want string) {
	t.Helper()
	if got, err := d.GetSession(t.Context(), address); err != nil || string(got) != want {
		t.Errorf("the session of %s is %q, %v, want %q", address, got, err, want)
	}
}

// known is what a database has of Ana, or nothing.
func known(t *testing.T, d *session.Device, address string) {
	t.Helper()
	must(t, d.PutSession(t.Context(), address, []byte("ratchet")))
	must(t, d.PutIdentity(t.Context(), address, [32]byte{1}))
	for _, jid := range []types.JID{anaPN, anaLID} {
		_, _, err := d.PutPushName(t.Context(), jid, "Ana")
		must(t, err)
	}
	must(t, d.Flush(t.Context()))
}

// Whoever is not in the cache is read as a whole, and what is read is what there is:
// nothing, or a session by the LID, or one by the number, which moves.
func TestMeet(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		for _, c := range []struct {
			name, address string // under which she is known; "" if she is not
		}{{"stranger", ""}, {"by LID", anaByLID}, {"by number", anaByPN}} {
			s := open(t, store.Options{URI: uri})
			d := pair(t, s.Devices(), s.Devices().NewDevice())
			if c.address != "" {
				known(t, d, c.address)
			}
			must(t, s.Close())

			s = open(t, store.Options{URI: uri}) // with an empty cache
			d = again(t, s.Devices())
			must(t, d.PutLIDMapping(t.Context(), anaLID, anaPN))
			if d.Migrated(anaPN) {
				t.Errorf("%s: nothing was moved, and that it was is noted", c.name)
			}
			must(t, d.MigratePNToLID(t.Context(), anaPN, anaLID))
			wantSession(t, d, anaByPN, "")
			want, name := "", ""
			if c.address != "" {
				want, name = "ratchet", "Ana"
			}
			wantSession(t, d, anaByLID, want)
			if ok, err := d.IsTrustedIdentity(t.Context(), anaByLID, [32]byte{2}); err != nil || ok == (c.address != "") {
				t.Errorf("%s: another identity is trusted: %t, %v", c.name, ok, err)
			}
			for _, jid := range []types.JID{anaPN, anaLID} {
				if contact, err := d.GetContact(t.Context(), jid); err != nil || contact.PushName != name || contact.Found != (name != "") {
					t.Errorf("%s: the contact %s is %+v, %v", c.name, jid, contact, err)
				}
			}
			must(t, d.Flush(t.Context()))
			if lid, err := again(t, s.Devices()).GetLIDForPN(t.Context(), anaPN); err != nil || lid != anaLID {
				t.Errorf("%s: the LID is %s, %v", c.name, lid, err)
			}
			must(t, s.Devices().DeleteDevice(t.Context(), &wastore.Device{ID: &deviceJID}))
			must(t, s.Close())
		}
	})
}

// What is stored after the reading is seen.
func TestMetThenStored(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		d := pair(t, s.Devices(), s.Devices().NewDevice())
		must(t, d.PutLIDMapping(t.Context(), anaLID, anaPN))
		known(t, d, anaByPN)
		must(t, d.MigratePNToLID(t.Context(), anaPN, anaLID))
		for _, d := range []*session.Device{d, again(t, s.Devices())} {
			wantSession(t, d, anaByLID, "ratchet")
			wantSession(t, d, anaByPN, "")
			if ok, err := d.IsTrustedIdentity(t.Context(), anaByLID, [32]byte{2}); err != nil || ok {
				t.Errorf("another identity is trusted: %t, %v", ok, err)
			}
			for _, jid := range []types.JID{anaPN, anaLID} {
				if contact, err := d.GetContact(t.Context(), jid); err != nil || contact.PushName != "Ana" {
					t.Errorf("the contact %s is %+v, %v", jid, contact, err)
				}
			}
		}
	})
}

// What is read while it is being committed is not kept: it may be old.
func TestMeetBesideACommit(t *testing.T) {
	meet := func(t *testing.T, begin func(d *session.Device) (end func()), query string, args ...any) *session.Device {
		t.Helper()
		d, db, _ := bare(t)
		end := begin(d)
		must(t, d.PutLIDMapping(t.Context(), anaLID, anaPN))
		_, err := db.ExecContext(t.Context(), query, args...)
		must(t, err)
		end()
		d.Forget()
		return d
	}
	for _, address := range []string{anaByPN, anaByLID} {
		d := meet(t, func(d *session.Device) func() { return d.CommittingSession(address) },
			`INSERT INTO whatsmeow_sessions (our_jid, their_id, session) VALUES (?, ?, 'ratchet')`, deviceJID, address)
		must(t, d.MigratePNToLID(t.Context(), anaPN, anaLID))
		wantSession(t, d, anaByLID, "ratchet")
	}
	for _, jid := range []types.JID{anaPN, anaLID} {
		d := meet(t, func(d *session.Device) func() { return d.CommittingContact(jid) },
			`INSERT INTO whatsmeow_contacts (our_jid, their_jid, push_name) VALUES (?, ?, 'Ana')`, deviceJID, jid)
		if contact, err := d.GetContact(t.Context(), jid); err != nil || contact.PushName != "Ana" {
			t.Errorf("the contact %s is %+v, %v", jid, contact, err)
		}
	}
	d := meet(t, func(d *session.Device) func() { return d.CommittingLID(anaPN) },
		`INSERT INTO whatsmeow_lid_map (lid, pn) VALUES ('1008', ?)`, anaPN.User)
	if lid, err := d.GetLIDForPN(t.Context(), anaPN); err != nil || lid.User != "1008" {
		t.Errorf("the LID is %s, %v", lid, err)
	}
}

// plainWriter commits each write by itself.
type plainWriter struct {
	db *sql.DB
	to *session.Container
}

func (w *plainWriter) Write(ctx context.Context, writes *session.Writes, _ ...pombo.Event) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := w.to.Apply(ctx, tx, writes); err != nil {
		return err
	}
	return tx.Commit()
}

// bare makes a device on a database of its own, with the pools in which it is written
// and read.
func bare(t *testing.T) (d *session.Device, writes, reads *sql.DB) {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "bare.db") + "?_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)"
	writes, err := sql.Open("sqlite", dsn)
	must(t, err)
	reads, err = sql.Open("sqlite", dsn)
	must(t, err)
	t.Cleanup(func() { must(t, writes.Close()); must(t, reads.Close()) })
	devices := sqlstore.NewWithDB(writes, "sqlite3", nil)
	must(t, devices.Upgrade(t.Context()))
	w := &plainWriter{db: writes}
	w.to = session.New(session.Options{Devices: devices, Reads: reads, Form: func(s string) string { return s }, Writer: w})
	return pair(t, w.to, w.to.NewDevice()), writes, reads
}

// Who is met is asked for in the database once, whatever is asked of a stranger.
func TestMeetReadsOnce(t *testing.T) {
	d, _, reads := bare(t)
	ctx := t.Context()
	if _, err := d.GetBufferedEvent(ctx, [32]byte{1}); err != nil { // reads at the first call
		t.Fatal(err)
	}
	must(t, d.PutLIDMapping(ctx, anaLID, anaPN))
	must(t, reads.Close())
	must(t, d.MigratePNToLID(ctx, anaPN, anaLID))
	if !d.Migrated(anaPN) {
		t.Error("that nothing had to move was not noted")
	}
	for _, jid := range []types.JID{anaPN, anaLID} {
		if changed, _, err := d.PutPushName(ctx, jid, "Ana"); err != nil || !changed {
			t.Errorf("the name of %s changed: %t, %v", jid, changed, err)
		}
	}
	must(t, d.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		wantSession(t, d, anaByLID, "")
		if ok, err := d.IsTrustedIdentity(ctx, anaByLID, [32]byte{1}); err != nil || !ok {
			t.Errorf("a first identity is trusted: %t, %v", ok, err)
		}
		if err := d.PutIdentity(ctx, anaByLID, [32]byte{1}); err != nil {
			return err
		}
		return d.PutSession(ctx, anaByLID, []byte("ratchet"))
	}))
	d.End(true)
	must(t, d.Flush(ctx))
	must(t, d.PutLIDMapping(ctx, anaLID, anaPN))
	wantSession(t, d, anaByLID, "ratchet")
}

// Who waits for a connection to read stops waiting when its context ends.
func TestReadingEnds(t *testing.T) {
	d, _, reads := bare(t)
	reads.SetMaxOpenConns(1)
	held, err := reads.Conn(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := d.GetSession(ctx, anaByLID)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("reading without a connection: %v", err)
	}
	must(t, held.Close())
	if _, err := d.GetContact(ctx, anaPN); !errors.Is(err, context.Canceled) {
		t.Errorf("reading with a context that has ended: %v", err)
	}
	wantSession(t, d, anaByLID, "")
}
