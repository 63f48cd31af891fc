package session

import "go.mau.fi/whatsmeow/types"

// These make a commit of something be under way until end is called.

func (d *Device) CommittingSession(address string) (end func()) {
	return d.tally.begin(false, d.key(sessionKind, address))
}

func (d *Device) CommittingContact(jid types.JID) (end func()) {
	return d.tally.begin(false, d.key(contactKind, jid.String()))
}

func (d *Device) CommittingLID(pn types.JID) (end func()) {
	return d.c.tally("").begin(false, key{kind: lidKind, a: pn.User})
}

// Forget drops what waits for a commit.
func (d *Device) Forget() { d.riders = overlay{} }

func (d *Device) CommittingPreKey(id uint32) (end func()) { return d.tally.begin(false, d.preKey(id)) }

// MovedQuery is the statement that finds what is kept under a user's addresses.
func (d *Device) MovedQuery() string { return d.c.q.moved }
