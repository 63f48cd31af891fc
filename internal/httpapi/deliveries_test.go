package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pombo"
)

func (f *fake) AddWebhook(_ context.Context, name string, c pombo.WebhookChange) (pombo.Webhook, error) {
	w := c.Apply(pombo.Webhook{})
	w.ID, w.Position, w.CreatedAt, w.UpdatedAt = "hook", 1, made, made
	if c.Secret != nil {
		w.Secrets = []pombo.SigningSecret{{Key: "whsec_full"}, {Key: "whsec_old", Until: made}}
	}
	return w, f.do("add %s %s", name, w.URL)
}

func (f *fake) Webhooks(_ context.Context, name string) ([]pombo.Webhook, error) {
	w := pombo.Webhook{ID: "hook", URL: "http://x", Filter: "true", Enabled: true, Events: []pombo.EventName{pombo.Call}, CreatedAt: made, UpdatedAt: made,
		Secrets: []pombo.SigningSecret{{Key: "whsec_full"}}}
	return []pombo.Webhook{w}, f.do("list %s", name)
}

func (f *fake) ChangeWebhook(_ context.Context, name, id string, c pombo.WebhookChange) (pombo.Webhook, error) {
	if c.Reset {
		f.complain.Errorf("a change resets what it leaves out")
	}
	w := c.Apply(pombo.Webhook{ID: id, URL: "http://kept", Enabled: true, CreatedAt: made, UpdatedAt: made})
	return w, f.do("change %s %s", name, id)
}

func (f *fake) RemoveWebhook(_ context.Context, name, id string) error {
	return f.do("remove %s %s", name, id)
}

// shelf is the fake's deliveries.
type shelf struct{ *fake }

func delivery() pombo.Delivery {
	return pombo.Delivery{
		ID: 7, MessageID: "msg_7", WebhookID: "hook", State: pombo.Dead, Reason: pombo.Rejected, Attempts: 1, CreatedAt: made, EndedAt: made,
		Event: pombo.Event{Name: pombo.MessagesUpsert, Chat: "1@g.us"},
	}
}

var attempt = pombo.Attempt{Number: 1, At: made, Duration: 1500 * time.Microsecond, Address: "10.0.0.1:80", Status: 400, ErrorCode: "status", Error: "It answered 400.", Response: []byte("n\xc3")}

func (s shelf) Deliveries(_ context.Context, q pombo.DeliveryQuery) ([]pombo.DeliverySummary, error) {
	return []pombo.DeliverySummary{{Delivery: delivery(), Last: &attempt}}, s.do("deliveries %s %v %s %s %s %d", q.Instance, q.Global, q.State, q.Event, q.Chat, q.Limit)
}

func (s shelf) Delivery(_ context.Context, instance pombo.InstanceID, id int64, global, file bool) (pombo.DeliveryDetail, error) {
	detail := pombo.DeliveryDetail{Delivery: delivery(), URL: "http://x", Payload: []byte(`{"a":"<b>"}`), Attempts: []pombo.Attempt{attempt}}
	if file {
		detail.File = &pombo.PayloadFile{At: 10, Size: 4, Fetched: true, Content: fakeFile()}
	}
	return detail, s.do("delivery %s %d %v", instance, id, global)
}

func (s shelf) Health(_ context.Context, instance pombo.InstanceID, global bool) ([]pombo.WebhookHealth, error) {
	return []pombo.WebhookHealth{{Webhook: pombo.Webhook{ID: "hook", Enabled: true}, Circuit: "open", OpenUntil: made, Backlog: 2, Oldest: made, Attempts: 3, Successes: 1}}, s.do("health %s %v", instance, global)
}

func (s shelf) Replay(_ context.Context, r pombo.Replay) (pombo.ReplayResult, error) {
	return pombo.ReplayResult{Matched: 2, Replayed: 1, Pending: 1}, s.do("replay %s %v %v %s %v", r.Query.Instance, r.Query.Global, r.IDs, r.Query.State, r.DryRun)
}

func (s shelf) Ping(_ context.Context, v pombo.InstanceView, p pombo.Ping) (pombo.PingResult, error) {
	return pombo.PingResult{WebhookID: "hook", Event: p.Event, MessageID: "test_1", URL: "http://x", Attempt: attempt}, s.do("ping %s %s %s", v.Name, p.Event, p.Webhook)
}

