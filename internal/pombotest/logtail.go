package pombotest

import (
	"bufio"
	"strings"
	"sync"
)

// logTail keeps the last lines written to it, and the first that tells of an end
// that is no error of the gateway's own (a data race, a panic), with what follows it.
type logTail struct {
	mu    sync.Mutex
	lines []string
	rest  string
	crash []string
}

const tailLines, crashLines = 120, 80

func (l *logTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sc := bufio.NewScanner(strings.NewReader(l.rest + string(b)))
	sc.Buffer(nil, 1<<20)
	l.rest = ""
	for sc.Scan() {
		l.lines = append(l.lines, sc.Text())
		if n := len(l.crash); n > 0 && n < crashLines || n == 0 && isCrash(sc.Text()) {
			l.crash = append(l.crash, sc.Text())
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

// crashed returns what tells of a crash, "" if nothing does.
func (l *logTail) crashed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.crash, "\n")
}
