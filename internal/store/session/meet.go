package session

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"go.mau.fi/whatsmeow/types"
)

// meet reads at once what is about to be asked one by one of a contact whose LID is
// not in the cache: most often somebody who never wrote before, of whom there is
// nothing. That would be six reads, and each has to look first what others have
// committed since the one before. It returns the LID that is committed, "" if there is
// none.
func (d *Device) meet(ctx context.Context, lid, pn types.JID) (known string, err error) {
	mapping := key{kind: lidKind, a: pn.User}
	user, address := pn.SignalAddressUser(), lid.SignalAddress().String()
	before := addressed(user + ":") // what would have to move to the LID
	keys := [2]key{d.key(sessionKind, address), d.key(identityKind, address)}
	contacts := [2]key{d.key(contactKind, pn.ToNonAD().String()), d.key(contactKind, lid.ToNonAD().String())}

	keepMapping, doneMapping := d.c.tally("").reading(d.c.cache, one(mapping))
	defer doneMapping()
	keep, done := d.tally.reading(d.c.cache, func(k key) bool {
		return before(k) || slices.Contains(keys[:], k) || slices.Contains(contacts[:], k)
	})
	defer done()
	moves := false
	var found map[key][]byte
	args := []any{d.jid, user + ":", pn.User, address, contacts[0].a, contacts[1].a}
	err = d.c.read(ctx, d.c.q.meet, args, func(rows *sql.Rows) error {
		k := key{jid: d.jid}
		var value []byte
		if err := rows.Scan(&k.kind, &k.a, &k.b, &value); err != nil {
			return err
		}
		switch {
		case k.kind == lidKind:
			known = k.a
		case before(k):
			moves = true
		default:
			if found == nil {
				found = map[key][]byte{}
			}
			found[k] = value
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	keepMapping(mapping, known, len(known))
	if !moves {
		keep(d.key(unusedKind, user), true, 0)
	}
	for _, k := range keys {
		if value := found[k]; value == nil {
			keep(k, nil, 0)
		} else {
			keep(k, value, len(value))
		}
	}
	for _, k := range contacts {
		if _, there := found[k]; !there { // of others the names are read when they are asked for
			keep(k, types.ContactInfo{}, contactSize)
		}
	}
	return known, nil
}

// meeting is the statement of meet, in the form of both databases.
func meeting(moved string) string {
	return fmt.Sprintf(`SELECT %d, lid, '', CAST(NULL AS bytea) FROM whatsmeow_lid_map WHERE pn = $3`, lidKind) +
		` UNION ALL ` + moved +
		fmt.Sprintf(` UNION ALL SELECT %d, their_id, '', session FROM whatsmeow_sessions WHERE our_jid = $1 AND their_id = $4`, sessionKind) +
		fmt.Sprintf(` UNION ALL SELECT %d, their_id, '', identity FROM whatsmeow_identity_keys WHERE our_jid = $1 AND their_id = $4`, identityKind) +
		fmt.Sprintf(` UNION ALL SELECT %d, their_jid, '', NULL FROM whatsmeow_contacts WHERE our_jid = $1 AND their_jid IN ($5, $6)`, contactKind)
}
