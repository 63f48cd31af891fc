package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"pombo/internal/app"
	"pombo/internal/config"
	"pombo/internal/sandbox"
)

// shutdownPatience bounds how long a server that was told to stop may take to
// finish the work in flight. Container engines kill after 10 s by default. Tests have
// more, on machines that have no time.
var shutdownPatience = 9 * time.Second

// serve runs the gateway until ctx ends.
func serve(ctx context.Context, c call) error {
	a, err := startServer(ctx, c)
	if err != nil {
		if ctx.Err() != nil { // told to stop while starting
			err = nil
		}
		return err
	}
	select {
	case <-ctx.Done():
		return stopServer(ctx, a)
	case err := <-a.Failed():
		_ = stopServer(ctx, a) // the first error is the one that matters
		return err
	}
}

// startServer reads the configuration and starts the gateway.
func startServer(ctx context.Context, c call) (*app.App, error) {
	cfg, err := config.Load(c.env, c.args...)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(c.stdout, "Usage of pombo serve (everything else is set by environment variables: docs/configuration.md):")
		err = errors.Join(err, config.Usage(c.stdout))
	}
	if err != nil {
		return nil, err
	}
	return app.Start(ctx, app.Options{Config: cfg, Logger: newLogger(c.stderr, cfg), Notices: c.stdout, Faults: faults})
}

// faults are none, save in tests and in builds to compare with.
var faults app.Faults

func stopServer(ctx context.Context, a *app.App) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	return a.Close(ctx)
}

// runSandbox runs the simulated network alone.
func runSandbox(ctx context.Context, c call) error {
	var listen, dir string
	if err := parseFlags("sandbox", c, func(fs *flag.FlagSet) {
		fs.StringVar(&listen, "listen", "127.0.0.1:8090", "`address` to listen on")
		fs.StringVar(&dir, "data", "./data", "`folder` that keeps the network's state; empty: it is forgotten")
	}); err != nil {
		return err
	}
	s, err := sandbox.New(sandbox.Options{DataDir: dir, Logger: slog.New(slog.NewTextHandler(c.stderr, nil))})
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.Network())
	mux.Handle("/sandbox/", s.Control())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	fmt.Fprintf(c.stdout, "A simulated WhatsApp network listens on %s. This is not WhatsApp.\nRun a gateway on it: pombo serve --whatsapp-url ws://%s\n", l.Addr(), l.Addr())
	select {
	case <-ctx.Done():
		return srv.Close()
	case err := <-failed:
		return err
	}
}

// healthcheck asks the gateway that the environment describes whether it is
// well. It is what a container engine runs.
func healthcheck(ctx context.Context, c call) error {
	if err := parseFlags("healthcheck", c, func(*flag.FlagSet) {}); err != nil {
		return err
	}
	cfg, err := config.Load(c.env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.Server.LocalURL()+"/health", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway answered %s", resp.Status)
	}
	_, err = fmt.Fprintln(c.stdout, "ok")
	return err
}
