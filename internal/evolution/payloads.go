package evolution

import (
	"encoding/json"
	"strings"
	"time"

	"pombo"
)

// This file makes the "data" of the events about an instance itself. Each is
// the superset of what 1.8.2 and 2.3.6 send.

// StateRefused is the state that CONNECTION_UPDATE tells, with the reason 428,
// when pairing was given up because nobody scanned. It is no state that an
// instance stays in: that is then "close".
const StateRefused pombo.ConnectionState = "refused"

// The words of STATUS_INSTANCE.
const (
	StatusCreated = "created" // the instance was made
	StatusClosed  = "closed"  // its session was logged out
	StatusRemoved = "removed" // pairing was given up
)

// InstanceCreated is the data of INSTANCE_CREATE:
// {"instanceName","instanceId"}.
func InstanceCreated(i pombo.Instance) json.RawMessage {
	return raw(ordered{{"instanceName", i.Name}, {"instanceId", i.ID}})
}

// InstanceDeleted is the data of INSTANCE_DELETE, which has the form of
// INSTANCE_CREATE.
func InstanceDeleted(i pombo.Instance) json.RawMessage { return InstanceCreated(i) }

// StatusInstance is the data of STATUS_INSTANCE: {"instance","status"} and, if
// d says why, disconnectionAt, disconnectionReasonCode and disconnectionObject
// (a string that holds JSON), as in 2.3.6.
func StatusInstance(name, status string, d pombo.Disconnection) json.RawMessage {
	o := ordered{{"instance", name}, {"status", status}}
	if d != (pombo.Disconnection{}) {
		o = append(o,
			member{"disconnectionAt", timestamp(d.At)},
			member{"disconnectionReasonCode", d.Code},
			member{"disconnectionObject", d.Object})
	}
	return raw(o)
}

// DisconnectionObject is the text that 2.3.6 keeps about a logout and shows as
// disconnectionObject: what its WhatsApp library reported, as JSON.
func DisconnectionObject(code int, at time.Time) string {
	type none struct{}
	return string(raw(ordered{
		{"error", ordered{
			{"data", nil}, {"isBoom", true}, {"isServer", false},
			{"output", ordered{{"statusCode", code}, {"payload", none{}}, {"headers", none{}}}},
		}},
		{"date", timestamp(at)},
	}))
}

// Connection is what CONNECTION_UPDATE tells.
type Connection struct {
	Instance          string // the instance's name
	State             pombo.ConnectionState
	StatusReason      int    // 0 is told as 200, "none"; 428 goes with StateRefused
	JID               string // the instance's own, with or without device; "" before pairing
	ProfileName       string
	ProfilePictureURL string
}

// ConnectionUpdate is the data of CONNECTION_UPDATE: {"instance", "wuid",
// "profileName", "profilePictureUrl", "state", "statusReason"}. Those of the
// account are left out if they are not known, save that an open connection
// always tells a picture, be it null.
func ConnectionUpdate(c Connection) json.RawMessage {
	o := ordered{{"instance", c.Instance}}
	if c.JID != "" {
		o = append(o, member{"wuid", BareJID(c.JID)})
	}
	if c.ProfileName != "" {
		o = append(o, member{"profileName", c.ProfileName})
	}
	if c.ProfilePictureURL != "" || c.State == pombo.StateOpen {
		o = append(o, member{"profilePictureUrl", nullable(c.ProfilePictureURL)})
	}
	reason := c.StatusReason
	if reason == 0 {
		reason = 200
	}
	return raw(append(o, member{"state", c.State}, member{"statusReason", reason}))
}

// QRCodeUpdated is the data of QRCODE_UPDATED for a new code: {"qrcode":
// {"instance","pairingCode","code","base64"}}. pairingCode is null without a
// number to pair with. It fails if the code cannot be drawn.
func QRCodeUpdated(name string, q pombo.QR) (json.RawMessage, error) {
	image, err := QRImage(q.Code)
	if err != nil {
		return nil, err
	}
	return raw(ordered{{"qrcode", ordered{
		{"instance", name},
		{"pairingCode", nullable(q.PairingCode)},
		{"code", q.Code},
		{"base64", image},
	}}}), nil
}

// QRCodeLimitReached is the data of QRCODE_UPDATED when no further code will be
// shown until someone connects the instance again.
func QRCodeLimitReached() json.RawMessage {
	return json.RawMessage(`{"message":"QR code limit reached, please login again","statusCode":500}`)
}

// ApplicationStartup is the data of APPLICATION_STARTUP, which is sent for each
// instance when the server starts: {"instance","instanceId","version"}, the
// last being the server's. The original accepts the event and never sends it,
// so the form is ours.
func ApplicationStartup(i pombo.Instance, version string) json.RawMessage {
	return raw(ordered{{"instance", i.Name}, {"instanceId", i.ID}, {"version", version}})
}

// LogoutInstance is the data of LOGOUT_INSTANCE, and RemoveInstance that of
// REMOVE_INSTANCE: null.
func LogoutInstance() json.RawMessage { return json.RawMessage("null") }

// RemoveInstance is the data of REMOVE_INSTANCE: null.
func RemoveInstance() json.RawMessage { return json.RawMessage("null") }

// BareJID returns a JID without its device: "5511999990000:3@s.whatsapp.net"
// becomes "5511999990000@s.whatsapp.net".
func BareJID(jid string) string {
	user, server, ok := strings.Cut(jid, "@")
	if !ok {
		return jid
	}
	user, _, _ = strings.Cut(user, ":")
	return user + "@" + server
}
