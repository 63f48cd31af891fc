package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

const contact = "5511977770000" // writes to the phone

// paired is a gateway in a process of its own, with an instance that the phone has
// linked and whose webhook is told everything.
func paired(t *testing.T, instance string, more ...string) (*pombotest.Sandbox, *pombotest.Receiver, *pombotest.Process) {
	t.Helper()
	network, receiver := pombotest.NewSandbox(t), pombotest.NewReceiver(t)
	server := program(t, network, more...)
	server.Start()
	pombotest.Pair(t, server.Client, network.Server, instance, phone, receiver.URL)
	return network, receiver, server
}

// A phone that could not read a message asks for it again after the gateway was
// killed, first with the session that it has and then with new keys: it gets the
// message, from what is kept on the disk.
func TestRetryAfterKill(t *testing.T) {
	network, _, server := paired(t, "retry")
	network.Write(contact, phone, "hello")
	id := server.SendText("retry", contact, "say again?")
	for times := range 2 {
		// What is not confirmed yet comes again, and would be answered twice.
		pombotest.Eventually(t, patience, "all to be confirmed", func() bool { return waiting(t, network) == 0 })
		server.Kill()
		network.Receipt(id, "retry")
		server.Start()
		pombotest.Eventually(t, patience, "the phone to have it again", func() bool {
			got := network.Inbox(contact)
			if len(got) != 1 || got[0].ID != id || got[0].Text != "say again?" {
				t.Fatalf("the phone has %+v", got)
			}
			return len(got[0].Receipts) == times+2
		})
	}
	network.CheckRules(t)
}

// waiting is how many stanzas the phone's companion has not confirmed.
func waiting(t *testing.T, network *pombotest.Sandbox) (n int) {
	t.Helper()
	state, err := network.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range state.Accounts {
		for _, d := range a.Devices {
			n += d.Pending
		}
	}
	return n
}

// begun waits until a call that sends a text after a delay has begun: the contact
// sees that it is being written.
func begun(t *testing.T, network *pombotest.Sandbox) {
	t.Helper()
	pombotest.Eventually(t, patience, "the call to have begun", func() bool {
		shown, err := network.Presences(t.Context(), phone)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(shown, func(p sandbox.PresenceSeen) bool { return p.State == "composing" && p.To == contact })
	})
}

// A gateway that is told to stop finishes what is in flight: the call of a client,
// and the POST to a webhook, which is not made again after the start.
func TestStopFinishesWork(t *testing.T) {
	network, receiver, server := paired(t, "stop", stopEnv+"=4m")
	network.Write(contact, phone, "before")
	receiver.Wait(t, "messages.upsert", nil)

	posted, answer := make(chan struct{}, 1), make(chan struct{})
	receiver.Answer(func(_ int, p pombotest.Post) int {
		if p.Event == "messages.upsert" {
			posted <- struct{}{}
			<-answer
		}
		return http.StatusOK
	})
	id := network.Write(contact, phone, "in flight")
	<-posted
	sent := make(chan string, 1)
	go func() {
		status, body, err := server.Try("POST", "/message/sendText/stop", map[string]any{"number": contact, "text": "in flight, too", "delay": 700})
		if err != nil || status != http.StatusCreated {
			t.Errorf("the call that was in flight: %d %s %v", status, body, err)
		}
		sent <- pombotest.Post{Data: body}.Message().Key.ID
	}()
	begun(t, network)
	stopped := make(chan int, 1)
	go func() { stopped <- server.Stop() }()
	text := <-sent
	select {
	case status := <-stopped:
		t.Fatalf("it stopped with %d while a webhook was being posted", status)
	default:
	}
	close(answer)
	if status := <-stopped; status != 0 {
		t.Errorf("it stopped with %d: %s", status, server.Log())
	}
	if !strings.Contains(server.Log(), "Pombo has stopped") {
		t.Errorf("the log does not say that it has stopped: %s", server.Log())
	}
	if got := network.Inbox(contact); len(got) != 1 || got[0].ID != text {
		t.Errorf("the contact has %+v, not %s", got, text)
	}
	server.Start()
	receiver.Wait(t, "send.message", func(p pombotest.Post) bool { return p.Message().Key.ID == text })
	pombotest.WaitState(t, server.Client, "stop", "open")
	network.Write(contact, phone, "after")
	receiver.Wait(t, "messages.upsert", func(p pombotest.Post) bool { return strings.Contains(string(p.Data), "after") })
	tries := 0
	for _, p := range receiver.Posts() {
		if p.Message().Key.ID == id && p.Event == "messages.upsert" {
			tries++
		}
	}
	if tries != 1 {
		t.Errorf("what was in flight was posted %d times", tries)
	}
}

// stopLimit is more than the 18 s that the gateway is given here to stop, of which
// calls get two thirds, and less than what never ends takes, which is a minute at least.
const stopLimit = 45 * time.Second

// What never ends does not keep a gateway from stopping: an endpoint that does not
// answer, a caller who wants to wait for minutes, a WhatsApp that says nothing. What
// was cut is done after the next start.
func TestStopIsBounded(t *testing.T) {
	network, receiver, server := paired(t, "stop", stopEnv+"=18s")
	hang := make(chan struct{})
	posted := make(chan pombotest.Post, 16)
	receiver.Answer(func(_ int, p pombotest.Post) int {
		if p.Event == "messages.upsert" {
			posted <- p
			<-hang
		}
		return http.StatusOK
	})
	network.Write(contact, phone, "nobody answers")
	cut := <-posted
	called := make(chan struct{})
	go func() {
		defer close(called)
		status, body, err := server.Try("POST", "/message/sendText/stop", map[string]any{"number": contact, "text": "much later", "delay": 290_000})
		if err == nil && status < 500 {
			t.Errorf("a call that was cut is answered with %d %s", status, body)
		}
	}()
	begun(t, network)
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultLatency, Ms: 60_000})
	began := time.Now()
	status := server.Stop()
	took := time.Since(began)
	t.Logf("it stopped with %d after %s", status, took)
	if status != 0 || took > stopLimit {
		t.Errorf("it stopped with %d after %s", status, took)
	}
	<-called
	close(hang)
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultClear})
	server.Start()
	receiver.Until(t, "the delivery that was cut to come again", func(posts []pombotest.Post) bool {
		tries := 0
		for _, p := range posts {
			if p.ID() == cut.ID() {
				tries++
			}
		}
		return tries == 2 // the one that was cut counts as received here
	})
	if got := network.Inbox(contact); len(got) != 0 {
		t.Errorf("the contact has %+v", got)
	}
}
