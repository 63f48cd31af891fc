// Package app joins the rooms into a running gateway: it is the one place where
// store, dispatch, whatsapp, instance, httpapi and sandbox meet. It holds no
// behaviour of its own beyond the order in which they start and stop.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"pombo"
	"pombo/internal/alarm"
	"pombo/internal/config"
	"pombo/internal/dispatch"
	"pombo/internal/httpapi"
	"pombo/internal/instance"
	"pombo/internal/media"
	"pombo/internal/metrics"
	"pombo/internal/sandbox"
	"pombo/internal/store"
	"pombo/internal/whatsapp"
)

// Options say what to run.
type Options struct {
	Config config.Config
	Logger *slog.Logger // nil: nothing is logged
	// Notices is where the operator is told what a log line should not carry: the
	// API key that was made at the first start. nil: nowhere.
	Notices io.Writer
	// Faults are switched in by tests.
	Faults Faults
}

// App is a running gateway.
type App struct {
	o       Options
	log     *slog.Logger
	key     config.Secret
	errors  *errorReports // nil: errors of the API are not reported
	jwt     config.Secret // what tokens are signed with; "" if there are none
	network *network
	store   *store.Store
	manager *instance.Manager
	deliver *dispatch.Dispatcher
	seeing  *deliveries
	metrics *metrics.Metrics
	media   *media.Manager
	phones  *whatsapp.Network
	bell    *alarm.Bell
	changes changes
	reports chan dispatch.Report

	listener net.Listener
	server   *http.Server
	failed   chan error

	// stop ends what runs in the background; running waits for it.
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Start runs a gateway. It answers requests when Start returns; instances
// connect in the background. Close stops it. What was started is stopped again
// if Start fails.
func Start(ctx context.Context, o Options) (_ *App, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &App{o: o, log: o.Logger, failed: make(chan error, 2), reports: make(chan dispatch.Report, 1024)}
	defer func() {
		if err != nil {
			_ = a.Close(context.WithoutCancel(ctx)) // the first error is the one that matters
		}
	}()
	if err := a.prepare(ctx); err != nil {
		return nil, err
	}
	if err := a.join(ctx); err != nil {
		return nil, err
	}
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	a.serve()
	a.announce()
	return a, nil
}

// prepare makes the data folder and the API key, and takes the port.
func (a *App) prepare(ctx context.Context) error {
	cfg := a.o.Config
	if err := os.MkdirAll(cfg.Server.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data folder (POMBO_DATA_DIR): %w", err)
	}
	key, made, err := config.EnsureAPIKey(cfg.Server.DataDir, cfg.Auth.APIKey)
	if err != nil {
		return err
	}
	a.key = key
	if cfg.Auth.Type == config.AuthJWT {
		if a.jwt, err = config.EnsureJWTSecret(cfg.Server.DataDir, cfg.Auth.JWTSecret); err != nil {
			return err
		}
	}
	if made && a.o.Notices != nil {
		fmt.Fprintf(a.o.Notices, "No AUTHENTICATION_API_KEY is set, so one was made (kept in the data folder):\n\n  apikey: %s\n\n", key.Reveal())
	}
	a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Server.Addr())
	if err != nil {
		return fmt.Errorf("listening on %s (SERVER_HOST, SERVER_PORT): %w", cfg.Server.Addr(), err)
	}
	return nil
}

// join chooses the WhatsApp that sessions connect to.
func (a *App) join(ctx context.Context) (err error) {
	cfg := a.o.Config
	switch {
	case cfg.Sandbox.Enabled:
		a.network, err = startSandbox(ctx, sandbox.Options{
			DataDir: cfg.Server.DataDir, Logger: a.log.With("part", "sandbox"), PairingCode: a.shownCode, Gateway: http.HandlerFunc(a.asOwner),
		})
	case cfg.Sandbox.URL != "":
		a.network, err = joinSandbox(ctx, cfg.Sandbox.URL)
	default:
		a.network = &network{}
	}
	return err
}

