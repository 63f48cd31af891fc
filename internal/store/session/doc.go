// Package session keeps what WhatsApp's library needs to read and write messages:
// sessions of Signal, identities, sender keys, prekeys, message secrets, contacts,
// and which number hides behind which LID. It works on the tables of whatsmeow's
// own store (sqlstore), whose upgrades are kept: a database can go from the one to
// the other and back. What has no part in reading a message (app state, settings
// of chats, privacy tokens, the device itself) is left to sqlstore.
//
// It never decides what is committed when: its user does, and a [Writer] commits.
// It never talks to WhatsApp.
//
// # The unit of a message
//
// To decrypt a message turns its session's ratchet: the message can be read once.
// So what reading it changed (the unit) must be committed together with the event
// that was in it, not before and not without it:
//
//	DoDecryptionTxn   reads through the unit; if decrypting fails, nothing is kept
//	PutSenderKey      joins the unit that is open
//	End               closes the unit: it rides, with its events
//	Flush             all that rides: one transaction
//
// Before the commit nothing of the message is on disk: WhatsApp sends it again and
// it decrypts again. After it all is there. Between End and the commit the next
// message may be decrypted, or one encrypted: that reads what rides, and is not
// committed before it or without it, since every commit of a device takes all that
// rides, and there is one at a time.
//
// A message of which it is not certain that exactly one event follows (see
// oneEvent) goes the way of sqlstore: its plaintext is committed with the unit,
// and found when WhatsApp sends the message again.
//
// # Riders
//
// Units that were closed, and what does no harm if it is committed early, or never
// because the process dies before the message is confirmed (message secrets, LIDs,
// the names that contacts give themselves), wait for the next commit of the device,
// whichever it is. Everything else is written through: committed when the call
// returns.
//
// # The cache
//
// All devices share one [cache], bounded by bytes. Only what is committed is in
// it, so that any entry may be dropped; what is not committed is in overlays
// besides. A contact who is not in it is read as a whole (meet), since a first
// message asks for most of it; prekeys are read some at a time.
package session
