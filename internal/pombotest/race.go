//go:build race

package pombotest

const raceDetector = true

// RaceDetector tells whether the race detector is on.
const RaceDetector = raceDetector
