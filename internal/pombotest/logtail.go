package pombotest

import (
	"bufio"
	"strings"
	"sync"
)

// logTail keeps the last lines written to it, and the first that tells of an end
// that is no error of the gateway's own: a data race, a panic.
type logTail struct {
	mu    sync.Mutex
	lines []string
	rest  string
	crash string
}

const tailLines = 120

func (l *logTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sc := bufio.NewScanner(strings.NewReader(l.rest + string(b)))
	sc.Buffer(nil, 1<<20)
	l.rest = ""
	for sc.Scan() {
		l.lines = append(l.lines, sc.Text())
		if l.crash == "" && isCrash(sc.Text()) {
			l.crash = sc.Text()
		}
	}
	if n := len(l.lines); n > 0 && len(b) > 0 && b[len(b)-1] != '\n' {
		l.rest, l.lines = l.lines[n-1], l.lines[:n-1]
	}
	if n := len(l.lines); n > tailLines {
		l.lines = append([]string(nil), l.lines[n-tailLines:]...)
	}
	return len(b), nil
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(append(l.lines[:len(l.lines):len(l.lines)], l.rest), "\n")
}

// isCrash tells whether Go's runtime or the race detector wrote a line.
func isCrash(line string) bool {
	for _, start := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: ", "SIGBUS", "SIGSEGV"} {
		if strings.HasPrefix(line, start) {
			return true
		}
	}
	return false
}

// crashed returns the first line that tells of a crash, "" if there is none.
func (l *logTail) crashed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crash
}
