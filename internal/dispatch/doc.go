// Package dispatch makes deliveries: it posts each pending event to its
// webhook, in order within a chat, until the endpoint takes it or it is given
// up. docs/deliveries.md has the state machine and the table of outcomes.
//
// It owns the lanes, the retry policy and the HTTP client. It never stores an
// event, never matches events to webhooks and never builds a payload: those are
// handed in (Store, Notify, Encoder).
//
// # How it is built
//
// Each webhook has a runner: a lock, a window and, only while there is work, up
// to Policy.Concurrency worker goroutines, one goroutine that reads from the
// store, and one timer. An idle webhook has no goroutine.
//
// Each runner has a circuit (circuit.go) and knows its parked deliveries
// (parked.go). A worker whose delivery failed for the fifth time compares it with
// another at once (park.go), in the same flight.
//
// The window is the part of the webhook's backlog that is in memory. It does no
// I/O and takes no lock, and it alone decides what may be posted next. Its
// invariants stand at the top of window.go.
//
// The order of locks is Dispatcher.mu, then runner.mu, then slots.mu; pacer.mu stands alone. No lock is
// held while a store, an encoder or a network is waited for.
package dispatch
