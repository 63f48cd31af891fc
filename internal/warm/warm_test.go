package warm

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// goroutine names the goroutine that calls it.
func goroutine() string {
	stack := make([]byte, 64)
	name, _, _ := strings.Cut(string(stack[:runtime.Stack(stack, false)]), " [")
	return name
}

// A call waits for no other, and has a goroutine that has made a call before if one is
// free. None is left in the end, or synctest finds it.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		release := make(chan struct{})
		slow, outer, inner := "", "", ""
		go w.Run(func() { slow = goroutine(); <-release })
		synctest.Wait()
		w.Run(func() {
			outer = goroutine()
			w.Run(func() { inner = goroutine() })
		})
		close(release)
		synctest.Wait()
		if slow == outer || outer == inner || inner == "" {
			t.Errorf("the goroutines %q, %q, %q made a call while they made another", slow, outer, inner)
		}
		for range 5 {
			again := ""
			w.Run(func() { again = goroutine() })
			if again != slow && again != outer && again != inner {
				t.Errorf("%q made a call, and others were free", again)
			}
			synctest.Wait()
		}
		<-time.After(idleFor)
	})
}

// Who closes a pool need not wait until its goroutines have been idle for long enough.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		w.Run(func() {})
		release := make(chan struct{})
		w.Go(func() { <-release })
		w.Close()
		close(release)
	})
}
