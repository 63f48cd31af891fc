package sandbox

import "time"

// faults is what the network does wrong on purpose. Guarded by Server.mu.
type faults struct{}

func (f *faults) delay(*device) time.Time  { return time.Time{} }
func (f *faults) keep(*device) bool        { return false }
func (f *faults) refuse(string) int        { return 0 }
func (f *faults) refuseMessage(string) int { return 0 }
func (f *faults) swallowAck(string) bool   { return false }
