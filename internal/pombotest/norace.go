//go:build !race

package pombotest

const raceDetector = false
