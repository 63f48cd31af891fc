//go:build !race

package pombotest

const raceDetector = false

// RaceDetector tells whether the race detector is on.
const RaceDetector = raceDetector
