package sandbox

import "go.mau.fi/libsignal/logger"

// libsignal writes to the standard output unless it is told otherwise, through a variable that it sets on first use
// without a lock. The errors that matter are those that it returns.
func init() {
	var none logger.Loggable = quiet{}
	logger.Setup(&none)
}

type quiet struct{}

func (quiet) Debug(string, string)   {}
func (quiet) Info(string, string)    {}
func (quiet) Warning(string, string) {}
func (quiet) Error(string, string)   {}
func (quiet) Configure(string)       {}
