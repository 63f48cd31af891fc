package pombotest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Key is the API key of the servers that this package starts.
const Key = "test-key-0123456789"

// Process is a gateway in a process of its own, which can be killed.
type Process struct {
	*Client
	t    testing.TB
	path string // of the program
	args []string
	env  []string
	log  *logTail

	mu  sync.Mutex
	cmd *exec.Cmd
}

// NewProcess prepares a gateway that runs the program at path with args. It
// listens on a port that stays the same over restarts; more variables
// ("NAME=value") win over its own. Nothing runs before Start.
func NewProcess(t testing.TB, path string, args []string, more ...string) *Process {
	t.Helper()
	port := freePort(t)
	p := &Process{
		Client: NewClient(t, "http://127.0.0.1:"+strconv.Itoa(port), Key),
		t:      t, path: path, args: args, log: &logTail{},
		env: append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + os.TempDir(),
			"SERVER_HOST=127.0.0.1", "SERVER_PORT=" + strconv.Itoa(port),
			"AUTHENTICATION_API_KEY=" + Key, "LOG_FORMAT=text",
		}, more...),
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the last lines of the gateway's log:\n%s", p.log)
		}
	})
	return p
}

// Start starts the gateway and waits until it answers.
func (p *Process) Start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = p.env
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("starting %s: %v", p.path, err)
	}
	p.cmd = cmd
	if err := p.waitHealthy(30 * time.Second); err != nil {
		p.t.Fatalf("the gateway does not answer: %v\n%s", err, p.log)
	}
}

// Kill ends the gateway with SIGKILL: it has no chance to finish anything.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop ends the gateway with SIGTERM and waits until it is gone.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

func (p *Process) end(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig) // it may be gone already
	_ = p.cmd.Wait()              // its status is the signal's
	p.cmd = nil
}

// PID returns the gateway's process ID, 0 if it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Log returns the last lines that the gateway logged.
func (p *Process) Log() string { return p.log.String() }

func (p *Process) waitHealthy(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+"/health", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("it answered %s", resp.Status)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// freePort returns a loopback port that is free now.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// logTail keeps the last lines written to it.
type logTail struct {
	mu    sync.Mutex
	lines []string
	rest  string
}

const tailLines = 60

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

// Client calls a gateway's REST API.
type Client struct {
	Base string // http://host:port
	Key  string
	t    testing.TB
	http *http.Client
}

// NewClient makes a client that fails the test t on errors.
func NewClient(t testing.TB, base, key string) *Client {
	return &Client{Base: base, Key: key, t: t, http: &http.Client{Timeout: time.Minute}}
}

// Do makes a request with a JSON body (nil for none, a string as it is) and
// returns the answer's status and body.
func (c *Client) Do(method, path string, body any) (int, []byte) {
	c.t.Helper()
	status, answer, err := c.Try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, answer
}

// Try is Do for when the gateway may not answer.
func (c *Client) Try(method, path string, body any) (int, []byte, error) {
	var r io.Reader = http.NoBody
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		buf, err := json.Marshal(b)
		if err != nil {
			return 0, nil, err
		}
		r = strings.NewReader(string(buf))
	}
	req, err := http.NewRequest(method, c.Base+path, r)
	if err != nil {
		return 0, nil, err
	}
	if c.Key != "" {
		req.Header.Set("apikey", c.Key)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// Must makes a request that has to succeed (2xx) and decodes its answer into
// out, unless that is nil.
func (c *Client) Must(method, path string, body, out any) {
	c.t.Helper()
	status, answer := c.Do(method, path, body)
	if status/100 != 2 {
		c.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			c.t.Fatalf("%s %s answered %s: %v", method, path, answer, err)
		}
	}
}
