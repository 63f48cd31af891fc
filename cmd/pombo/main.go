// Command pombo is a self-hosted WhatsApp gateway that speaks the Evolution
// API. Run "pombo help" for its subcommands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"pombo/internal/tune"
)

func main() {
	tune.Process(os.Environ())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
