//go:build race

package pombotest

// RaceDetector tells whether the race detector is on.
const RaceDetector = true
