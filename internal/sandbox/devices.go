package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/whatsmeow/types"
)

// listHash is the hash by which clients and server compare device lists (whatsmeow send.go, participantListHashV2).
func listHash(devices []types.JID) string {
	names := make([]string, len(devices))
	for i, d := range devices {
		names[i] = d.ADString()
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "")))
	return "2:" + base64.RawStdEncoding.EncodeToString(sum[:6])
}

// jids are the JIDs of all the user's devices, phone first, in the form that like has.
func (u *user) jids(like types.JID) []types.JID {
	out := []types.JID{u.as(like, 0)}
	for _, d := range u.companions() {
		out = append(out, u.as(like, d.id))
	}
	return out
}

// staleDevices returns the hash of the right device list if the submission left a device out, or "".
func (sub *submission) staleDevices() string {
	if isRoom(sub.to) {
		return sub.staleMembers()
	}
	if _, ok := sub.stanza.GetOptionalChildByTag("participants"); !ok {
		return ""
	}
	own := sub.from.user
	right := own.jids(sub.to)
	if to := sub.c.s.find(sub.to); to != nil && to != own {
		right = append(right, to.jids(sub.to)...)
	}
	for _, d := range right {
		if d.User == sub.from.user.as(sub.to, 0).User && d.Device == sub.from.id {
			continue
		}
		if !slices.Contains(sub.reached, d) {
			return listHash(right)
		}
	}
	return ""
}

// devicesChanged tells clients that know a user's devices that one was added or removed ("add", "remove"): the user's
// own companions and those of users who asked.
func (s *Server) devicesChanged(t *batch, u *user, changed *device, how string) {
	own := node{Tag: "notification", Attrs: attrs{
		"from": u.pn(0), "type": "account_sync", "id": randomID(8), "t": unix(now()),
	}}
	list := u.jids(types.JID{})
	var children []node
	for _, j := range list {
		children = append(children, node{Tag: "device", Attrs: attrs{"jid": j}})
	}
	own.Content = []node{{Tag: "devices", Attrs: attrs{"dhash": listHash(list)}, Content: children}}
	for _, d := range u.companions() {
		if d != changed {
			s.enqueue(t, d, u.number, own)
		}
	}
	lids := u.jids(types.JID{Server: types.HiddenUserServer})
	others := node{Tag: "notification", Attrs: attrs{
		"from": u.pn(0), "lid": u.lidJID(0), "type": "devices", "id": randomID(8), "t": unix(now()),
	}, Content: []node{{Tag: how, Attrs: attrs{"device_hash": listHash(list), "device_lid_hash": listHash(lids)}, Content: []node{
		{Tag: "device", Attrs: attrs{"jid": u.pn(changed.id), "lid": u.lidJID(changed.id), "key-index": changed.keyIndex}},
	}}}}
	for number := range u.watchers {
		if watcher := s.world.users[number]; watcher != nil && watcher != u {
			for _, d := range watcher.companions() {
				s.enqueue(t, d, u.number, others)
			}
		}
	}
}

// removeDevice unlinks a companion: its keys, its sessions and what waited for it are gone.
func (s *Server) removeDevice(t *batch, d *device) {
	u := d.user
	delete(u.devices, d.id)
	t.drop(tableDevices, d.address())
	for _, st := range d.queue {
		t.drop(tableStanzas, stanzaRow(d, st))
	}
	d.queue, d.sent = nil, 0
	for _, k := range d.preKeys {
		t.drop(tablePreKeys, preKeyRow(d.address(), k.ID))
	}
	for id := range d.spent {
		t.drop(tablePreKeys, preKeyRow(d.address(), id))
	}
	for _, other := range s.world.users {
		if other.sessions[d.address()] != nil {
			delete(other.sessions, d.address())
			t.drop(tableSessions, other.number+"/"+d.address())
		}
	}
	s.forgetSenderKeys(t, d)
	s.devicesChanged(t, u, d, "remove")
}

// keyUse remembers the message keys with which another client encrypted for a companion: only the two clients can
// decrypt, but the ratchet key and the counter are there to be read.
type keyUse struct {
	ratchet [32]byte
	counter uint32
}

// maxKeyUses is how many are remembered for each pair of clients.
const maxKeyUses = 4096

// reusesKey says what is wrong if a message key was used before for another ciphertext.
func (d *device) reusesKey(from *device, enc node) string {
	raw := content(enc)
	var message *protocol.SignalMessage
	var err error
	if str(&enc, "type") == "pkmsg" {
		var opening *protocol.PreKeySignalMessage
		if opening, err = protocol.NewPreKeySignalMessageFromBytes(raw, serializer.PreKeySignalMessage, serializer.SignalMessage); err == nil {
			message = opening.WhisperMessage()
		}
	} else {
		message, err = protocol.NewSignalMessageFromBytes(raw, serializer.SignalMessage)
	}
	if err != nil {
		return "" // the receiver will find out
	}
	use := keyUse{message.SenderRatchetKey().PublicKey(), message.Counter()}
	known := d.uses[from.address()]
	if known == nil || len(known) >= maxKeyUses {
		known = map[keyUse][32]byte{}
		d.uses[from.address()] = known
	}
	sum := sha256.Sum256(raw)
	if before, ok := known[use]; ok && before != sum {
		return "the message key was used before for another ciphertext"
	}
	known[use] = sum
	return ""
}
