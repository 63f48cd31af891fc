// Command bench measures the gateway through its front door and prints a table
// for docs/performance.md.
//
// It runs the real program ("pombo serve" and "pombo sandbox", each in a process
// of its own) on loopback, with an embedded database and its durable defaults,
// and receives the webhooks itself. The part "deliveries" measures store and
// dispatcher alone, without WhatsApp: it appends to the real ones in a process of
// their own (gateway.go), with the receiver in another (endpoint.go), against a bare
// client (client.go). It measures; it never judges what is fast
// enough beyond setting each figure beside its goal. Loss, disorder and repeats
// are no figures: they end the run with an error.
//
// It needs Linux, from which it reads what processes use.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if len(os.Args) > 1 && os.Args[1] == childArg {
		err = runChild(ctx, os.Args[2:], os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings say what is measured, and how much of it.
type settings struct {
	quick    bool
	parts    []string
	runs     int
	messages int           // of one burst
	steady   time.Duration // of one latency measurement
	rate     int           // messages a second while it lasts
	many     int           // instances of the second load
	idle     int           // instances of the last memory measurement
	settle   time.Duration // between the last work and reading the memory
	starts   int
	events   int    // of one burst of deliveries
	backlog  int    // deliveries that wait while others are made
	dir      string // parent of the databases' folder
	postgres string // URL; "" for SQLite
	profiles string // folder for profiles; "" for none
	program  string // path of pombo
	plain    bool   // with the devices' keys in whatsmeow's own store
	contacts int    // of each instance, where many people write
}

// The parts that can be chosen.
const (
	partLoad       = "load"
	partCompare    = "compare"
	partContacts   = "contacts"
	partMemory     = "memory"
	partStart      = "start"
	partDeliveries = "deliveries"
)

var allParts = []string{partLoad, partCompare, partContacts, partMemory, partStart, partDeliveries}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var parts string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&s.quick, "quick", false, "run each part once with small numbers: it shows that everything works, and measures nothing")
	fs.StringVar(&parts, "parts", strings.Join(allParts, ","), "`parts` to run")
	fs.IntVar(&s.runs, "runs", 3, "how often each figure is measured")
	fs.IntVar(&s.messages, "messages", 10_000, "messages of one burst")
	fs.DurationVar(&s.steady, "steady", 20*time.Second, "how long one latency measurement lasts, of deliveries half as long; 0 for none")
	fs.IntVar(&s.rate, "rate", 50, "messages a second while it lasts")
	fs.IntVar(&s.many, "many", 100, "instances of the larger load")
	fs.IntVar(&s.contacts, "contacts", 1000, "contacts of each instance, where many people write")
	fs.IntVar(&s.idle, "idle", 1000, "instances of the largest memory measurement")
	fs.DurationVar(&s.settle, "settle", 30*time.Second, "pause before memory is read")
	fs.IntVar(&s.starts, "starts", 10, "cold starts")
	fs.IntVar(&s.events, "events", 50_000, "events of one burst of deliveries")
	fs.IntVar(&s.backlog, "backlog", 1_000_000, "deliveries that wait while others are made; 0 leaves out what has 1,000 instances, and measures the rest in a third of the time")
	fs.StringVar(&s.dir, "dir", os.TempDir(), "`folder` in which the database is put; on a real disk, or nothing here is durable")
	fs.StringVar(&s.postgres, "postgres", "", "measure with PostgreSQL at this `URL` instead of SQLite, in schemas that are made and dropped")
	fs.StringVar(&s.profiles, "cpuprofile", "", "put CPU and allocation profiles of one more burst into this `folder`")
	fs.BoolVar(&s.plain, "plain", false, "keep the devices' keys in whatsmeow's own store, for comparing with it")
	fs.StringVar(&s.program, "program", "", "measure this `pombo` instead of building one, for comparing versions")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if fs.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	s.parts = strings.Split(parts, ",")
	for _, p := range s.parts {
		if !slices.Contains(allParts, p) {
			return s, fmt.Errorf("-parts has %q: it is a list of %s", p, strings.Join(allParts, ", "))
		}
	}
	if s.quick {
		s.events, s.backlog = 2000, 5000
		s.runs, s.messages, s.steady, s.many, s.contacts, s.idle, s.settle, s.starts = 1, 300, time.Second, 3, 20, 5, 200*time.Millisecond, 2
	}
	for name, n := range map[string]int{
		"runs": s.runs, "messages": s.messages, "rate": s.rate, "many": s.many, "contacts": s.contacts, "idle": s.idle, "starts": s.starts,
		"events": s.events,
	} {
		if n < 1 {
			return s, fmt.Errorf("-%s is %d: it is at least 1", name, n)
		}
	}
	if s.backlog < 0 {
		return s, fmt.Errorf("-backlog is %d: it is at least 0", s.backlog)
	}
	return s, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b := &bench{settings: s, progress: stderr}
	if b.dir, err = os.MkdirTemp(s.dir, "pombo-bench-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if slices.ContainsFunc(s.parts, func(p string) bool { return p != partDeliveries }) {
		if err := b.buildMeasured(ctx); err != nil {
			return err
		}
	}
	if err := b.describeMachine(ctx); err != nil {
		return err
	}
	for _, part := range s.parts {
		b.report.fsyncs = nil
		err := b.run(ctx, part)
		if ctx.Err() != nil {
			return context.Cause(ctx) // which signal it was
		}
		if err != nil {
			return fmt.Errorf("measuring %s: %w", part, err)
		}
	}
	return b.report.write(stdout)
}

// bench is one run of the benchmark.
type bench struct {
	settings
	progress io.Writer
	dir      string // everything it writes, save the profiles
	schemas  int    // made so far in PostgreSQL
	report   report

	plainProgram string // the gateway with whatsmeow's own store; "" until it is needed
}

func (b *bench) run(ctx context.Context, part string) error {
	switch part {
	case partLoad:
		return b.forOneAndMany(func(n int) error { return b.load(ctx, n) })
	case partCompare:
		return b.forOneAndMany(func(n int) error { return b.compare(ctx, n) })
	case partContacts:
		return b.forOneAndMany(func(n int) error { return b.contactsOf(ctx, n, n > 1) })
	case partMemory:
		return b.memory(ctx)
	case partDeliveries:
		return b.deliveries(ctx)
	default:
		return b.coldStart(ctx)
	}
}

func (b *bench) forOneAndMany(f func(n int) error) error {
	for _, n := range slices.Compact([]int{1, b.many}) {
		b.report.fsyncs = nil
		if err := f(n); err != nil {
			return fmt.Errorf("%s: %w", instances(n), err)
		}
	}
	return nil
}

// say tells whoever waits what is going on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

func instances(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}
