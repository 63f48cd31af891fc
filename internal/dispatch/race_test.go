//go:build race

package dispatch

func init() { backlog = 100_000 } // a million rows take a minute under the race detector
