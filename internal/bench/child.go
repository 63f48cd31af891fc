package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"pombo/internal/tune"
)

// childArg makes this program one of the processes that the part "deliveries" is
// made of. The next argument says which.
const childArg = "child"

// A child takes orders from its standard input and answers on its standard output,
// one line of JSON each.
type (
	childOrder struct {
		Do   string
		Args json.RawMessage
	}
	childAnswer struct {
		Error  string
		Result any
	}
)

// handler does what an order says.
type handler func(ctx context.Context, args json.RawMessage) (any, error)

// with makes a handler of a function that takes decoded arguments.
func with[A any](f func(ctx context.Context, args A) (any, error)) handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("decoding an order: %w", err)
		}
		return f(ctx, args)
	}
}

// runChild obeys orders until there are no more.
func runChild(ctx context.Context, args []string, in io.Reader, out io.Writer) (err error) {
	kind := strings.Join(args, " ")
	var orders map[string]handler
	var end func() error
	switch kind {
	case "gateway":
		tune.Process(os.Environ()) // as cmd/pombo does
		g := &gatewayChild{}
		orders, end = g.orders(), g.close
	case "endpoint":
		e := &endpoint{}
		orders, end = e.orders(), e.close
	case "client":
		orders, end = clientOrders(), func() error { return nil }
	default:
		return fmt.Errorf("there is no process %q", kind)
	}
	defer func() { err = errors.Join(err, end()) }()
	lines, answers := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	for {
		var o childOrder
		if err := lines.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading orders: %w", err)
		}
		do, ok := orders[o.Do]
		if !ok {
			return fmt.Errorf("the process %q does not know the order %q", kind, o.Do)
		}
		var a childAnswer
		result, err := do(ctx, o.Args)
		if a.Result = result; err != nil {
			a = childAnswer{Error: err.Error()}
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
}

// child is such a process, seen from the benchmark.
type child struct {
	kind string
	p    *process
	in   io.WriteCloser
	out  *json.Decoder
}

// startChild starts one. Its log goes to the benchmark's folder.
func (b *bench) startChild(kind string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(b.dir, kind+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own descriptor
	cmd := exec.Command(self, childArg, kind)
	cmd.Stderr = log
	c := &child{kind: kind, p: &process{cmd: cmd, log: log.Name(), exited: make(chan struct{})}}
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(bufio.NewReader(out))
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", kind, err)
	}
	return c, nil
}

// call gives an order and waits for its answer.
func (c *child) call(ctx context.Context, do string, args, result any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	line, err := json.Marshal(childOrder{do, raw})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.p.cmd.Process.Kill() }) // its answer may be long in coming
	defer stop()
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("telling the %s to %s: %w\n%s", c.kind, do, err, c.p.tail())
	}
	var a struct {
		Error  string
		Result json.RawMessage
	}
	if err := c.out.Decode(&a); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("the %s ended at %s: %w\n%s", c.kind, do, err, c.p.tail()))
	}
	if a.Error != "" {
		return fmt.Errorf("the %s could not %s: %s\n%s", c.kind, do, a.Error, c.p.tail())
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(a.Result, result)
}

// stop lets the process end and waits until it has.
func (c *child) stop() error {
	if err := c.in.Close(); err != nil {
		return err
	}
	kill := time.AfterFunc(4*stopPatience, func() { _ = c.p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := c.p.cmd.Wait(); err != nil {
		return fmt.Errorf("the %s ended badly: %w\n%s", c.kind, err, c.p.tail())
	}
	return nil
}
