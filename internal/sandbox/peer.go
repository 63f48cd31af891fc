package sandbox

import (
	"bytes"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// What a phone has told a new companion so far, in order.
const (
	syncedKeys    = 1 // the keys of the app state
	syncedHistory = 2 // the first messages
)

// sendPeer lets a phone say something to one of its own companions, which people do not see.
func (s *Server) sendPeer(t *batch, d *device, body *waE2E.Message) (string, error) {
	u := d.user
	raw, err := proto.Marshal(body)
	if err != nil {
		return "", err
	}
	kind, sealed, err := s.encrypt(t, u, d, raw)
	if err != nil {
		return "", err
	}
	m := &message{ID: randomID(16), From: u.number, To: u.number, At: now(), Body: raw, Peer: true}
	s.keepSent(t, u, m)
	s.enqueue(t, d, "", node{Tag: "message", Attrs: attrs{
		"from": u.pn(0), "id": m.ID, "type": "text", "t": unix(m.At), "category": "peer", "notify": u.name,
	}, Content: []node{{Tag: "enc", Attrs: attrs{"v": "2", "type": kind}, Content: sealed}}})
	return m.ID, nil
}

// welcome gives a companion, when it is ready for the first time, what phones give to new ones: the keys of the app
// state at once, and then, if the phone has any, its last messages.
func (s *Server) welcome(t *batch, d *device) {
	if s.options.Quiet {
		return
	}
	if d.synced == 0 {
		a := s.syncOf(t, d.user)
		d.synced = syncedKeys
		t.put(tableDevices, d.address(), d.encode)
		s.alignPushName(t, d.user)
		s.shareKeys(t, d, a.keys)
	}
	if d.synced == syncedKeys && !d.greeted {
		d.greeted = true
		t.then(func() {
			if !s.closed {
				s.running.Go(func() { s.firstHistory(d) })
			}
		})
	}
}

// shareKeys sends keys of the app state to a companion, which then asks for the state.
func (s *Server) shareKeys(t *batch, d *device, list []*syncKey) {
	share := &waE2E.AppStateSyncKeyShare{}
	indexes := []uint32{0}
	for _, other := range d.user.companions() {
		indexes = append(indexes, other.keyIndex)
	}
	for _, k := range list {
		share.Keys = append(share.Keys, &waE2E.AppStateSyncKey{
			KeyID: &waE2E.AppStateSyncKeyId{KeyID: k.ID},
			KeyData: &waE2E.AppStateSyncKeyData{
				KeyData: k.Data, Timestamp: proto.Int64(k.At.UnixMilli()),
				Fingerprint: &waE2E.AppStateSyncKeyFingerprint{
					RawID: &d.user.registrationID, CurrentIndex: &d.keyIndex, DeviceIndexes: indexes,
				},
			},
		})
	}
	_, err := s.sendPeer(t, d, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE.Enum(), AppStateSyncKeyShare: share,
	}})
	if err != nil {
		s.log.Error("The app state's keys could not be shared", "device", d.address(), "error", err)
	}
}

// peerRequest lets a phone do what one of its companions asks of it, in the message with this id.
func (s *Server) peerRequest(t *batch, d *device, id string, body *waE2E.Message) {
	s.peerOperation(t, d, id, body.GetProtocolMessage().GetPeerDataOperationRequestMessage())
	request := body.GetProtocolMessage().GetAppStateSyncKeyRequest()
	if request == nil {
		return
	}
	var found []*syncKey
	for _, k := range s.syncOf(t, d.user).keys {
		for _, id := range request.GetKeyIDs() {
			if bytes.Equal(id.GetKeyID(), k.ID) {
				found = append(found, k)
			}
		}
	}
	if len(found) > 0 {
		s.shareKeys(t, d, found)
	}
}
