package sandbox_test

import (
	"context"
	"errors"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

func TestPairingCode(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	c := newClient(t, n)
	c.connect()
	wait[*events.QR](c, nil)
	code, err := c.PairPhone(context.Background(), bot, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, err = n.Scan(ctx, sandbox.ScanRequest{PairingCode: code, Number: contact})
	if sandbox.KindOf(err) != sandbox.NotFound {
		t.Errorf("another number: %v", err)
	}
	_, err = n.Scan(ctx, sandbox.ScanRequest{PairingCode: "12345678", Number: bot})
	if sandbox.KindOf(err) != sandbox.Invalid {
		t.Errorf("another code: %v", err)
	}
	result, err := n.Scan(ctx, sandbox.ScanRequest{PairingCode: code, Number: bot})
	if err != nil {
		t.Fatal(err)
	}
	wait[*events.Connected](c, nil)
	if c.Store.ID.String() != result.JID {
		t.Errorf("paired as %s, not %s", c.Store.ID, result.JID)
	}
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi"})
	wait[*events.Message](c, nil)
	n.mustObey(t)
}

func TestScanRefusals(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	c := newClient(t, n)
	c.connect()
	code := wait[*events.QR](c, nil).Codes[0]
	for name, test := range map[string]struct {
		request sandbox.ScanRequest
		kind    sandbox.Kind
	}{
		"no number":      {sandbox.ScanRequest{Code: code}, sandbox.Invalid},
		"bad number":     {sandbox.ScanRequest{Code: code, Number: "12"}, sandbox.Invalid},
		"no code":        {sandbox.ScanRequest{Number: bot}, sandbox.Invalid},
		"not a code":     {sandbox.ScanRequest{Code: "hello", Number: bot}, sandbox.Invalid},
		"no instances":   {sandbox.ScanRequest{Instance: "x", Number: bot}, sandbox.Invalid},
		"unknown code":   {sandbox.ScanRequest{Code: "x" + code, Number: bot}, sandbox.NotFound},
		"no pairing now": {sandbox.ScanRequest{PairingCode: "ABCD1234", Number: bot}, sandbox.NotFound},
	} {
		if _, err := n.Scan(context.Background(), test.request); sandbox.KindOf(err) != test.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestScanByInstance(t *testing.T) {
	var c *client
	codes := make(chan string, 1)
	n := startNetwork(t, sandbox.Options{PairingCode: func(_ context.Context, instance string) (string, error) {
		if instance != "mine" {
			return "", errors.New("there is no such instance")
		}
		return <-codes, nil
	}})
	c = newClient(t, n)
	c.connect()
	codes <- wait[*events.QR](c, nil).Codes[3]
	if _, err := n.Scan(context.Background(), sandbox.ScanRequest{Instance: "other", Number: bot}); sandbox.KindOf(err) != sandbox.NotFound {
		t.Errorf("another instance: %v", err)
	}
	if _, err := n.Scan(context.Background(), sandbox.ScanRequest{Instance: "mine", Number: "+" + bot, Name: "Bot"}); err != nil {
		t.Fatal(err)
	}
	wait[*events.Connected](c, nil)
}

func TestPhoneLogsOut(t *testing.T) {
	n := startNetwork(t, sandbox.Options{})
	online, offline := newClient(t, n), newClient(t, n)
	online.pair(n, bot)
	offline.pair(n, bot)
	offline.Disconnect()
	result, err := n.Logout(context.Background(), sandbox.LogoutRequest{Number: bot})
	if err != nil || len(result.Removed) != 2 {
		t.Fatalf("got %v, %v", result, err)
	}
	if evt := wait[*events.LoggedOut](online, nil); evt.OnConnect {
		t.Errorf("got %+v", evt)
	}
	offline.connect()
	if evt := wait[*events.LoggedOut](offline, nil); !evt.OnConnect || evt.Reason != events.ConnectFailureLoggedOut {
		t.Errorf("got %+v", evt)
	}
	again := newClient(t, n)
	again.pair(n, bot)
	if again.Store.ID.Device != 3 {
		t.Errorf("the new device is %s", again.Store.ID)
	}
	n.mustObey(t)
}

func TestReplaced(t *testing.T) {
	n, c := startPaired(t)
	if _, err := n.SetFault(context.Background(), sandbox.FaultRequest{Kind: sandbox.FaultReplaced, Number: bot}); err != nil {
		t.Fatal(err)
	}
	wait[*events.StreamReplaced](c, nil)
}

func TestFaults(t *testing.T) {
	n, c := startPaired(t)
	set := func(r sandbox.FaultRequest) {
		t.Helper()
		r.Number = bot
		if _, err := n.SetFault(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	cut := func() {
		t.Helper()
		n.settle(t, c)
		set(sandbox.FaultRequest{Kind: sandbox.FaultDrop})
	}
	cut()
	wait[*events.Disconnected](c, nil)
	wait[*events.Connected](c, nil)

	set(sandbox.FaultRequest{Kind: sandbox.FaultUnconfirmed})
	id := n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "twice"})
	wait[*events.Message](c, nil)
	cut()
	wait[*events.Connected](c, nil)
	set(sandbox.FaultRequest{Kind: sandbox.FaultClear})
	cut()
	wait[*events.Connected](c, nil)
	eventually(t, "it is confirmed after all", func() bool { return len(n.confirmed(t, bot)) == 1 })
	if got := n.confirmed(t, bot); got[0].ID != id {
		t.Errorf("confirmed %+v", got)
	}

	set(sandbox.FaultRequest{Kind: sandbox.FaultReject, Code: 420, Count: 1})
	text := "no"
	if _, err := c.SendMessage(context.Background(), pn(contact), textMessage(text)); !errors.Is(err, whatsmeow.ErrServerReturnedError) {
		t.Errorf("a refused message: %v", err)
	}
	set(sandbox.FaultRequest{Kind: sandbox.FaultLatency, Ms: 20})
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "slow"})
	wait[*events.Message](c, nil)
	set(sandbox.FaultRequest{Kind: sandbox.FaultClear})

	set(sandbox.FaultRequest{Kind: sandbox.FaultRefuse, Code: 402})
	cut()
	if evt := wait[*events.TemporaryBan](c, nil); evt.Expire == 0 {
		t.Errorf("got %+v", evt)
	}
	n.mustObey(t)
}
