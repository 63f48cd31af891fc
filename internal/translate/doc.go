// Package translate turns what whatsmeow reports into the payloads that the
// Evolution API sends: protobufs into JSON, messages into MESSAGES_UPSERT,
// receipts and votes into MESSAGES_UPDATE, edits, deletions, calls, presence,
// groups, contacts, chats, labels and history into theirs, sends into
// SEND_MESSAGE. docs/events.md, written from its golden files, lists them all.
//
// It is pure: it reads an event and the Scope it happened in, and returns
// pombo.Events. It never talks to WhatsApp, to a store or to a clock (what it
// needs to be told is a function of the Scope), and never changes what it is
// given. The same event gives the same keys each time, save where nothing tells
// two occurrences apart (Scope.Unique).
//
// Nothing is lost in it. What cannot be translated (an error, a panic) comes
// out of Raw instead: an event of the same name and key whose data holds the
// protobuf as it came.
package translate

//go:generate go run ./gen
