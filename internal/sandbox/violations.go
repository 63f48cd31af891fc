package sandbox

import (
	"context"
	"fmt"
	"time"
)

// ViolationKind says which rule of the network a client broke.
type ViolationKind string

// The rules whose breaking is recorded.
const (
	ViolationReusedKey     ViolationKind = "reused-message-key" // two ciphertexts under one Signal message key
	ViolationUndecryptable ViolationKind = "undecryptable"      // a message that its receiver cannot decrypt
	ViolationBadSignature  ViolationKind = "bad-signature"      // of an identity or a signed prekey
	ViolationBadLogin      ViolationKind = "bad-login"          // a session with another device's keys
	ViolationUnknownIQ     ViolationKind = "unknown-iq"         // a query that the sandbox does not know
	ViolationUnknownStanza ViolationKind = "unknown-stanza"     // a stanza that the sandbox does not know
	ViolationMalformed     ViolationKind = "malformed"          // a stanza that makes no sense
	ViolationBadMedia      ViolationKind = "bad-media"          // a file that is not what its message or its upload says
	ViolationBadSync       ViolationKind = "bad-app-state"      // a patch of settings that its phone cannot take
	ViolationUnknownDevice ViolationKind = "unknown-device"     // a message for a device that does not exist
)

// Violation is a rule of the network that a client broke.
type Violation struct {
	At     time.Time     `json:"at"`
	Kind   ViolationKind `json:"kind"`
	Device string        `json:"device,omitempty"` // JID of the client, if it is logged in
	Detail string        `json:"detail"`
}

// maxViolations is how many are kept; older ones are forgotten.
const maxViolations = 1000

// Violations lists the rules of the network that clients broke, oldest first, at most the last 1,000.
func (s *Server) Violations(context.Context) ([]Violation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Violation{}, s.world.violations...), nil
}

// violation records what a client did on a connection. Called without s.mu.
func (s *Server) violation(c *conn, kind ViolationKind, detail string) {
	s.update(func(t *batch) {
		var who string
		if c.device != nil {
			who = c.device.user.pn(c.device.id).String()
		}
		s.recordViolation(t, kind, who, detail)
	})
}

func (s *Server) recordViolation(t *batch, kind ViolationKind, device, detail string) {
	s.log.Warn("A client broke a rule", "kind", kind, "device", device, "detail", detail)
	v := Violation{At: time.Now().UTC(), Kind: kind, Device: device, Detail: detail}
	s.world.violations = append(s.world.violations, v)
	if len(s.world.violations) > maxViolations {
		s.world.violations = s.world.violations[1:]
	}
	t.put(tableViolations, fmt.Sprintf("%016x", s.world.next()), encodeJSON(v))
}
