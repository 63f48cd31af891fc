package session_test

import (
	"context"
	"errors"
	"testing"

	"pombo/internal/store"
	"pombo/internal/store/session"
)

// use takes a prekey in a decryption.
func use(t *testing.T, d *session.Device, id uint32) (found bool) {
	t.Helper()
	must(t, d.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
		k, err := d.GetPreKey(ctx, id)
		found = k != nil
		if err != nil || !found {
			return err
		}
		return d.RemovePreKey(ctx, id)
	}))
	return found
}

// Prekeys are read some at a time, each as it was made; one that was used is not there
// any more, and one whose message was dropped is.
func TestPreKeysAhead(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		d := pair(t, s.Devices(), s.Devices().NewDevice())
		made, err := d.GetOrGenPreKeys(t.Context(), 20)
		must(t, err)
		for i, want := range made {
			got, err := d.GetPreKey(t.Context(), want.KeyID)
			must(t, err)
			if got == nil || *got.Priv != *want.Priv || *got.Pub != *want.Pub || got.KeyID != want.KeyID {
				t.Fatalf("prekey %d is %+v, want %+v", want.KeyID, got, want)
			}
			dropped := i%3 == 1
			if !use(t, d, want.KeyID) {
				t.Fatalf("prekey %d is not there", want.KeyID)
			}
			if got, err := d.GetPreKey(t.Context(), want.KeyID); err != nil || got != nil {
				t.Errorf("prekey %d was used and is there, %v", want.KeyID, err)
			}
			d.End(!dropped)
			must(t, d.Flush(t.Context()))
			for _, d := range []*session.Device{d, again(t, s.Devices())} {
				got, err := d.GetPreKey(t.Context(), want.KeyID)
				if err != nil || (got != nil) != dropped {
					t.Errorf("prekey %d, its message dropped: %t, is there: %t, %v", want.KeyID, dropped, got != nil, err)
				}
			}
		}
		if got, err := d.GetPreKey(t.Context(), made[19].KeyID+1); err != nil || got != nil {
			t.Errorf("a prekey that was never made: %+v, %v", got, err)
		}
		more, err := d.GetOrGenPreKeys(t.Context(), 30) // those that WhatsApp does not have, and new ones
		must(t, err)
		for _, want := range more {
			if got, err := d.GetPreKey(t.Context(), want.KeyID); err != nil || got == nil || *got.Pub != *want.Pub {
				t.Errorf("prekey %d is %+v, %v", want.KeyID, got, err)
			}
		}
	})
}

// A prekey is not there any more for the next connection either, when the one before
// commits late, or when the answer to its commit is lost.
func TestPreKeyUsedByTheLineBefore(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		lost := false
		s := open(t, store.Options{URI: uri, Fault: func(op string) error {
			if op == "committed" && lost {
				return errors.New("the answer is lost")
			}
			return nil
		}})
		d := pair(t, s.Devices(), s.Devices().NewDevice())
		made, err := d.GetOrGenPreKeys(t.Context(), 4)
		must(t, err)
		next := again(t, s.Devices())
		for i, k := range made[:2] {
			if got, err := next.GetPreKey(t.Context(), k.KeyID); err != nil || got == nil { // and those after it
				t.Fatalf("prekey %d is %+v, %v", k.KeyID, got, err)
			}
			if !use(t, d, k.KeyID) {
				t.Fatalf("prekey %d is not there", k.KeyID)
			}
			d.End(true)
			lost = i == 1
			if err := d.Flush(t.Context()); (err != nil) != lost {
				t.Fatal(err)
			}
			lost = false
			if got, err := next.GetPreKey(t.Context(), k.KeyID); err != nil || got != nil {
				t.Errorf("prekey %d was used and is there, %v", k.KeyID, err)
			}
		}
	})
}

// What is read while prekeys are being used is not kept.
func TestPreKeysBesideACommit(t *testing.T) {
	d, db, _ := bare(t)
	made, err := d.GetOrGenPreKeys(t.Context(), 2)
	must(t, err)
	end := d.CommittingPreKey(made[1].KeyID)
	if got, err := d.GetPreKey(t.Context(), made[0].KeyID); err != nil || got == nil {
		t.Fatalf("prekey %d is %+v, %v", made[0].KeyID, got, err)
	}
	_, err = db.ExecContext(t.Context(), `DELETE FROM whatsmeow_pre_keys WHERE key_id = ?`, made[1].KeyID)
	must(t, err)
	end()
	if got, err := d.GetPreKey(t.Context(), made[1].KeyID); err != nil || got != nil {
		t.Errorf("prekey %d was used and is there, %v", made[1].KeyID, err)
	}
}

// Prekeys that follow each other are read together.
func TestPreKeysReadOnce(t *testing.T) {
	d, _, reads := bare(t)
	made, err := d.GetOrGenPreKeys(t.Context(), 8)
	must(t, err)
	if !use(t, d, made[0].KeyID) {
		t.Fatal("the first prekey is not there")
	}
	must(t, reads.Close())
	for _, k := range made[1:] {
		if !use(t, d, k.KeyID) {
			t.Errorf("prekey %d is not there", k.KeyID)
		}
		d.End(true)
		must(t, d.Flush(t.Context()))
	}
}
