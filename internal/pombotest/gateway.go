package pombotest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/config"
)

// stopPatience is how long a gateway may take to stop.
const stopPatience = 2 * time.Minute

// Gateway is a gateway in this process: the server that cmd/pombo runs, with
// faults that can be switched on. It can be stopped and started again on the
// same data.
type Gateway struct {
	*Client
	App *app.App // while it runs

	t      testing.TB
	env    []string
	faults app.Faults
	log    *logTail
}

// NewGateway prepares a gateway on a network, with a data folder of its own and
// a free port; more variables ("NAME=value") win. Nothing runs before Start. It
// stops with the test.
func NewGateway(t testing.TB, network *Sandbox, faults app.Faults, more ...string) *Gateway {
	t.Helper()
	g := &Gateway{
		Client: NewClient(t, "", Key), t: t, faults: faults, log: &logTail{},
		env: append([]string{
			"SERVER_HOST=127.0.0.1", "SERVER_PORT=0", "AUTHENTICATION_API_KEY=" + Key,
			"POMBO_DATA_DIR=" + MemoryDir(t), "WHATSAPP_URL=" + network.URL,
			"WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=0.05", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=0.5",
		}, more...),
	}
	t.Cleanup(func() {
		g.Stop()
		if t.Failed() {
			t.Logf("the last lines of the gateway's log:\n%s", g.log)
		}
	})
	return g
}

// StartGateway is NewGateway and Start.
func StartGateway(t testing.TB, network *Sandbox, faults app.Faults, more ...string) *Gateway {
	t.Helper()
	g := NewGateway(t, network, faults, more...)
	g.Start()
	return g
}

// Start starts the gateway; it answers when Start returns.
func (g *Gateway) Start() {
	g.t.Helper()
	cfg, err := config.Load(g.env)
	if err != nil {
		g.t.Fatal(err)
	}
	g.App, err = app.Start(g.t.Context(), app.Options{
		Config: cfg, Faults: g.faults,
		Logger: slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: cfg.Log.Level})),
	})
	if err != nil {
		g.t.Fatalf("starting the gateway: %v", err)
	}
	g.Base = g.App.URL()
}

// Stop stops the gateway as an operator does: work in flight finishes.
func (g *Gateway) Stop() {
	g.t.Helper()
	if g.App == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if err := g.App.Close(ctx); err != nil {
		g.t.Errorf("stopping the gateway: %v", err)
	}
	select {
	case err := <-g.App.Failed():
		g.t.Errorf("the gateway could not go on: %v", err)
	default:
	}
	g.App = nil
}

// Log returns the last lines that the gateway logged.
func (g *Gateway) Log() string { return g.log.String() }
