// Package pombotest gives tests a whole gateway: the real server, in this
// process or in one that can be killed, a simulated WhatsApp network, and a
// real HTTP receiver for its webhooks. It is for tests alone.
package pombotest