func TestWebhookLists(t *testing.T) {
	a := newAPI(t)
	const row = `"headers":null,"enabled":true,"events":["CALL"],"webhookByEvents":false,"webhookBase64":false,"createdAt":"2025-06-30T12:00:00.000Z","updatedAt":"2025-06-30T12:00:00.000Z","instanceId":""`
	a.expectWith(anaKey, "POST", "/webhook/add/ana", `{"url":"http://x","events":["CALL"],"filter":"true","secret":"generate"}`, 201,
		`{"id":"hook","position":1,"url":"http://x",`+row+`,"filter":"true","secret":"whsec_full","secretUntil":"2025-06-30T12:00:00.000Z"}`)
	a.expectWith(anaKey, "GET", "/webhook/list/ana", "", 200, `[{"id":"hook","position":0,"url":"http://x",`+row+`,"filter":"true","secret":"whsec_***"}]`)
	for _, body := range []string{`{"events":["CALL"]}`, `{"webhook":{"events":["CALL"]}}`} {
		a.expect("PUT", "/webhook/change/ana/hook", body, 200, `{"id":"hook","position":0,"url":"http://kept",`+row+`}`)
	}
	a.expect("DELETE", "/webhook/remove/ana/hook", "", 200, `{"status":"SUCCESS","error":false,"response":{"message":"Webhook removed"}}`)
	a.expectWith(bobKey, "DELETE", "/webhook/remove/ana/hook", "", 401, unauthorized)
	for body, says := range map[string]string{
		`{}`: "none of the keys", `{"url":"x"}`: "url", `{"secret":"short"}`: "whsec_", `{"secret":"whsec_YWJj"}`: "3 bytes", `{"secret":5}`: "secret must be a string",
	} {
		if res := a.request("PUT", "/webhook/change/ana/hook", globalKey, body); res.status != 400 || !strings.Contains(res.body, says) || strings.Contains(res.body, "YWJj") {
			t.Errorf("%s: %d %s", body, res.status, res.body)
		}
	}
	want := []string{"add ana http://x", "list ana", "change ana hook", "change ana hook", "remove ana hook"}
	if !slices.Equal(a.calls, want) {
		t.Errorf("calls %q, want %q", a.calls, want)
	}
}

