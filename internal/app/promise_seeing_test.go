package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// seenDelivery is a delivery as the API shows it.
type seenDelivery struct {
	ID, MessageID, Webhook, Event, Chat, State, Reason string
	Attempts                                           int
	LastAttempt                                        struct {
		Status    int
		ErrorCode string
	}
	Payload    json.RawMessage
	AttemptLog []struct {
		Number, Status           int
		DurationMs               float64
		Address, Error, Response string
	}
}

// see lists deliveries, the newest first.
func (p *promise) see(query string) []seenDelivery {
	p.Helper()
	var page struct{ Deliveries []seenDelivery }
	p.gateway.Must("GET", "/webhook/deliveries/"+shop+"?"+query, nil, &page)
	return page.Deliveries
}

// seen waits until n deliveries answer a query.
func (p *promise) seen(query string, n int) []seenDelivery {
	p.Helper()
	var found []seenDelivery
	pombotest.Eventually(p, patience, fmt.Sprintf("%d deliveries with %s", n, query), func() bool {
		found = p.see(query)
		return len(found) == n
	})
	return found
}

type replayed struct{ Matched, Replayed, AlreadyPending, WebhookOff, NotFound int }

func (p *promise) replay(body any) (r replayed) {
	p.Helper()
	p.gateway.Must("POST", "/webhook/replay/"+shop, body, &r)
	return r
}

// The webhook was wrong for a while: what it refused is found with the reasons, and
// delivered again in its order and under its IDs, also after a restart.
func TestPromiseReplay(t *testing.T) {
	p := newPromise(t)
	p.pair("")
	p.set(`{"url":"` + p.receiver.URL + `/hook","events":["MESSAGES_UPSERT"]}`)
	fine := p.arrives(p.receiver, p.network.Write(contact, phone, "before"))
	p.receiver.Answer(func(int, pombotest.Post) int { return 422 })
	var ids []string
	for n := range 5 {
		ids = append(ids, p.network.Write(contact, phone, fmt.Sprint("refused ", n)))
	}
	dead := p.seen("state=dead", 5)
	if d := dead[0]; d.Reason != "rejected" || d.Event != "MESSAGES_UPSERT" || d.Chat != chat || d.LastAttempt.Status != 422 || d.Attempts != 1 {
		t.Errorf("a refused delivery is shown as %+v", d)
	}
	p.seen("state=delivered&chat="+contact, 1)
	var one seenDelivery
	p.gateway.Must("GET", "/webhook/deliveries/"+shop+"/"+dead[4].ID, nil, &one)
	refused := p.receiver.Posts()[1]
	if len(one.AttemptLog) != 1 || one.AttemptLog[0].Address != strings.TrimPrefix(p.receiver.URL, "http://") || one.AttemptLog[0].Error == "" || string(one.Payload) != string(refused.Body) {
		t.Errorf("it is shown as %+v, and was posted as %s", one, refused.Body)
	}

	if got, want := p.replay(`{"state":"dead","from":"1h","dryRun":true}`), (replayed{Matched: 5, Replayed: 5}); got != want {
		t.Errorf("a dry run counts %+v", got)
	}
	p.gateway.Stop()
	p.gateway.Start()
	p.receiver.Answer(nil)
	before := len(p.receiver.Posts())
	if got, want := p.replay(`{"filter":{"state":"dead"}}`), (replayed{Matched: 5, Replayed: 5}); got != want {
		t.Errorf("a replay answers %+v", got)
	}
	for _, id := range ids {
		p.arrives(p.receiver, id)
	}
	var order, messages []string
	for _, post := range p.receiver.Posts()[before:] {
		order, messages = append(order, post.Message().Key.ID), append(messages, post.ID())
	}
	var same []string
	for _, d := range slices.Backward(dead) {
		same = append(same, d.MessageID)
	}
	if !slices.Equal(order, ids) || !slices.Equal(messages, same) {
		t.Errorf("replayed in the order %v (%v), want %v (%v)", order, messages, ids, same)
	}
	// One that was delivered can come again, too.
	p.seen("state=delivered", 6)
	d := p.see("state=delivered&limit=6")[5]
	if got := p.replay(map[string]any{"ids": []string{d.ID, "123456"}}); got != (replayed{Matched: 1, Replayed: 1, NotFound: 1}) {
		t.Errorf("a replay by ids answers %+v", got)
	}
	p.receiver.Until(t, "the first once more", func(posts []pombotest.Post) bool {
		n := 0
		for _, post := range posts {
			if post.ID() == fine.ID() {
				n++
			}
		}
		return n == 2
	})
}

