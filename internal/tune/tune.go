// Package tune sets Go's runtime for what a gateway does: little memory, bursts of
// work, and one goroutine that waits for the disk most of the time.
package tune

import (
	"runtime"
	"slices"
	"strings"
)

// Process tunes this process, once. What its environment sets (GOGC, GOMAXPROCS; each
// entry is "NAME=value") stays.
func Process(environment []string) {
	set := func(name string) bool {
		return slices.ContainsFunc(environment, func(s string) bool { return strings.HasPrefix(s, name+"=") })
	}
	if !set("GOGC") {
		heap()
	}
	if !set("GOMAXPROCS") {
		runtime.GOMAXPROCS(processors(runtime.GOMAXPROCS(0)))
	}
}

// processors returns how many threads may run Go code where Go would take so many: one
// more. Whoever writes the database is in the kernel, and often waiting there, and
// takes its place with it; when it comes back it need not queue for another one.
func processors(usual int) int { return usual + 1 }
