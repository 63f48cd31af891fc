package session

import "testing"

// What is read beside a commit gets into the cache unless the commit changes it.
func TestReadingBesideCommits(t *testing.T) {
	ana, bia := key{jid: "i", kind: sessionKind, a: "1_1:0"}, key{jid: "i", kind: sessionKind, a: "2_1:0"}
	group := key{jid: "i", kind: senderKeyKind, a: "g@g.us", b: "1_1:0"}
	for name, c := range map[string]struct {
		read     func(k key) bool
		anything bool
		changed  []key
		kept     bool
	}{
		"the same thing":    {read: one(ana), changed: []key{ana}},
		"another thing":     {read: one(ana), changed: []key{bia}, kept: true},
		"one of several":    {read: one(bia), changed: []key{ana, bia}},
		"events alone":      {read: one(ana), kept: true},
		"anything":          {read: one(ana), anything: true},
		"under an address":  {read: addressed("1_1:"), changed: []key{group}},
		"under another one": {read: addressed("2_1:"), changed: []key{ana, group}, kept: true},
	} {
		for _, order := range []string{"begins first", "begins during the read", "ends before the read"} {
			t.Run(name+", "+order, func(t *testing.T) {
				tally, cache := (&Container{tallies: map[string]*tally{}}).tally("i"), newCache(defaultCache)
				end := func() {}
				if order != "begins during the read" {
					end = tally.begin(c.anything, c.changed...)
				}
				if order == "ends before the read" {
					end()
					end = func() {}
				}
				keep, done := tally.reading(cache, c.read)
				if order == "begins during the read" {
					end = tally.begin(c.anything, c.changed...)
				}
				end()
				keep(ana, "value", 5)
				done()
				if _, kept := cache.get(ana); kept != (c.kept || order == "ends before the read") {
					t.Errorf("kept: %t", kept)
				}
				if len(tally.reads) > 0 || len(tally.changing) > 0 || tally.anything != 0 {
					t.Errorf("something is left: %+v", tally)
				}
			})
		}
	}
}