// The webhook was down: what waits for a retry in an hour is due at once when it is
// replayed.
func TestPromiseReplayPending(t *testing.T) {
	p := newPromise(t, "WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=3600")
	p.pair("")
	p.set(`{"url":"` + p.receiver.URL + `","events":["MESSAGES_UPSERT"]}`)
	p.receiver.Answer(func(int, pombotest.Post) int { return 503 })
	first := p.network.Write(contact, phone, "one")
	pombotest.Eventually(t, patience, "the first attempt", func() bool {
		ds := p.see("state=pending")
		return len(ds) == 1 && ds[0].Attempts == 1
	})
	second := p.network.Write(contact, phone, "two")
	p.seen("state=pending", 2)
	type webhookHealth struct {
		Backlog              int
		OldestPendingSeconds *int
		LastSuccessAt        *time.Time
		Attempts24h          int
		SuccessRate24h       *float64
	}
	counted := func(attempts int) (h webhookHealth) { // a moment after they are stored
		t.Helper()
		pombotest.Eventually(t, patience, fmt.Sprint(attempts, " attempts to be counted"), func() bool {
			var health struct{ Webhooks []webhookHealth }
			p.gateway.Must("GET", "/webhook/health/"+shop, nil, &health)
			h = health.Webhooks[0]
			return h.Attempts24h == attempts
		})
		return h
	}
	if h := counted(1); h.Backlog != 2 || h.OldestPendingSeconds == nil || h.LastSuccessAt != nil || *h.SuccessRate24h != 0 {
		t.Errorf("while it is down its health is %+v", h)
	}
	p.receiver.Answer(nil)
	if got := p.replay(`{"state":"pending"}`); got != (replayed{Matched: 2, AlreadyPending: 2}) {
		t.Errorf("replayed %+v", got)
	}
	p.arrives(p.receiver, first)
	p.arrives(p.receiver, second)
	p.seen("state=delivered", 2)
	if h := counted(3); h.Backlog != 0 || h.LastSuccessAt == nil || *h.SuccessRate24h != 0.6666 {
		t.Errorf("afterwards its health is %+v", h)
	}
}

// Each of an instance's webhooks gets what it asks for, whatever becomes of the
// others; the one of /webhook/set stays what it is.
func TestPromiseSeveralWebhooks(t *testing.T) {
	p := newPromise(t)
	p.pair("")
	other := pombotest.NewReceiver(t)
	p.set(`{"url":"` + p.receiver.URL + `","events":["MESSAGES_UPSERT","SEND_MESSAGE"]}`)
	found := p.get("/webhook/find/" + shop)
	var added struct{ ID string }
	p.gateway.Must("POST", "/webhook/add/"+shop, map[string]any{
		"url": other.URL, "filter": `event == "send.message" || data.key.fromMe == false && !data.key.remoteJid.endsWith('@g.us')`,
		"events": []string{"MESSAGES_UPSERT", "SEND_MESSAGE"},
	}, &added)
	message := p.gateway.Refused("POST", "/webhook/add/"+shop, map[string]any{"url": other.URL, "filter": "data.key.fromMe = false"}, 400)
	if !strings.Contains(message, "line 1, column 17") {
		t.Errorf("a filter that does not compile is refused with %s", message)
	}
	if got := p.get("/webhook/find/" + shop); got != found {
		t.Errorf("the first webhook is %s, was %s", got, found)
	}
	group, err := p.network.CreateGroup(t.Context(), sandbox.GroupRequest{From: contact, Subject: "Shop", Participants: []string{phone}})
	if err != nil {
		t.Fatal(err)
	}
	inGroup := p.network.Send(sandbox.SendRequest{From: contact, To: group.JID, Text: "to the group"})
	direct := p.network.Write(contact, phone, "to you")
	p.arrives(p.receiver, inGroup)
	p.arrives(p.receiver, direct)
	p.arrives(other, direct)

	p.gateway.Stop()
	p.gateway.Start()
	p.receiver.Answer(func(int, pombotest.Post) int { return 503 })
	p.arrives(other, p.network.Write(contact, phone, "while the first is down"))
	for _, post := range other.Posts() {
		if post.Message().Key.ID == inGroup {
			t.Errorf("the filter let this pass: %s", post.Body)
		}
	}
	p.seen("state=delivered&webhook="+added.ID, 2)
	other.Answer(func(int, pombotest.Post) int { return 503 })
	p.network.Write(contact, phone, "given up")
	p.seen("state=pending&webhook="+added.ID, 1)
	p.gateway.Must("DELETE", "/webhook/remove/"+shop+"/"+added.ID, nil, nil)
	if d := p.seen("state=dead", 1)[0]; d.Reason != "disabled" || d.Webhook != added.ID {
		t.Errorf("what was pending for a webhook that was removed is %+v", d)
	}
	p.gateway.Refused("PUT", "/webhook/change/"+shop+"/"+added.ID, `{"enabled":true}`, 404)
	p.receiver.Answer(nil)
	p.arrives(p.receiver, p.network.Write(contact, phone, "and the first goes on"))
}

