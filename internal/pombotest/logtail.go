package pombotest

import (
	"bufio"
	"strings"
	"sync"
)

// logTail keeps the last lines written to it.
type logTail struct {
	mu    sync.Mutex
	lines []string
	rest  string
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
