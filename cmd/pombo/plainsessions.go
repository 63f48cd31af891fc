//go:build plainsessions

package main

// With the build tag "plainsessions" the devices' keys are in whatsmeow's own
// store: the benchmark compares with it.
func init() { faults.PlainSessions = true }