// A secret is told once, when it is made, and never again: neither by the API nor
// in the log.
func TestPromiseSecret(t *testing.T) {
	p := newPromise(t, "LOG_LEVEL=DEBUG")
	p.pair("")
	var set struct {
		Webhook struct{ Webhook struct{ Secret string } }
	}
	p.gateway.Must("POST", "/webhook/set/"+shop, map[string]any{"url": p.receiver.URL, "secret": "generate"}, &set)
	made := set.Webhook.Webhook.Secret
	if !strings.HasPrefix(made, "whsec_") || len(made) < 40 {
		t.Fatalf("the secret is %q", made)
	}
	given := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	p.set(`{"webhook":{"secret":"` + given + `"}}`)
	list := p.get("/webhook/list/" + shop)
	if !strings.Contains(list, `"secret":"whsec_***","secretUntil":"`) {
		t.Errorf("after a rotation the list is %s", list)
	}
	p.set(strings.Replace(p.get("/webhook/find/"+shop), `"url"`, `"byEvents":false,"url"`, 1)) // what is found can be set again
	p.arrives(p.receiver, p.network.Write(contact, phone, "hello"))
	for what, text := range map[string]string{"the log": p.gateway.Log(), "the list": p.get("/webhook/list/" + shop), "find": p.get("/webhook/find/" + shop)} {
		if strings.Contains(text, made[6:]) || strings.Contains(text, given[6:]) {
			t.Errorf("%s tells a secret: %s", what, text)
		}
		if what != "the log" && !strings.Contains(text, "whsec_***") {
			t.Errorf("%s does not tell that there is a secret: %s", what, text)
		}
	}
	if message := p.gateway.Refused("POST", "/webhook/set/"+shop, `{"url":"http://x","secret":"whsec_AAAA"}`, 400); strings.Contains(message, "AAAA") {
		t.Errorf("a secret that is too short is refused with %s", message)
	}
}

// A test of a webhook posts a sample of each event that is ever sent, and says what
// came of it.
func TestPromiseTestOfAWebhook(t *testing.T) {
	p := newPromise(t, "WEBHOOK_BLOCK_PRIVATE=true")
	p.pair("")
	p.gateway.Refused("POST", "/webhook/test/"+shop, `{}`, 404)
	// What is switched off may have any address: it is refused when it is dialled.
	p.set(`{"webhook":{"enabled":false,"url":"` + p.receiver.URL + `"}}`)
	var ping struct {
		OK                           bool
		Event, MessageID, URL, Error string
		Status                       *int
		ErrorCode, Response          string
	}
	p.gateway.Must("POST", "/webhook/test/"+shop, `{"event":"CALL"}`, &ping)
	if ping.OK || ping.ErrorCode != "address_blocked" || ping.Event != "CALL" || ping.Status != nil {
		t.Errorf("the test of a blocked address says %+v", ping)
	}

	q := newPromise(t)
	q.pair(q.receiver.URL + "/hook?x=1")
	q.receiver.Answer(func(_ int, post pombotest.Post) int {
		if strings.HasPrefix(post.ID(), "test_") {
			return 202
		}
		return 200
	})
	q.gateway.Must("POST", "/webhook/test/"+shop, nil, &ping)
	post := q.receiver.Wait(t, "messages.upsert", nil)
	if !ping.OK || *ping.Status != 202 || ping.URL != q.receiver.URL+"/hook" || ping.MessageID != post.ID() || post.Instance != shop || post.Path != "/hook" || post.Sender != jid {
		t.Errorf("the test says %+v, and %s came", ping, post.Body)
	}
	if message := q.gateway.Refused("POST", "/webhook/test/"+shop, `{"event":"TYPEBOT_START"}`, 400); !strings.Contains(message, "never sent") {
		t.Errorf("an event that is never sent is refused with %s", message)
	}
}

