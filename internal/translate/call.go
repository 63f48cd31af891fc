package translate

import (
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// ring is one sign of a call.
type ring struct {
	types.BasicCallMeta
	status string
	// offer tells that video and group are known.
	offer, video, group bool
}

// call makes a CALL of each sign of a call: "offer", "ringing" (once for a
// call: the network tells of it many times), "accept", "reject", "timeout" (not
// answered) and "terminate" (ended otherwise). Source of the words: Baileys,
// getCallStatusFromNode. It returns nil for what is no call.
func (s Scope) call(evt any) []pombo.Event {
	var r ring
	switch evt := evt.(type) {
	case *events.CallOffer:
		r = ring{BasicCallMeta: evt.BasicCallMeta, status: "offer", offer: true}
		if evt.Data != nil {
			_, r.video = evt.Data.GetOptionalChildByTag("video")
			r.group = attr(evt.Data, "type") == "group"
		}
	case *events.CallOfferNotice:
		r = ring{BasicCallMeta: evt.BasicCallMeta, status: "offer", offer: true, video: evt.Media == "video", group: evt.Type == "group"}
	case *events.CallPreAccept:
		r = ring{BasicCallMeta: evt.BasicCallMeta, status: "ringing"}
	case *events.CallTransport:
		r = ring{BasicCallMeta: evt.BasicCallMeta, status: "ringing"}
	case *events.CallRelayLatency:
		r = ring{BasicCallMeta: evt.BasicCallMeta, status: "ringing"}
	case *events.CallAccept:
		r = ring{BasicCallMeta: evt.BasicCallMeta, status: "accept"}
	case *events.CallReject:
		r = ring{BasicCallMeta: evt.BasicCallMeta, status: "reject"}
	case *events.CallTerminate:
		r = ring{BasicCallMeta: evt.BasicCallMeta, status: "terminate"}
		if evt.Reason == "timeout" {
			r.status = "timeout"
		}
	default:
		return nil
	}
	return s.ring(r)
}

// ring makes {chatId, from, id, date, offline, status, isVideo?, isGroup?,
// groupJid?}. from and chatId are the phone number if it is known. offline is
// always false: whatsmeow does not say whether a call was rung before the
// connection was there; date does. isVideo and isGroup stand in the offer only.
func (s Scope) ring(r ring) []pombo.Event {
	if !r.GroupJID.IsEmpty() {
		r.group = true
	}
	if r.CallID == "" || r.group && s.Settings.GroupsIgnore {
		return nil
	}
	alt := types.EmptyJID
	if plain(r.From) == plain(r.CallCreator) {
		alt = r.CallCreatorAlt
	}
	chat, chatAlt := s.forms(r.From, alt)
	from, fromAlt := s.forms(r.CallCreator, r.CallCreatorAlt)
	if r.CallCreator.IsEmpty() {
		from, fromAlt = chat, chatAlt
	}
	lane := chat.String()
	o := newObject().text("chatId", lane).jid("from", from).jid("fromAlt", fromAlt).text("id", r.CallID).
		text("date", r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z")).
		bool("offline", false).text("status", r.status)
	if r.offer {
		o = o.bool("isVideo", r.video).bool("isGroup", r.group)
	}
	o = o.jid("groupJid", r.GroupJID)
	data := append(s.appendOwner(o), '}')
	// A person's devices each accept, and the network repeats itself: one event for
	// each status of a call.
	key := strings.Join([]string{plain(r.From).String(), r.CallID, r.status}, "|")
	return []pombo.Event{s.event(pombo.Call, key, lane, r.Timestamp, data)}
}

func attr(n *waBinary.Node, name string) string {
	v, _ := n.Attrs[name].(string)
	return v
}
