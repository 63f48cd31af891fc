package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// runProgram runs the program in this process and returns its status and what
// it wrote.
func runProgram(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env = append([]string{"TMPDIR=" + os.TempDir()}, env...)
	code = run(t.Context(), args, env, &out, &errs)
	return code, out.String(), errs.String()
}

// The README's first command.
func TestDemo(t *testing.T) {
	code, out, errs := runProgram(t, nil, "demo", "--once")
	if code != 0 {
		t.Fatalf("demo --once ended with %d: %s\n%s", code, errs, out)
	}
	for _, want := range []string{
		"/instance/create", "/webhook/set/demo", "/instance/connect/demo", "/sandbox/scan", "/sandbox/messages", "/message/sendText/demo",
		`"event": "connection.update"`, `"event": "messages.upsert"`, `"event": "send.message"`, `"event": "messages.update"`,
		"Hello from a pigeon", "curl -X POST",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the tour does not show %s:\n%s", want, out)
		}
	}
}

// The demo takes nothing from the user's own settings: it may run beside a
// gateway that is configured by them.
func TestDemoIgnoresTheEnvironment(t *testing.T) {
	code, out, errs := runProgram(t, []string{
		"SERVER_PORT=1", "DATABASE_CONNECTION_URI=mysql://nowhere/x", "AUTHENTICATION_API_KEY=mine", "WEBHOOK_GLOBAL_ENABLED=true",
	}, "demo", "--once")
	if code != 0 || strings.Contains(out, "mine") {
		t.Fatalf("demo --once ended with %d: %s\n%s", code, errs, out)
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		want string
	}{
		{"nothing", nil, nil, 2, "Usage"},
		{"help", nil, []string{"help"}, 0, "Usage"},
		{"help about serving", nil, []string{"serve", "--help"}, 0, "--whatsapp-url ws://HOST:PORT"},
		{"version", nil, []string{"version"}, 0, "pombo dev"},
		{"unknown command", nil, []string{"fly"}, 2, `no subcommand "fly"`},
		{"unknown flag", nil, []string{"demo", "--twice"}, 2, "twice"},
		{"left-over argument", nil, []string{"demo", "now"}, 2, `"now"`},
		{"bad value", []string{"SERVER_PORT=many"}, []string{"serve"}, 1, "SERVER_PORT"},
		{"two bad values", []string{"SERVER_PORT=many", "QRCODE_LIMIT=x"}, []string{"serve"}, 1, "QRCODE_LIMIT"},
		{"mysql", []string{"DATABASE_CONNECTION_URI=mysql://u:geheim@h/d"}, []string{"serve"}, 1, "DATABASE_CONNECTION_URI"},
		{"remote sandbox", nil, []string{"serve", "--whatsapp-url", "ws://192.0.2.1:80"}, 1, "--whatsapp-url"},
		{"no sandbox there", []string{"POMBO_DATA_DIR=" + t.TempDir(), "SERVER_PORT=0"}, []string{"serve", "--whatsapp-url", "ws://127.0.0.1:1"}, 1, "pombo sandbox"},
		{"nobody to check", []string{"SERVER_PORT=1"}, []string{"healthcheck"}, 1, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := runProgram(t, c.env, c.args...)
			if code != c.code {
				t.Errorf("the status is %d, not %d", code, c.code)
			}
			if !strings.Contains(out+errs, c.want) {
				t.Errorf("it does not say %q:\n%s%s", c.want, out, errs)
			}
			if strings.Contains(out+errs, "geheim") {
				t.Errorf("it shows a password:\n%s%s", out, errs)
			}
		})
	}
}

// A context that ends at once must end every command that stays up.
func TestStopAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	env := []string{"POMBO_DATA_DIR=" + t.TempDir(), "SERVER_PORT=0", "SERVER_HOST=127.0.0.1"}
	for _, args := range [][]string{
		{"serve", "--sandbox"},
		{"sandbox", "--listen", "127.0.0.1:0", "--data", t.TempDir()},
		{"sandbox", "--listen", "127.0.0.1:0", "--data", ""},
	} {
		if code := run(ctx, args, env, &out, &errs); code != 0 {
			t.Errorf("%v ended with %d:\n%s%s", args, code, out.String(), errs.String())
		}
	}
}
