package pombotest

import (
	"testing"
	"time"
)

// pause waits a moment between two looks at something outside this process
// that gives no notice.
func pause(t testing.TB) {
	select {
	case <-t.Context().Done():
		t.Fatal("the test's time is up")
	case <-time.After(10 * time.Millisecond):
	}
}

// Eventually waits until ok holds, looking again and again; the test fails,
// naming what, after the patience given.
func Eventually(t testing.TB, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); pause(t) {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain for %s", patience, what)
		}
	}
}
