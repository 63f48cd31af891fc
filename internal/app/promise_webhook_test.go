package app_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"pombo/internal/pombotest"
)

// The Set Webhook document's request and answer, word for word.
const (
	documentRequest = `{
"enabled": true,
"url": "[webhookUrl]",
"webhookByEvents": false,
"events": [
// "APPLICATION_STARTUP",
"QRCODE_UPDATED",
// "MESSAGES_SET",
"MESSAGES_UPSERT",
"MESSAGES_UPDATE",
"SEND_MESSAGE",
// "CONTACTS_SET",
// "CONTACTS_UPSERT",
// "CONTACTS_UPDATE",
// "PRESENCE_UPDATE",
// "CHATS_SET",
// "CHATS_UPSERT",
// "CHATS_UPDATE",
// "CHATS_DELETE",
// "GROUPS_UPSERT",
// "GROUP_UPDATE",
// "GROUP_PARTICIPANTS_UPDATE",
"CONNECTION_UPDATE"
// "NEW_JWT_TOKEN"
]
}`
	documentAnswer = `{
"webhook": {
"instanceName": "[instance]",
"webhook": {
"enabled": true,
"url": "[url]",
"webhookByEvents": false,
"events": [
"QRCODE_UPDATED",
"MESSAGES_UPSERT",
"MESSAGES_UPDATE",
"SEND_MESSAGE",
"CONNECTION_UPDATE"
]
}
}
}`
)

// The document's request, its comments removed as it asks, gets the document's
// answer; the webhook is in force for the next event, found afterwards, and
// survives a restart.
func TestPromiseDocument(t *testing.T) {
	p := newPromise(t)
	p.pair("")
	hook := p.receiver.URL + "/hook"
	filled := strings.NewReplacer("[webhookUrl]", hook, "[instance]", shop, "[url]", hook)
	request := filled.Replace(documentRequest)

	message := p.gateway.Refused("POST", "/webhook/set/"+shop, request, 400)
	if !strings.Contains(message, "line 6") || !strings.Contains(message, "//") {
		t.Errorf("the comments are refused with %s", message)
	}
	if found := p.get("/webhook/find/" + shop); found != "null" {
		t.Errorf("a request that was refused has set %s", found)
	}

	var want bytes.Buffer
	if err := json.Compact(&want, []byte(filled.Replace(documentAnswer))); err != nil {
		t.Fatal(err)
	}
	if got := p.set(regexp.MustCompile(`(?m)^//.*\n`).ReplaceAllString(request, "")); got != want.String() {
		t.Errorf("answered %s\nwant     %s", got, &want)
	}
	if post := p.arrives(p.receiver, p.network.Write(contact, phone, "hello")); post.Path != "/hook" {
		t.Errorf("posted to %s", post.Path)
	}
	v1, v2 := p.get("/v1/webhook/find/"+shop), p.get("/webhook/find/"+shop)
	if want := `{"enabled":true,"url":"` + hook + `","events":["QRCODE_UPDATED","MESSAGES_UPSERT","MESSAGES_UPDATE","SEND_MESSAGE","CONNECTION_UPDATE"],"webhook_by_events":false,"webhook_base64":false}`; v1 != want {
		t.Errorf("found %s\nwant  %s", v1, want)
	}
	if !strings.Contains(v2, `"url":"`+hook+`"`) || !strings.Contains(v2, `"webhookByEvents":false`) || !strings.Contains(v2, `"enabled":true`) {
		t.Errorf("found %s", v2)
	}

	p.gateway.Stop()
	p.gateway.Start()
	if got := p.get("/webhook/find/" + shop); got != v2 {
		t.Errorf("after a restart it is %s, before %s", got, v2)
	}
	p.arrives(p.receiver, p.network.Write(contact, phone, "hello again"))
	p.network.CheckRules(t)
}

// Each form in which clients send the settings is in force for the next event,
// without a reconnect: its address, its paths by event, its events.
func TestPromiseBodyForms(t *testing.T) {
	p := newPromise(t)
	p.pair("")
	const events = `"events":["MESSAGES_UPSERT","CONNECTION_UPDATE"]`
	for _, c := range []struct{ name, body, answer string }{
		{"flat-snake", `{"url":"URL","enabled":true,` + events + `,"webhook_by_events":true,"webhook_base64":false}`, `"webhook_by_events":true`},
		{"nested-short", `{"webhook":{"enabled":true,"url":"URL",` + events + `,"byEvents":true,"base64":false}}`, `"byEvents":true`},
		{"nested-long", `{"webhook":{"enabled":"true","url":"URL",` + events + `,"webhookByEvents":"true","webhookBase64":false}}`, `"webhookByEvents":true`},
		{"flat-camel", `{"enabled":true,"url":"URL",` + events + `,"webhookByEvents":true,"webhookBase64":false}`, `"webhookByEvents":true`},
	} {
		answer := p.set(strings.Replace(c.body, "URL", p.receiver.URL+"/"+c.name+"?key=1", 1))
		if !strings.Contains(answer, c.answer) {
			t.Errorf("%s is answered with %s", c.name, answer)
		}
		p.gateway.SendText(shop, contact, "not asked for")
		post := p.arrives(p.receiver, p.network.Write(contact, phone, c.name))
		if post.Path != "/"+c.name+"/messages-upsert" || post.Query != "key=1" {
			t.Errorf("%s is posted to %s?%s", c.name, post.Path, post.Query)
		}
	}
	if got := p.receiver.Named("send.message"); len(got) != 0 {
		t.Errorf("an event that nobody asked for came: %s", got[0].Body)
	}
	if got := p.changes(shop); len(got) != 0 {
		t.Errorf("the connection changed: %v", got)
	}
}

