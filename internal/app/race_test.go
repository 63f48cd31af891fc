//go:build race

package app_test

// raceDetector is on: keys are made five times more slowly.
const raceDetector = true
