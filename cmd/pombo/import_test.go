package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// A device that was paired with whatsmeow's own store goes on in this gateway
// without being paired again: what came meanwhile is told, in order, and both
// sides can read each other.
func TestImport(t *testing.T) {
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	other, data := t.TempDir(), t.TempDir()
	before := pombotest.StartGateway(t, network, app.Faults{PlainSessions: true}, "POMBO_DATA_DIR="+other)
	pombotest.Pair(t, before.Client, network.Server, "loja", phone, receiver.URL)
	traffic := pombotest.NewTraffic(network, "loja", phone, 3)
	ledger := pombotest.NewLedger(traffic, receiver)
	traffic.Write(t, 3)
	for c := range 3 {
		if _, ok := traffic.Answer(t, before.Client, c); !ok {
			t.Error("a text was not sent")
		}
	}
	ledger.Await(t)
	// What is not confirmed comes again, and the other database knows nothing of it.
	pombotest.Eventually(t, patience, "all to be confirmed", func() bool {
		all, err := network.Server.Confirmed(t.Context(), phone)
		return err == nil && len(all) == traffic.Sent()
	})
	before.Stop()
	traffic.Write(t, 2)
	source := filepath.Join(other, "pombo.db")
	held, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}

	env := []string{"POMBO_DATA_DIR=" + data, "AUTHENTICATION_API_KEY=" + pombotest.Key}
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"import", "--from", source, "--name", phone + "=loja"}, env, &out, &errs); status != 0 {
		t.Fatalf("status %d: %s", status, errs.String())
	}
	if !strings.Contains(out.String(), "1 of 1 devices imported") || !strings.Contains(out.String(), `the instance "loja"`) {
		t.Errorf("it said: %s", out.String())
	}
	if after, err := os.ReadFile(source); err != nil || !bytes.Equal(after, held) {
		t.Errorf("the other program's database was changed: %v", err)
	}
	out.Reset()
	if status := run(t.Context(), []string{"import", "--from", source}, env, &out, &errs); status != 0 || !strings.Contains(out.String(), "is in this database already") {
		t.Errorf("a second import: status %d, %s%s", status, out.String(), errs.String())
	}

	after := pombotest.StartGateway(t, network, app.Faults{}, "POMBO_DATA_DIR="+data,
		"WEBHOOK_GLOBAL_ENABLED=true", "WEBHOOK_GLOBAL_URL="+receiver.URL)
	pombotest.WaitState(t, after.Client, "loja", "open")
	traffic.Write(t, 2)
	for c := range 3 {
		if _, ok := traffic.Answer(t, after.Client, c); !ok {
			t.Error("a text was not sent after the import")
		}
	}
	ledger.Check(t)
}

func TestImportRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte("no database, and long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                                       "--from is missing",
		"--from " + dir:                          "is no file",
		"--from " + text:                         "is no SQLite database",
		"--from x --name y":                      "NUMBER=NAME",
		"--from postgresql://u:pw@127.0.0.1:1/x": "cannot be opened",
	} {
		var out, errs bytes.Buffer
		status := run(t.Context(), append([]string{"import"}, strings.Fields(args)...), []string{"POMBO_DATA_DIR=" + dir}, &out, &errs)
		if status == 0 || !strings.Contains(errs.String(), want) {
			t.Errorf("import %s: status %d, %s", args, status, errs.String())
		}
	}
}
