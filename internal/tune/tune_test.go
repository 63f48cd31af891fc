package tune

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// What the operator has set stays, and the rest is set.
func TestProcess(t *testing.T) {
	usual := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(usual)
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	Process([]string{"GOGC=50", "GOMAXPROCS=1"})
	if n := runtime.GOMAXPROCS(0); n != usual {
		t.Errorf("%d processors, were %d", n, usual)
	}
	Process([]string{"GOGC=50", "NOT_GOMAXPROCS=1"})
	if n := runtime.GOMAXPROCS(0); n != usual+1 {
		t.Errorf("%d processors, were %d", n, usual)
	}
}
