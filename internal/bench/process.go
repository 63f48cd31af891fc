package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// plainTag is the build tag of a gateway that keeps the devices' keys in
// whatsmeow's own store.
const plainTag = "plainsessions"

// build builds the program, without the race detector, and returns where it is. A
// program that is to be profiled is built with its profiling server.
func (b *bench) build(ctx context.Context, tags ...string) (string, error) {
	path := filepath.Join(b.dir, strings.Join(append([]string{"pombo"}, tags...), "-"))
	if b.profiles != "" {
		tags = append(tags, "pprof")
	}
	args := []string{"build", "-o", path, "-tags", strings.Join(tags, ","), "pombo/cmd/pombo"}
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building pombo: %w\n%s", err, out)
	}
	return path, nil
}

// buildMeasured builds the program that is measured, if none was given.
func (b *bench) buildMeasured(ctx context.Context) (err error) {
	if b.program != "" {
		return nil
	}
	var tags []string
	if b.plain {
		tags = append(tags, plainTag)
	}
	b.program, err = b.build(ctx, tags...)
	return err
}

// process is a program in a process of its own. Its output goes to a file, as
// under a service manager.
type process struct {
	cmd    *exec.Cmd
	log    string // path
	exited chan struct{}
	err    error // valid when exited is closed
}

// spawn starts a program with exactly these variables.
func spawn(program, logPath string, env []string, args ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own descriptor
	p := &process{cmd: exec.Command(program, args...), log: logPath, exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting pombo: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stopPatience is how long a process may take to end before it is killed.
const stopPatience = time.Minute

// stop asks the process to end and waits until it has. A process that failed,
// or had to be killed, is an error.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping pombo: %w", err)
	}
	select {
	case <-p.exited:
	case <-time.After(stopPatience):
		_ = p.cmd.Process.Kill() // it may have ended by now
		<-p.exited
	}
	if p.err != nil {
		return fmt.Errorf("pombo %s ended badly: %w\n%s", p.cmd.Args[1], p.err, p.tail())
	}
	return nil
}

// tail returns the end of what the process logged.
func (p *process) tail() []byte {
	const most = 4 << 10
	log, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Appendf(nil, "(its log cannot be read: %v)", err)
	}
	return bytes.TrimSpace(log[max(0, len(log)-most):])
}

// waitReady waits until url answers 200, and fails at once if the process ends.
// It asks every millisecond: that is the resolution of a measured start.
func (p *process) waitReady(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			status := resp.StatusCode
			if err := resp.Body.Close(); err != nil {
				return err
			}
			if status == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.exited:
			return fmt.Errorf("pombo %s ended: %w\n%s", p.cmd.Args[1], p.err, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w\n%s", url, ctx.Err(), p.tail())
		case <-tick.C:
		}
	}
}

// freeAddr returns a loopback address that is free now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// pause waits for what gives no notice of its end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
