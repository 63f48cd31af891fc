package config

import (
	"errors"
	"flag"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"pombo"
)

func load(t *testing.T, environ ...string) Config {
	t.Helper()
	c, err := Load(environ)
	if err != nil {
		t.Fatalf("Load(%q): %v", environ, err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	// A variable of the test's own process must not leak in.
	t.Setenv("SERVER_PORT", "1")
	c := load(t)
	if got := c.Server.Addr(); got != "0.0.0.0:8080" {
		t.Errorf("Addr() = %q", got)
	}
	if got := c.Server.LocalURL(); got != "http://127.0.0.1:8080" {
		t.Errorf("LocalURL() = %q", got)
	}
	if got := c.DatabaseURI(); got != "sqlite:data/pombo.db" {
		t.Errorf("DatabaseURI() = %q", got)
	}
	if c.GlobalWebhook() != nil {
		t.Error("there is a global webhook without WEBHOOK_GLOBAL_ENABLED")
	}
	want := RetryPolicy{
		Timeout: 30 * time.Second, InitialDelay: 5 * time.Second, MaxDelay: time.Hour, Exponential: true,
		Jitter: 0.2, Horizon: 72 * time.Hour, NonRetryable: []int{400, 413, 422},
	}
	if got := c.RetryPolicy(); !reflect.DeepEqual(got, want) {
		t.Errorf("RetryPolicy() = %+v, want %+v", got, want)
	}
	if !c.Auth.ExposeInFetch || c.Auth.APIKey != "" || c.Dialect.Default != 2 || c.WhatsApp.QRCodeLimit != 30 ||
		c.Log.Level.Level() != slog.LevelInfo || !c.CORS.Origins.All() || c.Sandbox.Enabled || c.Server.DataDir != "./data" {
		t.Errorf("other defaults: %+v", c)
	}
	if len(c.Warnings())+len(c.Ignored()) > 0 {
		t.Errorf("complaints about nothing: %q %q", c.Warnings(), c.Ignored())
	}
}

// Every variable must accept its own default and say what it allows, and every
// plain number must have bounds.
func TestVariablesAreWhole(t *testing.T) {
	seen := make(map[string]bool)
	for _, v := range Variables() {
		if v.Key == "" || seen[v.Key] {
			t.Errorf("%s.%s: variable %q is missing or double", v.Section, v.Field, v.Key)
		}
		seen[v.Key] = true
		if v.Allowed == "" {
			t.Errorf("%s does not say what it allows", v.Key)
		}
		if strings.HasPrefix(v.Allowed, "a whole number") || strings.HasPrefix(v.Allowed, "a number") {
			if v.low >= v.high {
				t.Errorf("%s has no bounds", v.Key)
			}
		}
		if v.Default != "" {
			load(t, v.Key+"="+v.Default)
		}
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		line string
		got  func(Config) any
		want any
	}{
		{"SERVER_PORT=0", func(c Config) any { return c.Server.Port }, 0},
		{`SERVER_PORT="9090"`, func(c Config) any { return c.Server.Port }, 9090},
		{"SERVER_PORT= '9090' ", func(c Config) any { return c.Server.Port }, 9090},
		{"SERVER_PORT=''", func(c Config) any { return c.Server.Port }, 8080},
		{"SERVER_HOST=[::1]", func(c Config) any { return c.Server.Addr() }, "[::1]:8080"},
		{"SERVER_HOST=::", func(c Config) any { return c.Server.LocalURL() }, "http://127.0.0.1:8080"},
		{"SERVER_HOST=localhost", func(c Config) any { return c.Server.LocalURL() }, "http://localhost:8080"},
		{"SERVER_URL=https://x.example/api?a=b", func(c Config) any { return string(c.Server.URL) }, "https://x.example/api?a=b"},
		{"AUTHENTICATION_API_KEY='it''s=\"x\"'", func(c Config) any { return c.Auth.APIKey.Reveal() }, `it''s="x"`},
		{"AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES=No", func(c Config) any { return c.Auth.ExposeInFetch }, false},
		{"WEBHOOK_REQUEST_TIMEOUT_MS=0", func(c Config) any { return c.RetryPolicy().Timeout }, 30 * time.Second},
		{"WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=0.05", func(c Config) any { return c.RetryPolicy().InitialDelay }, 50 * time.Millisecond},
		{"WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=7200", func(c Config) any { return c.RetryPolicy().MaxDelay }, 2 * time.Hour},
		{"WEBHOOK_RETRY_JITTER_FACTOR=0", func(c Config) any { return c.RetryPolicy().Jitter }, 0.0},
		{"WEBHOOK_RETRY_NON_RETRYABLE_STATUS_CODES= 422, 400,,422", func(c Config) any { return c.RetryPolicy().NonRetryable }, []int{400, 422}},
		{"CONFIG_SESSION_PHONE_NAME=firefox", func(c Config) any { return c.WhatsApp.PhoneName }, Browser("Firefox")},
		{"CONFIG_SESSION_PHONE_VERSION=2.3000.1015901307", func(c Config) any { return c.WhatsApp.PhoneVersion }, WebVersion{2, 3000, 1015901307}},
		{"LOG_LEVEL=ERROR,WARN,DEBUG,INFO,LOG,VERBOSE,DARK,WEBHOOKS", func(c Config) any { return c.Log.Level.Level() }, slog.LevelDebug},
		{"LOG_LEVEL=ERROR, webhooks", func(c Config) any { return c.Log.Level.Level() }, slog.LevelInfo},
		{"LOG_LEVEL=error", func(c Config) any { return c.Log.Level.Level() }, slog.LevelError},
		{"LOG_BAILEYS=trace", func(c Config) any { return c.Log.Library.Level() }, slog.LevelDebug},
		{"LOG_FORMAT=JSON", func(c Config) any { return c.Log.Format }, FormatJSON},
		{"CORS_ORIGIN=https://A.example/, b.example", func(c Config) any { return c.CORS.Origins }, Origins{"https://a.example", "https://b.example", "http://b.example"}},
		{"CORS_ORIGIN=a.example,*", func(c Config) any { return c.CORS.Origins }, Origins{"*"}},
		{"CORS_METHODS=get, POST", func(c Config) any { return c.CORS.Methods }, Methods{"GET", "POST"}},
		{"EVOLUTION_DIALECT=v1", func(c Config) any { return c.Dialect.Default }, Dialect(1)},
		{"WHATSAPP_URL=ws://[::1]:9000/", func(c Config) any { return c.Sandbox.URL }, SandboxURL("ws://[::1]:9000")},
		{"DATABASE_CONNECTION_URI=postgres://u:p%40@h:5432/evolution?schema=public", func(c Config) any { return c.DatabaseURI() }, "postgresql://u:p%40@h:5432/evolution?schema=public"},
		{"DATABASE_CONNECTION_URI=postgresql:///db?host=/run/postgresql", func(c Config) any { return c.DatabaseURI() }, "postgresql:///db?host=/run/postgresql"},
		{"DATABASE_CONNECTION_URI=file:./x/y.db", func(c Config) any { return c.DatabaseURI() }, "sqlite:./x/y.db"},
		{"DATABASE_CONNECTION_URI=sqlite:///var/lib/p.db", func(c Config) any { return c.DatabaseURI() }, "sqlite:/var/lib/p.db"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			if got := tt.got(load(t, tt.line)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v, want %#v", got, tt.want)
			}
		})
	}
}

func TestBadValues(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		args    []string
		want    string // the whole error
	}{
		{"word for number", []string{"SERVER_PORT=http"}, nil, `SERVER_PORT is "http": give a whole number from 0 to 65535`},
		{"out of range", []string{"SERVER_PORT=65536"}, nil, `SERVER_PORT is "65536": give a whole number from 0 to 65535`},
		{"fraction", []string{"QRCODE_LIMIT=1.5"}, nil, `QRCODE_LIMIT is "1.5": give a whole number from 1 to 1000 (codes); 0 stands for the default`},
		{"not a number", []string{"WEBHOOK_RETRY_JITTER_FACTOR=NaN"}, nil, `WEBHOOK_RETRY_JITTER_FACTOR is "NaN": give a number from 0 to 1`},
		{"boolean", []string{"CORS_CREDENTIALS=ja"}, nil, `CORS_CREDENTIALS is "ja": give true or false`},
		{"status", []string{"WEBHOOK_RETRY_NON_RETRYABLE_STATUS_CODES=400,200"}, nil, `WEBHOOK_RETRY_NON_RETRYABLE_STATUS_CODES is "400,200": give HTTP statuses from 300 to 599, separated by commas`},
		{"level", []string{"LOG_LEVEL=INFO,LOUD"}, nil, `LOG_LEVEL is "INFO,LOUD": give ERROR, WARN, INFO, LOG, DEBUG, VERBOSE, DARK, WEBHOOKS or WEBSOCKET, or several separated by commas`},
		{"dialect", []string{"EVOLUTION_DIALECT=3"}, nil, `EVOLUTION_DIALECT is "3": give 1 or 2`},
		{"relative URL", []string{"SERVER_URL=localhost:8080"}, nil, `SERVER_URL is "localhost:8080": give an absolute http:// or https:// URL`},
		{"host with port", []string{"SERVER_HOST=0.0.0.0:8080"}, nil, `SERVER_HOST is "0.0.0.0:8080": give an IP address or a host name, without port`},
		{"origin with path", []string{"CORS_ORIGIN=https://a.example/app"}, nil, `CORS_ORIGIN is "https://a.example/app": give *, or origins such as https://app.example.com separated by commas`},
		{"key with a space", []string{"AUTHENTICATION_API_KEY=hunter2 # mine"}, nil, `AUTHENTICATION_API_KEY is (hidden): give 1 to 256 printable ASCII characters without spaces`},
		{"event", []string{"WEBHOOK_EVENTS_CALL=si"}, nil, `WEBHOOK_EVENTS_CALL is "si": give true or false`},
		{"global without URL", []string{"WEBHOOK_GLOBAL_ENABLED=true"}, nil, `WEBHOOK_GLOBAL_URL is "": WEBHOOK_GLOBAL_ENABLED is true, so give an absolute http:// or https:// URL`},
		{"global URL", []string{"WEBHOOK_GLOBAL_ENABLED=true", "WEBHOOK_GLOBAL_URL=ftp://u:hunter2@h/x?token=hunter2"}, nil, `WEBHOOK_GLOBAL_URL is "ftp://…@h/x?…": give an absolute http:// or https:// URL`},
		{"MySQL", []string{"DATABASE_CONNECTION_URI=mysql://root:hunter2@db:3306/evo"}, nil, `DATABASE_CONNECTION_URI is "mysql://…@db:3306/evo": MySQL is not supported; give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or remove the variable to use SQLite in the data folder`},
		{"MongoDB", []string{"DATABASE_CONNECTION_URI=mongodb+srv://root:hunter2@db/?authSource=admin"}, nil, `DATABASE_CONNECTION_URI is "mongodb+srv://…@db/?…": MongoDB is not supported; give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or remove the variable to use SQLite in the data folder`},
		{"no database", []string{"DATABASE_CONNECTION_URI=postgresql://h:5432"}, nil, `DATABASE_CONNECTION_URI is "postgresql://h:5432": give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or remove the variable to use SQLite in the data folder`},
		{"DSN", []string{"DATABASE_CONNECTION_URI=host=h password=hunter2"}, nil, `DATABASE_CONNECTION_URI is (hidden): give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or remove the variable to use SQLite in the data folder`},
		{"raw password", []string{"DATABASE_CONNECTION_URI=postgresql://u:hunter2/%zz@h/db"}, nil, `DATABASE_CONNECTION_URI is (hidden): give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or remove the variable to use SQLite in the data folder; in user and password, write special characters percent-encoded (@ as %40)`},
		{"SQLite in memory", []string{"DATABASE_CONNECTION_URI=sqlite::memory:"}, nil, `DATABASE_CONNECTION_URI is "sqlite::memory:": give sqlite:PATH, where PATH names a file, without parameters`},
		{"sandbox elsewhere", []string{"WHATSAPP_URL=ws://example.com:80"}, nil, `WHATSAPP_URL is "ws://example.com:80": only this machine (127.0.0.1, [::1] or localhost) is allowed; set WHATSAPP_URL_ALLOW_REMOTE=true (--allow-remote-sandbox) to trust another one`},
		{"flag is named", nil, []string{"--whatsapp-url", "http://127.0.0.1:9000"}, `--whatsapp-url is "http://127.0.0.1:9000": give ws://HOST:PORT`},
		{"two sandboxes", []string{"SANDBOX_ENABLED=true"}, []string{"--whatsapp-url=ws://127.0.0.1:9000"}, `--whatsapp-url is "ws://127.0.0.1:9000": leave it out, or SANDBOX_ENABLED: the simulated network runs either in this process or in another`},
		{"all together", []string{"SERVER_PORT=x", "LOG_FORMAT=xml", "WEBHOOK_EVENTS_CALL=x"}, nil,
			"3 settings are wrong:\n" +
				"  SERVER_PORT is \"x\": give a whole number from 0 to 65535\n" +
				"  LOG_FORMAT is \"xml\": give auto, text or json\n" +
				"  WEBHOOK_EVENTS_CALL is \"x\": give true or false"},
		{"argument", nil, []string{"--sandbox", "now"}, `unexpected argument "now": serve takes only flags`},
		{"unknown flag", nil, []string{"--port=1"}, `reading flags: flag provided but not defined: -port`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Load(tt.environ, tt.args...)
			if err == nil || err.Error() != tt.want {
				t.Fatalf("Load(): %v\nwant: %s", err, tt.want)
			}
			if !reflect.DeepEqual(c, Config{}) {
				t.Errorf("a failed Load returned %+v", c)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	c, err := Load([]string{"SANDBOX_ENABLED=true", "WHATSAPP_URL=bad"}, "--sandbox=false", "--whatsapp-url", "ws://10.0.0.1:9", "--allow-remote-sandbox")
	if err != nil {
		t.Fatal(err)
	}
	if c.Sandbox != (Sandbox{URL: "ws://10.0.0.1:9", AllowRemote: true}) {
		t.Errorf("Sandbox = %+v", c.Sandbox)
	}
	if _, err := Load(nil, "-h"); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v, want flag.ErrHelp", err)
	}
	var b strings.Builder
	if err := Usage(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--sandbox ", "--whatsapp-url ws://HOST:PORT", "WHATSAPP_URL_ALLOW_REMOTE"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("usage lacks %q:\n%s", want, b.String())
		}
	}
}

func TestLastLineWins(t *testing.T) {
	if c := load(t, "SERVER_PORT=1", "SERVER_PORT=2", "=C:", "ODD"); c.Server.Port != 2 {
		t.Errorf("Port = %d, want 2", c.Server.Port)
	}
	if c := load(t, "SERVER_PORT=1", "SERVER_PORT="); c.Server.Port != 8080 {
		t.Errorf("Port = %d, want the default", c.Server.Port)
	}
}

func TestGlobalWebhook(t *testing.T) {
	on := []string{"WEBHOOK_GLOBAL_ENABLED=true", "WEBHOOK_GLOBAL_URL=http://n8n_app:5678/hook"}
	t.Run("all events", func(t *testing.T) {
		w := load(t, on...).GlobalWebhook()
		if w == nil || w.ID != pombo.GlobalWebhookID || w.URL != "http://n8n_app:5678/hook" || w.ByEvents || !w.Wants(pombo.StatusInstance) {
			t.Fatalf("GlobalWebhook() = %+v", w)
		}
	})
	t.Run("chosen events", func(t *testing.T) {
		c := load(t, append(on, "WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS=true", "WEBHOOK_EVENTS_GROUPS_UPDATE=true", "WEBHOOK_EVENTS_CALL=false",
			"WEBHOOK_EVENTS_APPLICATION_STARTUP=1", "WEBHOOK_EVENTS_ERRORS=false", "WEBHOOK_EVENTS_ERRORS_WEBHOOK=")...)
		w := c.GlobalWebhook()
		if w == nil || !w.ByEvents || !reflect.DeepEqual(w.Events, []pombo.EventName{pombo.ApplicationStartup, pombo.GroupUpdate}) {
			t.Fatalf("GlobalWebhook() = %+v", w)
		}
		w.Events[0] = "X"
		if c.GlobalWebhook().Events[0] != pombo.ApplicationStartup {
			t.Error("the setting can be changed through the webhook")
		}
	})
	t.Run("no event", func(t *testing.T) {
		c := load(t, append(on, "WEBHOOK_EVENTS_CALL=false")...)
		if w := c.GlobalWebhook(); w != nil {
			t.Errorf("GlobalWebhook() = %+v, want none: an empty list would mean all", w)
		}
		if len(c.Warnings()) != 1 {
			t.Errorf("Warnings() = %q", c.Warnings())
		}
	})
	t.Run("off", func(t *testing.T) {
		if w := load(t, "WEBHOOK_GLOBAL_URL=vazio", "WEBHOOK_EVENTS_CALL=true").GlobalWebhook(); w != nil {
			t.Errorf("GlobalWebhook() = %+v", w)
		}
	})
}

func TestRetryKeepsThePromise(t *testing.T) {
	copied := []string{"WEBHOOK_RETRY_MAX_ATTEMPTS=3", "WEBHOOK_RETRY_NON_RETRYABLE_STATUS_CODES=400,401,403,404,422,500"}
	c := load(t, copied...)
	if p := c.RetryPolicy(); p.MaxAttempts != 0 || !reflect.DeepEqual(p.NonRetryable, []int{400, 422}) {
		t.Errorf("RetryPolicy() = %+v", p)
	}
	want := "WEBHOOK_RETRY_MAX_ATTEMPTS has no effect and after a status 401, 403, 404, 500 an event is tried again, so that no event is lost within 72 hours; WEBHOOK_RETRY_STRICT=true changes that"
	if ws := c.Warnings(); len(ws) != 1 || ws[0] != want {
		t.Errorf("Warnings() = %q", ws)
	}
	c = load(t, append(copied, "WEBHOOK_RETRY_STRICT=true")...)
	if p := c.RetryPolicy(); p.MaxAttempts != 3 || !reflect.DeepEqual(p.NonRetryable, []int{400, 401, 403, 404, 422, 500}) {
		t.Errorf("strict RetryPolicy() = %+v", p)
	}
	if ws := c.Warnings(); len(ws) != 0 {
		t.Errorf("strict Warnings() = %q", ws)
	}
}

func TestAdvice(t *testing.T) {
	c := load(t, "AUTHENTICATION_API_KEY=429683C4C977415CAAFCCE10F7D57E11", "WEBHOOK_EVENTS_MESSAGE_UPSERT=true", "WEBHOOK_EVENTS_OLD=false",
		"CACHE_REDIS_ENABLED='true'", "CACHE_REDIS_URI=redis://x", "RABBITMQ_ENABLED=false", "SERVER_TYPE=http", "SSL_CONF_PRIVKEY=/k", "DATABASE_PROVIDER=mysql", "DATABASE_ENABLED=true")
	if ws := strings.Join(c.Warnings(), "\n"); !strings.Contains(ws, "everybody knows") || !strings.Contains(ws, "in WEBHOOK_EVENTS_MESSAGE_UPSERT: it") || strings.Contains(ws, "429683") {
		t.Errorf("Warnings() = %q", ws)
	}
	if got, want := c.Ignored(), []string{"CACHE_REDIS_ENABLED", "SSL_CONF_PRIVKEY"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Ignored() = %q, want %q", got, want)
	}
}
