// Package translate turns what whatsmeow reports into the payloads that the
// Evolution API sends: protobufs into JSON, messages into MESSAGES_UPSERT,
// receipts into MESSAGES_UPDATE, sends into SEND_MESSAGE.
//
// It is pure: it reads an event and the Scope it happened in, and returns
// pombo.Events. It never talks to WhatsApp, to a store or to a clock, and never
// changes what it is given.
//
// Nothing is lost in it. What cannot be translated (an error, a panic) comes
// out of Raw instead: an event of the same name and key whose data holds the
// protobuf as it came.
package translate

//go:generate go run ./gen
