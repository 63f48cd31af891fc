package session_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"

	"pombo/internal/store"
)

// What a first message asks of the device's stores, in whatsmeow's order, without
// libsignal's part.
func BenchmarkFirstMessage(b *testing.B) {
	s, err := store.Open(b.Context(), store.Options{URI: "sqlite:" + filepath.Join(b.TempDir(), "pombo.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	d := pair(b, s.Devices(), s.Devices().NewDevice())
	ctx, session := b.Context(), make([]byte, 500)
	var made []*keys.PreKey
	used := usage(b)
	for n := 0; b.Loop(); n++ {
		if n%1000 == 0 {
			b.StopTimer()
			before := usage(b)
			if made, err = d.GetOrGenPreKeys(ctx, 1000); err != nil {
				b.Fatal(err)
			}
			must(b, d.MarkPreKeysAsUploaded(ctx, made[len(made)-1].KeyID))
			used += usage(b) - before
			b.StartTimer()
		}
		pn, lid := types.NewJID(fmt.Sprint("5511", n), types.DefaultUserServer), types.NewJID(fmt.Sprint("1", n), types.HiddenUserServer)
		must(b, d.PutLIDMapping(ctx, lid, pn))
		must(b, d.MigratePNToLID(ctx, pn, lid))
		for _, jid := range []types.JID{pn, lid} {
			if _, _, err := d.PutPushName(ctx, jid, "Ana"); err != nil {
				b.Fatal(err)
			}
		}
		address := lid.SignalAddress().String()
		must(b, d.DoDecryptionTxn(ctx, func(ctx context.Context) error {
			if _, err := d.GetSession(ctx, address); err != nil {
				return err
			}
			if _, err := d.IsTrustedIdentity(ctx, address, [32]byte{1}); err != nil {
				return err
			}
			if k, err := d.GetPreKey(ctx, made[n%1000].KeyID); err != nil || k == nil {
				return fmt.Errorf("prekey %+v: %w", k, err)
			}
			if err := d.PutIdentity(ctx, address, [32]byte{1}); err != nil {
				return err
			}
			if err := d.PutSession(ctx, address, session); err != nil {
				return err
			}
			return d.RemovePreKey(ctx, made[n%1000].KeyID)
		}))
		d.End(true)
		if n%3 == 2 { // under load, some have a commit together
			must(b, d.Flush(ctx))
		}
	}
	b.ReportMetric(float64((usage(b)-used).Microseconds())/float64(b.N), "µs-CPU/op")
}

// usage is the processor time that this process has used.
func usage(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
