//go:build race

package pombotest

const raceDetector = true
