package store_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/types"

	"pombo"
	"pombo/internal/store"
	"pombo/internal/store/session"
)

// A session of a contact with one device that writes and is answered has about so
// many bytes (from a gateway's database after a burst).
const sessionBytes = 1500

// Messages of contacts at random, a thousand of each of a thousand devices, with the
// default cache: what each costs the store (its session is read and, with its
// event, committed), and how much memory is held afterwards.
func BenchmarkSessionsOfMillion(b *testing.B) {
	devices, contacts := 1000, 1000
	if testing.Short() {
		devices, contacts = 5, 100
	}
	eachB(b, func(b *testing.B, uri string) {
		s := open(b, store.Options{URI: uri})
		i, _ := hooked(b, s, "i")
		all := make([]*session.Device, devices)
		for n := range all {
			all[n] = acquaintedDevice(b, s, n, contacts)
		}
		before := liveMB()
		var n atomic.Int64
		var wg sync.WaitGroup
		side := min(16, devices) // devices that work at the same time
		b.ResetTimer()
		for w := range side {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(w), 0))
				for k := n.Add(1); k <= int64(b.N); k = n.Add(1) {
					d := all[w+side*rng.IntN((devices-w+side-1)/side)]
					if err := turnSession(d, fmt.Sprintf("%d_1:0", rng.IntN(contacts)), event(i, fmt.Sprint(k))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		b.ReportMetric(liveMB()-before, "MB-more")
		b.ReportMetric(float64(devices*contacts*sessionBytes)/1e6, "MB-in-all")
	})
}

// turnSession does with a session what the decryption of a message does.
func turnSession(d *session.Device, address string, e pombo.Event) error {
	ctx := context.Background()
	err := d.DoDecryptionTxn(ctx, func(ctx context.Context) error {
		now, err := d.GetSession(ctx, address)
		if err != nil {
			return err
		}
		trusted, err := d.IsTrustedIdentity(ctx, address, [32]byte{1})
		if err != nil {
			return err
		}
		if len(now) != sessionBytes || !trusted {
			return fmt.Errorf("a session of %d bytes, its identity trusted: %t", len(now), trusted)
		}
		return d.PutSession(ctx, address, bytes.Clone(now))
	})
	if err != nil {
		return err
	}
	d.End(true, e)
	return d.Flush(ctx)
}

// liveMB is what the process holds in memory.
func liveMB() float64 {
	runtime.GC()
	runtime.GC() // what a finalizer let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// acquaintedDevice makes a device that has sessions with so many contacts.
func acquaintedDevice(b *testing.B, s *store.Store, n, contacts int) *session.Device {
	b.Helper()
	ctx := context.Background()
	jid := types.NewADJID(fmt.Sprintf("5511%09d", n), 0, 1)
	d := s.Devices().NewDevice()
	d.ID, d.LID = &jid, types.JID{User: fmt.Sprint(1000 + n), Device: 1, Server: types.HiddenUserServer}
	d.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	must(b, d.Save(ctx))
	value, identity := `decode(repeat('00', %d), 'hex')`, `decode('01' || repeat('00', 31), 'hex')`
	if s.Form("$1") == "?1" {
		value, identity = `zeroblob(%d)`, `X'0100000000000000000000000000000000000000000000000000000000000000'`
	}
	numbers := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, contacts-1)
	for table, row := range map[string]string{
		"whatsmeow_sessions (our_jid, their_id, session)":       fmt.Sprintf(value, sessionBytes),
		"whatsmeow_identity_keys (our_jid, their_id, identity)": identity,
	} {
		must(b, s.Do(ctx, `INSERT INTO `+table+` `+numbers+`SELECT '`+jid.String()+`', i || '_1:0', `+row+` FROM n`))
	}
	return d.Sessions.(*session.Device)
}

// What is looked up when somebody writes for the first time, on a device that has many
// contacts, and as many senders in its groups.
func BenchmarkNewContactAmongMany(b *testing.B) {
	contacts := 100_000
	if testing.Short() {
		contacts = 100
	}
	eachB(b, func(b *testing.B, uri string) {
		s := open(b, store.Options{URI: uri})
		d := acquaintedDevice(b, s, 0, contacts)
		must(b, s.Do(b.Context(), `INSERT INTO whatsmeow_sender_keys (our_jid, chat_id, sender_id, sender_key)
			SELECT our_jid, '1203' || length(their_id) || '@g.us', their_id, identity FROM whatsmeow_identity_keys`))
		must(b, s.Do(b.Context(), `ANALYZE`))
		for n := 0; b.Loop(); n++ {
			lid, pn := types.NewJID(fmt.Sprint(7_000_000+n), types.HiddenUserServer), types.NewJID(fmt.Sprint(4_900_000+n), types.DefaultUserServer)
			must(b, d.PutLIDMapping(b.Context(), lid, pn))
		}
	})
}
