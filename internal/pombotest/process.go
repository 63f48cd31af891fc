package pombotest

import (
	"context"
	"fmt"
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

// startPatience is how long a process may take until it answers.
const startPatience = 2 * time.Minute

// Process is a gateway in a process of its own, which can be killed.
type Process struct {
	*Client
	t    testing.TB
	path string // of the program
	args []string
	env  []string
	log  *logTail

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// NewProcess prepares a gateway that runs the program at path with args. It
// listens on a port that stays the same over restarts; more variables
// ("NAME=value") win over its own. Nothing runs before Start.
func NewProcess(t testing.TB, path string, args []string, more ...string) *Process {
	t.Helper()
	port := keepPort(t)
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
		if crash := p.log.crashed(); crash != "" {
			t.Errorf("the gateway's log has: %s", crash)
		}
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
	p.cmd, p.exited = cmd, make(chan struct{})
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // says what the state says
	}()
	if err := p.waitHealthy(startPatience); err != nil {
		p.t.Fatalf("the gateway does not answer: %v\n%s", err, p.log)
	}
}

// Kill ends the gateway with SIGKILL: it has no chance to finish anything.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop ends the gateway with SIGTERM, waits until it is gone and returns its
// status: 0 if it stopped as it should, -1 if it did not run.
func (p *Process) Stop() int { return p.end(syscall.SIGTERM) }

func (p *Process) end(sig syscall.Signal) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return -1
	}
	_ = p.cmd.Process.Signal(sig) // it may be gone already
	<-p.exited
	p.http.CloseIdleConnections() // they lead nowhere: a request on one would fail
	status := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	return status
}

// Exited returns a channel that is closed when the gateway that was started last
// has ended, by itself or not.
func (p *Process) Exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exited
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

// DataDir returns the gateway's data folder, "" if none was given.
func (p *Process) DataDir() (dir string) {
	for _, line := range p.env {
		if value, ok := strings.CutPrefix(line, "POMBO_DATA_DIR="); ok {
			dir = value
		}
	}
	return dir
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
		case <-p.exited:
			return fmt.Errorf("it has ended: %s", p.cmd.ProcessState)
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}
