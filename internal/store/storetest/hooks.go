package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pombo"
	"pombo/internal/store"
)

// An instance's webhooks are added, changed and removed one by one, and each gets
// what it asks for.
func testWebhooksOfInstance(t *testing.T, b *bench) {
	b.open()
	i, first := b.instance("i")
	j, _ := b.instance("j")
	add := func(w pombo.Webhook) pombo.Webhook {
		t.Helper()
		w.Instance, w.Enabled = i.ID, true
		w, err := b.AddWebhook(b.ctx(), w)
		b.must(err)
		return w
	}
	second := add(pombo.Webhook{ID: "second", URL: "http://two", Headers: map[string]string{"a": "b"}})
	again := add(pombo.Webhook{ID: "second", URL: "http://two"})
	third := add(pombo.Webhook{URL: "http://three", Events: []pombo.EventName{pombo.Call}})
	if second.Position != 1 || again.Position != 1 || third.Position != 2 || third.ID == "" {
		t.Errorf("positions %d, %d and %d, ID %q", second.Position, again.Position, third.Position, third.ID)
	}
	list := func() string {
		t.Helper()
		ws, err := b.InstanceWebhooks(b.ctx(), i.ID)
		b.must(err)
		var text []string
		for _, w := range ws {
			text = append(text, fmt.Sprintf("%d %s", w.Position, w.URL))
		}
		return strings.Join(text, ", ")
	}
	equal(t, "webhooks", list(), "0 http://n8n:5678/i, 1 http://two, 2 http://three")
	second.URL, second.Position = "http://changed", 7
	changed, err := b.PutWebhook(b.ctx(), second)
	b.must(err)
	if changed.Position != 1 || !changed.CreatedAt.Equal(second.CreatedAt) {
		t.Errorf("changed to %+v", changed)
	}
	b.must(b.Append(b.ctx(), event(i, "a", 0), event(j, "a", 0)))
	b.wantPending(first, "a/0")
	b.wantPending(second, "a/0")
	b.wantPending(third)

	b.must(b.RemoveWebhook(b.ctx(), i.ID, second.ID))
	wantKind(t, b.RemoveWebhook(b.ctx(), i.ID, second.ID), pombo.NotFound)
	wantKind(t, b.RemoveWebhook(b.ctx(), j.ID, third.ID), pombo.NotFound)
	b.wantPending(second)
	b.must(b.RemoveWebhook(b.ctx(), i.ID, first.ID))
	if _, ok, err := b.Webhook(b.ctx(), i.ID); ok || err != nil {
		t.Errorf("the first webhook is still there: %v", err)
	}
	b.must(b.Append(b.ctx(), event(i, "a", 1)))
	renewed, err := b.PutWebhook(b.ctx(), pombo.Webhook{Instance: i.ID, URL: "http://new", Enabled: true})
	b.must(err)
	if renewed.ID == first.ID || renewed.Position != 0 {
		t.Errorf("set anew: %+v", renewed)
	}
	fourth := add(pombo.Webhook{URL: "http://four"})
	b.reopen()
	equal(t, "webhooks after a restart", list(), "0 http://new, 2 http://three, 3 http://four")
	all, err := b.Webhooks(b.ctx())
	b.must(err)
	if len(all) != 4 { // with j's
		t.Errorf("%d webhooks to deliver to", len(all))
	}
	for n := 3; n < store.MaxWebhooks; n++ {
		add(pombo.Webhook{URL: fmt.Sprint("http://", n)})
	}
	_, err = b.AddWebhook(b.ctx(), pombo.Webhook{Instance: i.ID, URL: "http://one-too-many"})
	wantKind(t, err, pombo.Invalid)
	_, err = b.AddWebhook(b.ctx(), pombo.Webhook{Instance: "nobody", URL: "http://x"})
	wantKind(t, err, pombo.NotFound)

	b.must(b.Append(b.ctx(), event(i, "a", 2)))
	b.must(b.GiveUp(b.ctx(), i.ID))
	b.wantPending(renewed)
	b.wantPending(fourth)
}

func testWebhookSecrets(t *testing.T, b *bench) {
	b.open()
	_, w := b.instance("i")
	now := time.Now()
	w.Secrets = pombo.Rotate(pombo.Rotate(nil, pombo.NewSecret(), now), pombo.NewSecret(), now)
	w.Secrets[1].Until = w.Secrets[1].Until.UTC().Truncate(time.Millisecond)
	_, err := b.PutWebhook(b.ctx(), w)
	b.must(err)
	b.reopen()
	got, _, err := b.Webhook(b.ctx(), w.Instance)
	b.must(err)
	equal(t, "secrets", got.Secrets, w.Secrets)
	all, err := b.Webhooks(b.ctx())
	b.must(err)
	equal(t, "secrets to deliver with", all[0].Secrets, w.Secrets)
}

// A filter is in force for the next event, after a restart too; what it cannot
// judge is sent.
func testWebhookFilter(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	w.Filter = `data.n >= 2 && instance == "i"`
	w, err := b.PutWebhook(b.ctx(), w)
	b.must(err)
	b.must(b.Append(b.ctx(), events(i, "a", 0, 4)...))
	b.wantPending(w, "a/2", "a/3")
	other := event(i, "a", 9)
	other.Data = json.RawMessage(`{}`)
	b.must(b.Append(b.ctx(), other))
	b.wantPending(w, "a/2", "a/3", "a/9")
	health, err := b.Health(b.ctx(), i.ID, false)
	b.must(err)
	if len(health) != 1 || health[0].FilterErrors != 1 || !strings.Contains(health[0].FilterLastError, "no such key: n") {
		t.Errorf("health %+v", health)
	}
	b.reopen()
	b.must(b.Append(b.ctx(), events(i, "b", 0, 3)...))
	b.wantPending(w, "a/2", "a/3", "a/9", "b/2")
	w.Filter = `data.n >`
	_, err = b.PutWebhook(b.ctx(), w)
	wantKind(t, err, pombo.Invalid)
	if !strings.Contains(err.Error(), "line 1, column 9") {
		t.Errorf("refused with %v", err)
	}
	w.Filter = ""
	w, err = b.PutWebhook(b.ctx(), w)
	b.must(err)
	b.must(b.Append(b.ctx(), event(i, "c", 0)))
	b.wantPending(w, "a/2", "a/3", "a/9", "b/2", "c/0")
}
