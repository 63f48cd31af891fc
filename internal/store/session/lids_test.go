package session_test

import (
	"fmt"
	"testing"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"pombo/internal/store"
	"pombo/internal/store/session"
)

// A number has one LID, and a LID one number, in the database too: who had either
// before has it no more. However many are committed at once, all are.
func TestLIDs(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		d := pair(t, s.Devices(), s.Devices().NewDevice())
		pn := func(i int) types.JID { return types.NewJID(fmt.Sprint("55119", i), types.DefaultUserServer) }
		lid := func(i int) types.JID { return types.NewJID(fmt.Sprint("100", i), types.HiddenUserServer) }
		want := map[types.JID]types.JID{}
		put := func(n, l int) {
			t.Helper()
			must(t, d.PutLIDMapping(t.Context(), lid(l), pn(n)))
			want[pn(n)] = lid(l)
		}
		for n := range 47 { // 32 + 8 + 4 + 2 + 1
			put(n, n)
		}
		must(t, d.Flush(t.Context()))
		put(0, 100) // another LID for a number
		must(t, d.Flush(t.Context()))
		put(101, 1) // another number for a LID
		delete(want, pn(1))
		must(t, d.Flush(t.Context()))
		put(2, 3) // both
		delete(want, pn(3))
		must(t, d.Flush(t.Context()))
		must(t, d.PutManyLIDMappings(t.Context(), []wastore.LIDMapping{{LID: lid(2), PN: pn(3)}}))
		want[pn(3)] = lid(2)

		check := func(d *session.Device) {
			t.Helper()
			for n := range 102 {
				got, err := d.GetLIDForPN(t.Context(), pn(n))
				if err != nil || got != want[pn(n)] {
					t.Errorf("the LID of %s is %s, %v, want %s", pn(n), got, err, want[pn(n)])
				}
				if back, err := d.GetPNForLID(t.Context(), lid(n)); err != nil || !back.IsEmpty() && want[back] != lid(n) {
					t.Errorf("the number of %s is %s, %v", lid(n), back, err)
				}
			}
			for number, l := range want {
				if got, err := d.GetPNForLID(t.Context(), l); err != nil || got != number {
					t.Errorf("the number of %s is %s, %v, want %s", l, got, err, number)
				}
			}
		}
		check(d)
		must(t, s.Close())
		s = open(t, store.Options{URI: uri}) // from the database, not from what was kept in memory
		check(again(t, s.Devices()))
	})
}
