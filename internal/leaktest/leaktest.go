// Package leaktest makes sure that a package's tests leave no goroutine behind.
package leaktest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines that are about to end may take, on a machine that has
// no time for them. By itself, goleak waits less than half a second.
const patience = 2 * time.Minute

// Main runs the tests of a package and ends the process; for TestMain. If all have passed
// and goroutines are left, other than those of options, it fails.
func Main(m *testing.M, options ...goleak.Option) {
	code := m.Run()
	if code == 0 {
		if err := leaks(options); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func leaks(options []goleak.Option) error {
	for deadline := time.Now().Add(patience); ; {
		err := goleak.Find(options...)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
