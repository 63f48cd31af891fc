package whatsapp

import (
	"bytes"
	"fmt"

	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/store"
)

// mend takes back what libsignal did to the states of a session that it merely
// tried. before is the session as it was read, after as it is to be stored once a
// message was decrypted with it.
//
// Two devices that write to each other for the first time at once have two
// states in common for a while. A message is tried on the current one and then on
// the former ones. With each try libsignal turns the state's ratchet, and keeps it
// turned when the message is not for that state (session/SessionCipher.go,
// DecryptWithRecord; the original tries copies). The state is then useless:
// nothing more that the other side writes with it can be read, nor what we write.
func mend(before, after []byte) ([]byte, error) {
	if !hasFormer(before) {
		return after, nil // there was nothing to try but what fitted
	}
	serializer := store.SignalProtobufSerializer.Session
	old, err := serializer.Deserialize(before)
	if err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	session, err := serializer.Deserialize(after)
	if err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	if sameState(old.SessionState, session.SessionState) {
		return after, nil // it fitted the first
	}
	// libsignal also leaves a copy of the state that it promotes among the former.
	former := session.PreviousStates[:0]
	seen := []*record.StateStructure{session.SessionState}
	for _, s := range session.PreviousStates {
		if s = asBefore(old, s); hasState(seen, s) {
			continue
		}
		former, seen = append(former, s), append(seen, s)
	}
	session.PreviousStates = former
	return serializer.Serialize(session), nil
}

// hasFormer tells whether a stored session has former states, as few have. libsignal
// stores sessions as JSON, the former states last (serialize/JSONSerializer.go,
// record.SessionStructure); what does not end like that is read.
func hasFormer(session []byte) bool {
	return len(session) > 0 && !bytes.HasSuffix(session, []byte(`"PreviousStates":[]}`)) &&
		!bytes.HasSuffix(session, []byte(`"PreviousStates":null}`))
}

// asBefore returns the state as it was read, or s if it is new.
func asBefore(old *record.SessionStructure, s *record.StateStructure) *record.StateStructure {
	if sameState(old.SessionState, s) {
		return old.SessionState
	}
	for _, o := range old.PreviousStates {
		if sameState(o, s) {
			return o
		}
	}
	return s
}

func hasState(list []*record.StateStructure, s *record.StateStructure) bool {
	for _, other := range list {
		if sameState(other, s) {
			return true
		}
	}
	return false
}

// sameState tells whether two are the same state, at whatever turn of its ratchet.
func sameState(a, b *record.StateStructure) bool {
	return a.SessionVersion == b.SessionVersion && bytes.Equal(a.SenderBaseKey, b.SenderBaseKey)
}