// shownCode returns the QR code that an instance shows, for the sandbox's phones.
func (a *App) shownCode(_ context.Context, name string) (string, error) {
	v, err := a.manager.Get(name)
	return v.QR.Code, err
}

// asOwner answers what the owner of the instances asks, for the sandbox's scenarios.
func (a *App) asOwner(w http.ResponseWriter, r *http.Request) {
	r.Header.Set("apikey", a.key.Reveal())
	a.server.Handler.ServeHTTP(w, r)
}

// open opens the store and joins the rooms around it.
func (a *App) open(ctx context.Context) (err error) {
	cfg := a.o.Config
	global := cfg.GlobalWebhook()
	a.metrics = metrics.New()
	keep := store.Retention{}
	keep.Delivered, keep.Dead = cfg.Database.Keep()
	a.store, err = store.Open(ctx, store.Options{
		URI: cfg.DatabaseURI(), Global: global, Logger: a.log.With("part", "store"),
		OnAppend: func(ds []pombo.Delivery) {
			a.media.Ahead(ds)
			a.deliver.Notify(ds)
		},
		Fault: a.o.Faults.Store, SessionCache: int64(cfg.Database.SessionCacheMB) << 20,
		Observe: a.metrics, Keep: keep, MaxDisk: int64(cfg.Database.MaxDisk),
	})
	if err != nil {
		return err
	}
	if err := a.openMedia(); err != nil {
		return err
	}
	a.openBell()
	encode := a.encoder()
	a.deliver = dispatch.New(dispatch.Options{
		Store: a.store, Encode: encode.request, Policy: policy(cfg), BlockPrivate: cfg.Webhook.BlockPrivate,
		Logger: a.log.With("part", "dispatch"), Grace: deliveryGrace, Gone: a.gone, Report: a.reported,
	})
	a.seeing = &deliveries{store: a.store, dispatch: a.deliver, encode: encode, media: a.media}
	if a.phones, err = a.openWhatsApp(); err != nil {
		return err
	}
	a.manager = instance.New(instance.Options{
		Store: a.store, Webhooks: a.store, WebhookList: a.store, Deliver: a.deliver,
		NewSession: func(i pombo.Instance) instance.Session { return a.phones.Session(i) },
		Files:      a.media,
		BlockedHost: func(host string) (string, bool) {
			return dispatch.BlockedLiteral(host, cfg.Webhook.BlockPrivate)
		},
		Logger: a.log.With("part", "instance"),
	})
	a.metrics.Ask(&metricsSource{a.store, a.manager, a.deliver}, a.log.With("part", "metrics"))
	hooks, err := a.store.Webhooks(ctx)
	if err != nil {
		return err
	}
	for _, w := range hooks {
		a.deliver.SetWebhook(w)
	}
	if global != nil {
		a.deliver.SetWebhook(*global)
	}
	return a.manager.Load(ctx)
}

// serve starts what runs until Close.
func (a *App) serve() {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.running.Go(func() {
		if err := a.deliver.Run(ctx); err != nil && ctx.Err() == nil {
			a.failed <- fmt.Errorf("delivering: %w", err)
		}
	})
	a.running.Go(func() { a.phones.Run(ctx) })
	a.running.Go(func() { a.media.Run(ctx) })
	a.running.Go(func() { a.manager.Restore(ctx) })
	a.running.Go(func() { a.bell.Run(ctx) })
	a.running.Go(func() { a.ringReports(ctx) })
	a.running.Go(func() { a.watch(ctx) })
	if w := a.o.Config.Webhook; w.Errors {
		a.errors = newErrorReports(w.ErrorsURL.Reveal(), string(a.o.Config.Server.URL), a.log.With("part", "http"))
		a.running.Go(func() { a.errors.run(ctx) })
	}

	a.server = &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("serving HTTP: %w", err)
		}
	}()
}