// A database at its limit: nothing is taken in that could not be kept, and when
// there is room again everything comes, without a restart.
func TestPromiseMaxDisk(t *testing.T) {
	p := &promise{T: t, network: pombotest.NewSandbox(t), receiver: pombotest.NewReceiver(t)}
	p.gateway = pombotest.StartGateway(t, p.network, app.Faults{Patience: time.Second, MaxBackoff: 100 * time.Millisecond}, "POMBO_MAX_DISK=16MB")
	p.pair("")
	ballast(p.gateway.Client)
	p.set(`{"url":"` + p.receiver.URL + `","events":["MESSAGES_UPSERT","SEND_MESSAGE"]}`)
	p.receiver.Answer(func(int, pombotest.Post) int { return 503 })
	long := strings.Repeat("x", 60_000)
	var ids []string
	for full := false; !full; {
		if len(ids) > 2000 { // the size is looked at once a second
			t.Fatal("the limit was not reached")
		}
		for range 5 {
			ids = append(ids, p.network.Write(contact, phone, long))
		}
		last := ids[len(ids)-1]
		pombotest.Eventually(t, patience, "messages to be taken in, or refused", func() bool {
			status, _ := p.gateway.Do("GET", "/health", nil)
			full = status == 503
			return full || p.confirmed(last)
		})
	}
	// The connection may have been given up by now: it has a second's patience with a full database.
	status, message := p.gateway.Do("POST", "/message/sendText/"+shop, map[string]any{"number": contact, "text": "hello"})
	if status != 503 && (status != 400 || !strings.Contains(string(message), "not connected")) {
		t.Fatalf("a text is answered with %d %s", status, message)
	}
	p.gateway.Must("GET", "/webhook/find/"+shop, nil, nil)
	last := p.network.Write(contact, phone, "held back")
	if p.confirmed(last) {
		t.Error("a message was confirmed that could not be kept")
	}
	p.receiver.Answer(nil)
	for _, id := range append(ids, last) {
		p.arrives(p.receiver, id)
	}
	pombotest.Eventually(t, patience, "the gateway to be well", func() bool {
		status, _ := p.gateway.Do("GET", "/health", nil)
		return status == 200
	})
	p.gateway.SendText(shop, contact, "hello")
	if !strings.Contains(p.gateway.Log(), "POMBO_MAX_DISK") {
		t.Errorf("refused with %s, and the log does not tell why", message)
	}
}

// ballast fills about 10 MB of the database with what stays there: the headers of
// webhooks that are switched off.
func ballast(c *pombotest.Client) {
	headers := map[string]string{}
	for n := range 64 {
		headers[fmt.Sprint("x-", n)] = strings.Repeat("x", 8000)
	}
	c.Must("POST", "/instance/create", map[string]any{"instanceName": "ballast"}, nil)
	for range 20 {
		c.Must("POST", "/webhook/add/ballast", map[string]any{"url": "http://ballast", "enabled": false, "headers": headers}, nil)
	}
}

// confirmed tells whether the gateway has confirmed a message.
func (p *promise) confirmed(id string) bool {
	p.Helper()
	confirmed, err := p.network.Confirmed(p.Context(), phone)
	if err != nil {
		p.Fatal(err)
	}
	return slices.ContainsFunc(confirmed, func(c sandbox.Confirmation) bool { return c.ID == id })
}

// The metrics tell what happened, to whoever has the key.
func TestPromiseMetrics(t *testing.T) {
	p := newPromise(t)
	p.pair("")
	p.set(`{"url":"` + p.receiver.URL + `","events":["MESSAGES_UPSERT"]}`)
	p.arrives(p.receiver, p.network.Write(contact, phone, "hello"))
	for _, line := range []string{
		`pombo_events_total{event="MESSAGES_UPSERT"} 1`, `pombo_attempts_total{outcome="ok"} 1`, `pombo_deliveries_total{state="delivered"} 1`,
		`pombo_instances{state="open"} 1`, `pombo_delivery_seconds_count 1`, `pombo_circuits{state="closed"} 1`,
	} {
		pombotest.Eventually(t, patience, line+" to be told", func() bool { return strings.Contains(p.get("/metrics"), "\n"+line+"\n") })
	}
	if status, _ := p.gateway.With("").Do("GET", "/metrics", nil); status != 401 {
		t.Errorf("without a key: %d", status)
	}
}
