// Package whatsapp holds one Session for each instance and is the only user of
// whatsmeow's client.
//
// It owns the rule that a stanza is confirmed to WhatsApp only after what was
// made of it is committed (ack.go, confirm.go), the guard between whatsmeow and its stores
// that keeps a failing store from becoming a confirmation (guard.go), and the
// life of a connection: pairing, logging in, reconnecting, logging out.
//
// The parts, from the outside in: a Network is made once per process; a Session
// is an instance's wish to be connected; a run is the goroutine that pursues it;
// a line is one connection, with a whatsmeow client of its own that is never used
// for a second one.
//
// It never decides what an event looks like (translate, evolution), never keeps
// anything itself (its interfaces do) and never posts a webhook.
package whatsapp