func (a *App) handler() http.Handler {
	cfg := a.o.Config
	o := httpapi.Options{
		Instances: a.manager, Connections: a.manager, Webhooks: a.manager, Messages: a.manager, Settings: a.manager, Chats: a.manager, Lookups: a.manager, Media: a.manager,
		WebhookLists: a.manager, Deliveries: a.seeing,
		GlobalKey: a.key.Reveal(), ExposeKeys: cfg.Auth.ExposeInFetch,
		Dialect: int(cfg.Dialect.Default), ServerURL: string(cfg.Server.URL), Version: pombo.Version,
		WhatsAppVersion: a.phones.Version, Health: a.store.Ping,
		CORS:   httpapi.CORS{Origins: cfg.CORS.Origins, Methods: cfg.CORS.Methods, Credentials: cfg.CORS.Credentials},
		Logger: a.log.With("part", "http"),
	}
	if a.errors != nil {
		o.OnError = a.errors.add
	}
	if a.jwt != "" {
		o.JWT = &httpapi.JWT{Secret: a.jwt.Reveal(), Lifetime: time.Duration(cfg.Auth.JWTExpiresIn) * time.Second, Tokens: a.manager}
	}
	if m := cfg.Metrics; m.Enabled {
		o.Metrics = a.metrics.Handler()
		o.MetricsAccess = httpapi.MetricsAccess{Public: !m.AuthRequired, User: m.User, Password: m.Password.Reveal(), Addresses: m.AllowedIPs}
	}
	if a.network.sandbox != nil {
		o.Sandbox = a.network.sandbox.Control()
	}
	return httpapi.New(o)
}

// announce logs what an operator should know, once.
func (a *App) announce() {
	cfg := a.o.Config
	a.log.Info("Pombo is ready", "version", pombo.Version, "url", a.URL(), "instances", len(a.manager.List()))
	if cfg.Sandbox.Enabled || cfg.Sandbox.URL != "" {
		a.log.Warn("THIS IS NOT WHATSAPP: instances connect to a simulated network, and no message reaches anybody", "sandbox", a.network.addr)
	}
	for _, w := range cfg.Warnings() {
		a.log.Warn("a setting to look at", "warning", w)
	}
	if ignored := cfg.Ignored(); len(ignored) > 0 {
		a.log.Warn("these variables of the Evolution API have no effect here", "variables", ignored)
	}
}

// URL returns the server's address for a client on this machine.
func (a *App) URL() string {
	s := a.o.Config.Server
	if t, ok := a.listener.Addr().(*net.TCPAddr); ok {
		s.Port = t.Port
	}
	return s.LocalURL()
}

// APIKey returns the global key.
func (a *App) APIKey() string { return a.key.Reveal() }

// Sandbox returns the simulated network that runs in this process, or nil.
func (a *App) Sandbox() *sandbox.Server { return a.network.sandbox }

// Failed gives an error when the gateway cannot go on.
func (a *App) Failed() <-chan error { return a.failed }

// deliveryGrace is how long POSTs in flight may take to finish when the gateway
// stops. It is shorter than what container engines allow for all of it (10 s).
const deliveryGrace = 6 * time.Second

// Close stops the gateway: no new deliveries, no new requests, no new events; then
// the store. What is in flight may finish: POSTs for deliveryGrace, requests for
// two thirds of the time until ctx ends. What takes longer is cut, which is no
// error: its caller sees it, and a delivery is made again after the next start.
func (a *App) Close(ctx context.Context) error {
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	if a.stop != nil {
		a.log.Info("Pombo is stopping: what is in flight may finish")
		a.stop()
		defer a.log.Info("Pombo has stopped")
	}
	switch {
	case a.server != nil:
		note("stopping HTTP", a.endRequests(ctx))
	case a.listener != nil:
		note("releasing the port", a.listener.Close())
	}
	if a.manager != nil {
		note("closing sessions", a.manager.Close(ctx))
	}
	a.running.Wait()
	if a.media != nil {
		a.media.Close()
	}
	if a.store != nil {
		note("closing the store", a.store.Close())
	}
	note("closing the sandbox", a.network.close())
	return errors.Join(errs...)
}

// endRequests takes no new requests and lets those in flight finish.
func (a *App) endRequests(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)*2/3)
		defer cancel()
	}
	err := a.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("requests in flight took too long and were cut")
		return a.server.Close()
	}
	return err
}
