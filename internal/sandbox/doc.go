// Package sandbox simulates the WhatsApp multi-device network on one machine.
//
// It owns a server that speaks WhatsApp's wire protocol (Noise XX over WebSocket, binary XML, Signal encryption) and,
// behind it, any number of simulated phones. An unmodified whatsmeow client pairs with it by QR or by code, exchanges
// end-to-end encrypted messages with the phones, loses its connection, comes back, and is handed what it did not
// confirm, as it would be by the original. A Control handler steers the phones over HTTP.
//
// Vocabulary: a user is a phone number known to the network, with its phone (device 0, simulated here) and its
// companions (devices 1 and up, real clients). A contact is a user without companions, an account one with some.
//
// The package never talks to WhatsApp, and imports nothing of the gateway: what is tested against it cannot lean on it.
package sandbox
