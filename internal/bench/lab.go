package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// apiKey is the gateway's global key.
const apiKey = "bench-0123456789abcdef"

// lab is a gateway on a simulated network, each in a process of its own, with a
// receiver for its webhooks in this one.
type lab struct {
	bench      *bench
	program    string // the gateway's
	dir        string // the gateway's
	database   string // DATABASE_CONNECTION_URI; "" for SQLite in dir
	schema     string // in PostgreSQL
	dropSchema func(context.Context) error

	network  *process
	phones   *api // the network's control
	receiver *receiver

	addr    string // the gateway's, the same over restarts
	gateway *process
	started time.Duration // how long it took to answer when it was last started
	api     *api
}

// open makes a lab with a gateway that runs.
func (b *bench) open(ctx context.Context) (*lab, error) { return b.openProgram(ctx, b.program) }

// openProgram is open with another program as the gateway.
func (b *bench) openProgram(ctx context.Context, program string) (_ *lab, err error) {
	l := &lab{bench: b, program: program}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.dir, err = os.MkdirTemp(b.dir, "gateway-"); err != nil {
		return nil, err
	}
	if err := l.openDatabase(ctx); err != nil {
		return nil, err
	}
	if l.receiver, err = newReceiver(); err != nil {
		return nil, err
	}
	if err := l.startNetwork(ctx); err != nil {
		return nil, err
	}
	if l.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	l.api = newAPI("http://"+l.addr, apiKey)
	return l, l.start(ctx)
}

func (l *lab) startNetwork(ctx context.Context) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	// It keeps nothing: what it writes is no part of what is measured.
	l.network, err = spawn(l.bench.program, filepath.Join(l.dir, "network.log"), os.Environ(), "sandbox", "--listen", addr, "--data", "")
	if err != nil {
		return err
	}
	l.phones = newAPI("http://"+addr, "")
	return l.network.waitReady(ctx, l.phones.http, l.phones.base+"/sandbox/root-key")
}

// start starts the gateway and waits until it answers.
func (l *lab) start(ctx context.Context) error {
	began := time.Now()
	if err := l.exec(); err != nil {
		return err
	}
	err := l.gateway.waitReady(ctx, l.api.http, l.api.base+"/health")
	l.started = time.Since(began)
	return err
}

// exec starts the gateway's process with the defaults of an operator who sets
// only what a benchmark has to.
func (l *lab) exec() (err error) {
	host, port, err := net.SplitHostPort(l.addr)
	if err != nil {
		return err
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "POMBO_DATA_DIR=" + l.dir, "AUTHENTICATION_API_KEY=" + apiKey,
		"SERVER_HOST=" + host, "SERVER_PORT=" + port,
	}
	if l.database != "" {
		env = append(env, "DATABASE_CONNECTION_URI="+l.database)
	}
	if l.bench.profiles != "" {
		env = append(env, "POMBO_PPROF="+profileAddr)
	}
	l.gateway, err = spawn(l.program, filepath.Join(l.dir, "gateway.log"), env, "serve", "--whatsapp-url", "ws://"+l.phones.base[len("http://"):])
	return err
}

// stop stops the gateway.
func (l *lab) stop() error {
	p := l.gateway
	if p == nil {
		return nil
	}
	l.gateway = nil
	l.api.close()
	return p.stop()
}

// close stops everything and deletes what was written.
func (l *lab) close() error {
	var errs []error
	errs = append(errs, l.stop())
	if l.network != nil {
		l.phones.close()
		errs = append(errs, l.network.stop())
	}
	if l.receiver != nil {
		errs = append(errs, l.receiver.close())
	}
	if l.dropSchema != nil {
		errs = append(errs, l.dropSchema(context.Background()))
	}
	if l.dir != "" {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	return errors.Join(errs...)
}

// explain adds to an error what the gateway logged last.
func (l *lab) explain(err error) error {
	if err == nil || l.gateway == nil {
		return err
	}
	return fmt.Errorf("%w\nThe end of the gateway's log:\n%s", err, l.gateway.tail())
}

// side is how many calls are made side by side.
const side = 8

// each calls f for 0 to n-1, several at a time; the first error ends it.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(side)
	for i := range n {
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}

func instanceName(i int) string { return fmt.Sprintf("bench-%d", i) }

func accountNumber(i int) string { return fmt.Sprintf("49155%08d", i) }

// pair creates the instances with the numbers from to to-1, each with its
// webhook, and lets phones scan their codes. It returns when all are open.
func (l *lab) pair(ctx context.Context, from, to int) error {
	if from >= to {
		return nil
	}
	began := time.Now()
	err := each(ctx, to-from, func(ctx context.Context, i int) error {
		name := instanceName(from + i)
		if err := l.pairOne(ctx, name, accountNumber(from+i)); err != nil {
			return fmt.Errorf("pairing %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return l.explain(err)
	}
	l.bench.say("paired %s in %.1f s", instances(to-from), time.Since(began).Seconds())
	return nil
}

func (l *lab) pairOne(ctx context.Context, name, number string) error {
	err := l.api.call(ctx, http.MethodPost, "/instance/create", map[string]any{
		"instanceName": name,
		"integration":  "WHATSAPP-BAILEYS",
		"webhook":      map[string]any{"url": l.receiver.url, "events": []string{"MESSAGES_UPSERT", "CONNECTION_UPDATE"}},
	}, nil)
	if err != nil {
		return err
	}
	var qr struct{ Code string }
	if err := l.api.call(ctx, http.MethodGet, "/instance/connect/"+name, nil, &qr); err != nil {
		return err
	}
	if qr.Code == "" {
		return errors.New("connecting gave no QR code")
	}
	if err := l.phones.call(ctx, http.MethodPost, "/sandbox/scan", map[string]any{"code": qr.Code, "number": number}, nil); err != nil {
		return err
	}
	return l.receiver.waitOpen(ctx, []string{name}, nil)
}
