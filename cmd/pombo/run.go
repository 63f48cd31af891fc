package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"pombo"
)

const usage = `Pombo is a self-hosted WhatsApp gateway that speaks the Evolution API.

Usage:

  pombo serve [--sandbox] [--whatsapp-url ws://HOST:PORT]
                           run the gateway
  pombo demo [--once]      a guided tour: gateway, simulated WhatsApp and webhook
                           receiver, all on this machine
  pombo sandbox [--listen ADDR]
                           run the simulated WhatsApp network alone
  pombo import --from FILE|URL [--name NUMBER=NAME]
                           take over the paired devices of another program that
                           uses whatsmeow (WuzAPI, GOWA, Evolution Go)
  pombo healthcheck        ask a running gateway whether it is well (for containers)
  pombo version            print the version

Everything else is set by environment variables: see docs/configuration.md.
`

// command is one subcommand. It returns when its work is done or ctx ends.
type command func(ctx context.Context, c call) error

// call is what a subcommand is given.
type call struct {
	args           []string
	env            []string // "NAME=value"
	stdout, stderr io.Writer
}

var commands = map[string]command{
	"serve":       serve,
	"demo":        demo,
	"sandbox":     runSandbox,
	"import":      importDevices,
	"healthcheck": healthcheck,
	"version": func(_ context.Context, c call) error {
		_, err := fmt.Fprintln(c.stdout, "pombo", pombo.Version)
		return err
	},
}

// run is the program: it returns its exit status. 0 is success, 1 a failure
// that was reported on stderr, 2 a wrong command line.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(stdout, usage)
		if len(args) == 0 {
			return 2
		}
		return 0
	}
	cmd, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "pombo: there is no subcommand %q\n\n%s", args[0], usage)
		return 2
	}
	err := cmd(ctx, call{args: args[1:], env: env, stdout: stdout, stderr: stderr})
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "pombo %s: %v\n", args[0], err)
		return 2
	default:
		fmt.Fprintf(stderr, "pombo %s: %v\n", args[0], err)
		return 1
	}
}

// errUsage marks a wrong command line.
var errUsage = errors.New("wrong command line")

// parseFlags parses c's arguments; none may be left over.
func parseFlags(name string, c call, define func(*flag.FlagSet)) error {
	fs := flag.NewFlagSet("pombo "+name, flag.ContinueOnError)
	fs.SetOutput(c.stderr)
	define(fs)
	if err := fs.Parse(c.args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, fs.Arg(0))
	}
	return nil
}
