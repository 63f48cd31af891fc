package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

const alarmSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

// trouble is a gateway with an operational webhook.
type trouble struct {
	*promise
	alarms *pombotest.Receiver
}

func newTrouble(t *testing.T, env ...string) *trouble {
	t.Helper()
	alarms := pombotest.NewReceiver(t)
	p := newPromise(t, append([]string{"WEBHOOK_OPERATIONAL_URL=" + alarms.URL + "/alarm", "WEBHOOK_OPERATIONAL_SECRET=" + alarmSecret}, env...)...)
	return &trouble{promise: p, alarms: alarms}
}

// alarm is what an operational webhook is posted.
type alarm struct {
	Type string
	Data struct {
		Message, Instance, Webhook, URL, Event, MessageID, Code, Reason, Since string
		Count, Status                                                          int
	}
}

// rings waits for the first alarm of a type, and checks its signature.
func (p *trouble) rings(kind string) alarm {
	p.Helper()
	var a alarm
	p.alarms.Until(p, "the alarm "+kind, func(posts []pombotest.Post) bool {
		return slices.ContainsFunc(posts, func(post pombotest.Post) bool {
			a = alarm{}
			if err := json.Unmarshal(post.Body, &a); err != nil {
				p.Errorf("%s: %v", post.Body, err)
			}
			if a.Type != kind {
				return false
			}
			verifier, err := standardwebhooks.NewWebhook(alarmSecret)
			if err != nil {
				p.Fatal(err)
			}
			if err := verifier.Verify(post.Body, post.Header); err != nil {
				p.Errorf("the alarm %s: %v", post.Body, err)
			}
			return true
		})
	})
	if a.Data.Message == "" {
		p.Errorf("the alarm %s has no message", kind)
	}
	return a
}

// An endpoint that answers 410 Gone is posted to no more, also after a restart;
// find shows that its webhook is off, and setting it again is all that it takes.
func TestPromiseGone(t *testing.T) {
	p := newTrouble(t)
	p.pair("")
	hook := p.receiver.URL + "/gone?key=hidden"
	p.set(`{"enabled":true,"url":"` + hook + `","events":["MESSAGES_UPSERT"]}`)
	p.receiver.Answer(func(int, pombotest.Post) int { return http.StatusGone })
	p.network.Write(contact, phone, "hello")
	a := p.rings("webhook.disabled")
	if a.Data.Instance != shop || a.Data.URL != p.receiver.URL+"/gone" || a.Data.Webhook == "" || a.Data.Status != 410 {
		t.Errorf("the alarm is %+v", a)
	}
	off := func() {
		t.Helper()
		if found := p.get("/webhook/find/" + shop); !strings.Contains(found, `"enabled":false`) || !strings.Contains(found, `"url":"`+hook+`"`) {
			t.Errorf("find shows %s", found)
		}
	}
	off()
	if metrics := p.get("/metrics"); !strings.Contains(metrics, "\n"+`pombo_deliveries_total{state="disabled"} 1`+"\n") {
		t.Errorf("the metrics do not tell of the delivery that ended: %s", metrics)
	}
	p.gateway.Stop()
	p.gateway.Start()
	off()
	nobody := p.network.Write(contact, phone, "to nobody")
	pombotest.Eventually(t, patience, "the message to be confirmed", func() bool { return p.confirmed(nobody) })
	p.receiver.Answer(nil)
	p.set(`{"enabled":true,"url":"` + p.receiver.URL + `/back","events":["MESSAGES_UPSERT"]}`)
	p.arrives(p.receiver, p.network.Write(contact, phone, "hello again"))
	posts := p.receiver.Posts()
	if n := len(posts); n < 2 || posts[0].Path != "/gone" || posts[1].Path != "/back" {
		t.Errorf("%d posts came", n)
	}
}

// An outage is told when its circuit opens and closes; everything arrives.
func TestPromiseOutage(t *testing.T) {
	p := newTrouble(t, "WEBHOOK_OPERATIONAL_BACKLOG=3")
	p.pair("")
	p.set(`{"enabled":true,"url":"` + p.receiver.URL + `","events":["MESSAGES_UPSERT"]}`)
	// It comes back with a try of the first message. Between that and a try of another one,
	// which the first is compared with, the first would look bad, and be overtaken.
	var up, over atomic.Bool
	p.receiver.Answer(func(_ int, post pombotest.Post) int {
		if over.Load() && strings.Contains(string(post.Data), `"conversation":"hello 0"`) {
			up.Store(true)
		}
		if !up.Load() {
			return http.StatusBadGateway
		}
		return http.StatusOK
	})
	var ids []string
	for n := range 5 {
		ids = append(ids, p.network.Write(contact, phone, fmt.Sprint("hello ", n)))
	}
	a := p.rings("circuit.opened")
	if a.Data.Count != 10 || a.Data.Status != 502 || a.Data.Code != "status" || a.Data.Instance != shop {
		t.Errorf("the alarm is %+v", a)
	}
	if a := p.rings("backlog.high"); a.Data.Count != 3 || a.Data.Instance != shop {
		t.Errorf("the alarm is %+v", a)
	}
	over.Store(true)
	if a := p.rings("circuit.closed"); a.Data.Since == "" {
		t.Errorf("the alarm is %+v", a)
	}
	for _, id := range ids {
		p.arrives(p.receiver, id)
	}
	var got []string
	for _, post := range p.receiver.Named("messages.upsert") {
		got = append(got, post.Message().Key.ID)
	}
	if !slices.Equal(got, ids) {
		t.Errorf("came in the order %v: want %v", got, ids)
	}
}