// A webhook that is switched off gets nothing more: neither what was pending nor
// what happened meanwhile, also after it is switched on again.
func TestPromiseSwitchedOff(t *testing.T) {
	p := newPromise(t, "WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=600", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=600") // none is under way when it is switched off
	p.pair("")
	p.set(`{"enabled":true,"url":"` + p.receiver.URL + `","events":["MESSAGES_UPSERT","SEND_MESSAGE"]}`)
	p.receiver.Answer(func(int, pombotest.Post) int { return 503 })
	pending := p.network.Write(contact, phone, "pending")
	p.receiver.Wait(t, "messages.upsert", nil) // tried, and refused
	p.set(`{"enabled":false}`)
	p.receiver.Answer(nil)
	meanwhile := p.network.Write(contact, phone, "meanwhile")
	pombotest.Eventually(t, patience, "the message to be confirmed", func() bool { return p.confirmed(meanwhile) })
	p.gateway.SendText(shop, contact, "meanwhile, too")
	p.set(`{"webhook":{"enabled":true,"url":"` + p.receiver.URL + `/on"}}`)
	// The three are of one chat, so the last would come after the others.
	p.arrives(p.receiver, p.network.Write(contact, phone, "on again"))
	for _, post := range p.receiver.Accepted() {
		if id := post.Message().Key.ID; id == pending || id == meanwhile || post.Event == "send.message" {
			t.Errorf("this came to a webhook that was off: %s", post.Body)
		}
	}
}

// A corrected address holds for what waits; each try has the same webhook-id.
func TestPromiseMoved(t *testing.T) {
	p := newPromise(t, "WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=600", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=600")
	p.pair("")
	p.set(`{"enabled":true,"url":"` + p.receiver.URL + `/wrong","events":["MESSAGES_UPSERT"]}`)
	p.receiver.Answer(func(_ int, post pombotest.Post) int {
		if strings.HasPrefix(post.Path, "/wrong") {
			return 404
		}
		return 200
	})
	id := p.network.Write(contact, phone, "pending")
	refused := p.receiver.Wait(t, "messages.upsert", nil)
	p.set(`{"webhook":{"enabled":true,"url":"` + p.receiver.URL + `/right/","webhookByEvents":true}}`)
	post := p.arrives(p.receiver, id)
	if post.Path != "/right/messages-upsert" || post.ID() != refused.ID() || post.ID() == "" {
		t.Errorf("%s came to %s, after %s to %s", post.ID(), post.Path, refused.ID(), refused.Path)
	}
}

// The global webhook gets the events that WEBHOOK_EVENTS_* choose, of all
// instances, beside their own webhooks.
func TestPromiseGlobalWebhook(t *testing.T) {
	global := pombotest.NewReceiver(t)
	p := newPromise(t, "WEBHOOK_GLOBAL_ENABLED=true", "WEBHOOK_GLOBAL_URL="+global.URL+"/all", "WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS=true",
		"WEBHOOK_EVENTS_MESSAGES_UPSERT=true", "WEBHOOK_EVENTS_SEND_MESSAGE=false")
	p.pair(p.receiver.URL)
	const other = "5511988880001"
	pombotest.Pair(t, p.gateway.Client, p.network.Server, "other", other, "")
	for _, number := range []string{phone, other} {
		p.gateway.SendText(map[string]string{phone: shop, other: "other"}[number], contact, "hello")
		id := p.network.Write(contact, number, "hello yourself")
		if post := p.arrives(global, id); post.Path != "/all/messages-upsert" {
			t.Errorf("posted to %s", post.Path)
		}
		if number == phone {
			p.arrives(p.receiver, id)
		}
	}
	for _, post := range global.Posts() {
		if post.Event != "messages.upsert" {
			t.Errorf("an event that is not chosen came: %s", post.Body)
		}
	}
	for _, post := range p.receiver.Posts() {
		if post.Instance != shop {
			t.Errorf("the webhook of %s got %s", shop, post.Body)
		}
	}
}