func TestDeliveryRoutes(t *testing.T) {
	a := newAPI(t)
	const row = `"id":"7","messageId":"msg_7","webhook":"hook","event":"MESSAGES_UPSERT","chat":"1@g.us","state":"dead","reason":"rejected","attempts":1,"createdAt":"2025-06-30T12:00:00.000Z","endedAt":"2025-06-30T12:00:00.000Z"`
	const tried = `{"number":1,"at":"2025-06-30T12:00:00.000Z","durationMs":1.5,"address":"10.0.0.1:80","status":400,"errorCode":"status","error":"It answered 400.","response":"n"}`
	a.expect("GET", "/webhook/deliveries/ana?state=dead&event=messages.upsert&chat=5511&limit=1", "", 200, `{"deliveries":[{`+row+`,"lastAttempt":`+tried+`}],"nextCursor":"1751284800000-7"}`)
	a.expectWith(anaKey, "GET", "/webhook/deliveries/ana?cursor=1751284800000-7&from=2h&to=2999-01-01", "", 200, `{"deliveries":[{`+row+`,"lastAttempt":`+tried+`}],"nextCursor":null}`)
	a.expectWith(anaKey, "GET", "/webhook/deliveries/ana/7", "", 200, `{`+row+`,"url":"http://x","payload":{"a":"<b>"},"attemptLog":[`+tried+`]}`)
	a.expectWith(anaKey, "GET", "/webhook/deliveries/ana/7?file=true", "", 200, `{`+row+`,"url":"http://x",`+
		`"payloadFile":{"path":"data.message.base64","bytes":4,"fetched":true,"shown":true},"payload":{"a":"<b>","base64":"YWJjZA=="},"attemptLog":[`+tried+`]}`)
	res := a.request("GET", "/webhook/health/ana", anaKey, "")
	var health struct {
		Webhooks []struct {
			Circuit              string
			Backlog              int
			SuccessRate24h       float64
			OldestPendingSeconds int64
		}
	}
	if err := json.Unmarshal([]byte(res.body), &health); err != nil || res.status != 200 || health.Webhooks[0].Circuit != "open" || health.Webhooks[0].SuccessRate24h != 0.3333 || health.Webhooks[0].OldestPendingSeconds < 1000 {
		t.Errorf("%d %s", res.status, res.body)
	}
	a.expect("POST", "/webhook/replay/ana", `{"ids":["7",8,"7"],"dryRun":"true"}`, 200, `{"dryRun":true,"matched":2,"replayed":1,"alreadyPending":1,"webhookOff":0,"notFound":0}`)
	a.expectWith(anaKey, "POST", "/webhook/replay/ana", `{"filter":{"state":"dead"}}`, 200, `{"dryRun":false,"matched":2,"replayed":1,"alreadyPending":1,"webhookOff":0,"notFound":0}`)
	a.expect("POST", "/webhook/test/ana", ``, 200, `{"webhook":"hook","event":"MESSAGES_UPSERT","url":"http://x","messageId":"test_1","ok":false,`+tried[len(`{"number":1,`):])
	want := []string{
		"deliveries id-ana true dead MESSAGES_UPSERT 5511@s.whatsapp.net 1", "deliveries id-ana false    50", "delivery id-ana 7 false", "delivery id-ana 7 false", "health id-ana false",
		"replay id-ana true [7 8]  true", "replay id-ana false [] dead false", "ping ana MESSAGES_UPSERT",
	}
	if !slices.Equal(a.calls, want) {
		t.Errorf("calls\n%s\nwant\n%s", strings.Join(a.calls, "\n"), strings.Join(want, "\n"))
	}
	for _, target := range []string{"deliveries/ana?state=x", "deliveries/ana?event=x", "deliveries/ana?from=yesterday", "deliveries/ana?limit=0", "deliveries/ana?limit=501", "deliveries/ana?cursor=1", "deliveries/ana/7?file=1"} {
		if res := a.request("GET", "/webhook/"+target, globalKey, ""); res.status != 400 {
			t.Errorf("%s: %d %s", target, res.status, res.body)
		}
	}
	for _, body := range []string{`{}`, `{"ids":[]}`, `{"ids":["x"]}`, `{"ids":["1"],"state":"dead"}`, `{"state":1}`, `{"dryRun":true}`, `[]`,
		`{"state":"dead","form":"1h"}`, `{"filter":{"state":"dead","form":"1h"}}`, `{"state":"dead","filter":{"state":"pending"}}`} {
		if res := a.request("POST", "/webhook/replay/ana", globalKey, body); res.status != 400 {
			t.Errorf("%s: %d %s", body, res.status, res.body)
		}
	}
	if res := a.request("GET", "/webhook/deliveries/ana/x", globalKey, ""); res.status != 404 {
		t.Errorf("no such delivery: %d", res.status)
	}
	for _, target := range []string{"GET /webhook/deliveries/ana", "GET /webhook/deliveries/ana/7", "GET /webhook/health/ana", "POST /webhook/replay/ana", "POST /webhook/test/ana"} {
		method, path, _ := strings.Cut(target, " ")
		a.expectWith(bobKey, method, path, "{}", 401, unauthorized)
	}
}

func TestMetricsAccess(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte("{}"))
	})
	for _, test := range []struct {
		name   string
		access MetricsAccess
		header []string
		status int
	}{
		{"no key", MetricsAccess{}, nil, 401},
		{"key", MetricsAccess{}, []string{"apikey", globalKey}, 200},
		{"an instance's key", MetricsAccess{}, []string{"apikey", anaKey}, 401},
		{"bearer", MetricsAccess{}, []string{"Authorization", "Bearer " + globalKey}, 200},
		{"empty bearer", MetricsAccess{}, []string{"Authorization", "Bearer "}, 401},
		{"key as a password", MetricsAccess{}, []string{"Authorization", "Basic eDpHTE9CQUwtS0VZ"}, 200},
		{"user", MetricsAccess{User: "u", Password: "p"}, []string{"Authorization", "Basic dTpw"}, 200},
		{"wrong user", MetricsAccess{User: "v", Password: "p"}, []string{"Authorization", "Basic dTpw"}, 401},
		{"no user set", MetricsAccess{}, []string{"Authorization", "Basic Og=="}, 401},
		{"public", MetricsAccess{Public: true}, nil, 200},
		{"address", MetricsAccess{Public: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, nil, 200},
		{"another address", MetricsAccess{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, []string{"apikey", globalKey}, 403},
	} {
		a := newAPI(t, func(o *Options) { o.Metrics, o.MetricsAccess = metrics, test.access })
		if res := a.request("GET", "/metrics", "", "", test.header...); res.status != test.status {
			t.Errorf("%s: %d, want %d", test.name, res.status, test.status)
		}
	}
	newAPI(t).expect("GET", "/metrics", "", 404, failure(404, "Cannot GET /metrics"))
}
