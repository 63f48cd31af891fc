package translate

import (
	"go.mau.fi/whatsmeow/types/events"

	"pombo"
)

// undecryptable makes a MESSAGES_UNDECRYPTABLE: {key, pushName, reason,
// isUnavailable, unavailableType?, type, mediaType?, hidden, messageTimestamp,
// owner, instanceId, source}.
//
// reason is "decryption_failed" (the sender is asked to send it again, and a
// MESSAGES_UPSERT with the same key.id follows if that helps), "unavailable" (the
// sender had no copy for this device) or "view_once" (WhatsApp gives messages to
// be viewed once to the phone alone). type is the kind that the stanza names:
// "text", "media", "reaction", "poll". hidden tells that WhatsApp's own clients
// show nothing in such a case.
//
// A message that fails again is the same occurrence.
func (s Scope) undecryptable(evt *events.UndecryptableMessage) []pombo.Event {
	if s.leavesOut(evt.Info) {
		return nil
	}
	reason := "decryption_failed"
	switch {
	case evt.UnavailableType == events.UnavailableTypeViewOnce:
		reason = "view_once"
	case evt.IsUnavailable:
		reason = "unavailable"
	}
	key, lane := s.messageKey(evt.Info)
	o := newObject().raw("key", key)
	if name := s.pushName(evt.Info); name != "" {
		o = o.text("pushName", name)
	} else {
		o = o.null("pushName")
	}
	o = o.text("reason", reason).bool("isUnavailable", evt.IsUnavailable).
		optional("unavailableType", string(evt.UnavailableType)).
		text("type", evt.Info.Type).optional("mediaType", evt.Info.MediaType).
		bool("hidden", evt.DecryptFailMode == events.DecryptFailHide).
		int("messageTimestamp", evt.Info.Timestamp.Unix())
	o = s.appendOwner(o)
	o = o.text("source", Source(evt.Info.ID))
	return []pombo.Event{s.event(pombo.MessagesUndecryptable, stanzaKey(evt.Info), lane, evt.Info.Timestamp, o.close())}
}
