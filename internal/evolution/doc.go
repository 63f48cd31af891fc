// Package evolution owns the JSON of the Evolution API: it reads requests in
// every form that its clients send, writes answers in either dialect, wraps
// events in the envelope that webhooks get, and knows the rules for numbers.
//
// It is pure: bytes and values in, bytes and values out. It never opens a
// connection, never reads the clock (a time is always passed in) and never
// keeps state. What is true of the wire was taken from Evolution API 1.4.8,
// 1.8.2 and 2.3.6.
package evolution

// Dialect is one of the two generations of the Evolution API.
type Dialect int

// The dialects.
const (
	V1 Dialect = 1 // versions 1.x: flat bodies, snake_case
	V2 Dialect = 2 // versions 2.x: nested bodies, camelCase
)
