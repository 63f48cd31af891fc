//go:build race

package sandbox_test

// raceDetector says that the tests run under the race detector. whatsmeow's FrameSocket reads and writes its fields
// without a lock when a connection ends, so any test with it fails now and then; TestStress has a client of its own and
// looks for races of the sandbox. SANDBOX_RACE_WHATSMEOW=1 runs the others all the same.
const raceDetector = true