// An event that its receiver refuses, and an instance without a connection, are
// told.
func TestPromiseAlarms(t *testing.T) {
	p := newTrouble(t, "WEBHOOK_OPERATIONAL_OFFLINE_MINUTES=0.05")
	p.pair("")
	p.set(`{"enabled":true,"url":"` + p.receiver.URL + `","events":["MESSAGES_UPSERT"]}`)
	p.receiver.Answer(func(int, pombotest.Post) int { return http.StatusUnprocessableEntity })
	p.network.Write(contact, phone, "hello")
	p.receiver.Wait(t, "messages.upsert", nil)
	p.network.Down()
	a := p.rings("events.died")
	if a.Data.Count != 1 || a.Data.Status != 422 || a.Data.Event != "MESSAGES_UPSERT" || a.Data.MessageID == "" {
		t.Errorf("the alarm is %+v", a)
	}
	if a := p.rings("instance.offline"); a.Data.Instance != shop || a.Data.Since == "" {
		t.Errorf("the alarm is %+v", a)
	}
	p.network.Up()
	p.rings("instance.online")
}

// An instance that connects and loses the connection again, for example because
// WhatsApp answers the login and nothing after it, is told like one that is not
// connected, though it is so most of the time.
func TestPromiseAlarmComesAndGoes(t *testing.T) {
	p := newTrouble(t, "WEBHOOK_OPERATIONAL_OFFLINE_MINUTES=0.05")
	p.pair("")
	rung := func() bool {
		return slices.ContainsFunc(p.alarms.Posts(), func(post pombotest.Post) bool { return strings.Contains(string(post.Body), `"instance.offline"`) })
	}
	for end := time.Now().Add(patience); !rung(); {
		if time.Now().After(end) {
			t.Fatal("no alarm tells that the instance comes and goes")
		}
		pombotest.Eventually(t, patience, "the instance to be connected", func() bool { return p.gateway.State(shop) == "open" })
		p.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop, Number: phone})
	}
	p.rings("instance.online")
}

// That a phone unlinks an instance is told at once; that it was logged out on request
// is not.
func TestPromiseAlarmUnlinked(t *testing.T) {
	t.Parallel()                                                   // it waits
	p := newTrouble(t, "WEBHOOK_OPERATIONAL_OFFLINE_MINUTES=0.25") // longer than pairing takes
	const other = "5511988880009"
	pombotest.Pair(p, p.gateway.Client, p.network.Server, "asked", other, "")
	p.pair("")
	p.gateway.Must("DELETE", "/instance/logout/asked", nil, nil)
	pombotest.Eventually(t, patience, "the instance to be logged out", func() bool { return p.gateway.State("asked") == "close" })
	if removed, err := p.network.Logout(t.Context(), sandbox.LogoutRequest{Number: phone}); err != nil || len(removed.Removed) != 1 {
		t.Fatalf("the phone unlinked %v, %v", removed.Removed, err)
	}
	if a := p.rings("instance.offline"); a.Data.Instance != shop || !strings.Contains(a.Data.Message, "unlinked") {
		t.Errorf("the alarm is %+v", a)
	}
	pombotest.Scan(t, p.gateway.Client, p.network.Server, shop, phone)
	p.rings("instance.online")
	if n := len(p.alarms.Posts()); n != 2 {
		t.Errorf("there were %d alarms", n)
	}
}

// An address that no webhook may reach is refused when it is set, however it is
// spelled, also with a new instance.
func TestPromiseBlockedAddresses(t *testing.T) {
	p := newPromise(t)
	p.pair("")
	for _, host := range []string{"169.254.169.254", "2852039166", "0xa9.0376.43518", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "100.100.100.200"} {
		for _, body := range []string{
			`{"enabled":true,"url":"http://u:secret@` + host + `/x"}`,
			`{"webhook":{"enabled":true,"url":"http://u:secret@` + host + `/x"}}`,
		} {
			message := p.gateway.Refused("POST", "/webhook/set/"+shop, body, 400)
			if !strings.Contains(message, "cloud metadata") || strings.Contains(message, "secret") {
				t.Errorf("%s is refused with %s", host, message)
			}
		}
		p.gateway.Refused("POST", "/instance/create", `{"instanceName":"other","webhook":{"enabled":true,"url":"http://`+host+`/x"}}`, 400)
	}
	if found := p.get("/webhook/find/" + shop); found != "null" {
		t.Errorf("a request that was refused has set %s", found)
	}
	p.set(`{"enabled":true,"url":"http://localhost:1/"}`) // allowed without WEBHOOK_BLOCK_PRIVATE
	strict := newPromise(t, "WEBHOOK_BLOCK_PRIVATE=true")
	strict.pair("")
	for _, host := range []string{"localhost:3000", "127.1", "10.0.0.1", "[fd00::1]"} {
		message := strict.gateway.Refused("POST", "/webhook/set/"+shop, `{"enabled":true,"url":"http://`+host+`/"}`, 400)
		if !strings.Contains(message, "WEBHOOK_BLOCK_PRIVATE") {
			t.Errorf("%s is refused with %s", host, message)
		}
	}
}
