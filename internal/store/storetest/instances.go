package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pombo"
	"pombo/internal/store"
)

func testWebhook(t *testing.T, b *bench) {
	b.open()
	i := newInstance("i")
	b.must(b.CreateInstance(b.ctx(), i, nil))
	if _, ok, err := b.Webhook(b.ctx(), i.ID); ok || err != nil {
		t.Fatalf("an instance without a webhook has one: %v", err)
	}
	set := pombo.Webhook{
		Instance: i.ID, URL: "http://a", Enabled: true, Events: []pombo.EventName{pombo.Call, pombo.MessagesUpsert},
		ByEvents: true, Base64: true, Headers: map[string]string{"Authorization": "Bearer s3cret", "jwt_key": "k"},
	}
	first, err := b.PutWebhook(b.ctx(), set)
	b.must(err)
	if first.ID == "" || first.CreatedAt.IsZero() || first.UpdatedAt.IsZero() {
		t.Fatalf("stored webhook %+v", first)
	}
	want := set
	want.ID, want.CreatedAt, want.UpdatedAt = first.ID, first.CreatedAt, first.UpdatedAt
	equal(t, "stored webhook", first, want)
	check := func(want pombo.Webhook) {
		t.Helper()
		got, ok, err := b.Webhook(b.ctx(), i.ID)
		b.must(err)
		if !ok {
			t.Fatal("no webhook")
		}
		equal(t, "webhook", got, want)
		all, err := b.Webhooks(b.ctx())
		b.must(err)
		equal(t, "webhooks", all, []pombo.Webhook{want})
	}
	check(first)
	first.Headers["Authorization"] = "changed by the caller"
	first.Events[0] = "changed by the caller"
	check(want)
	b.reopen()
	check(want)

	// A change keeps the ID and applies to what is pending.
	b.must(b.Append(b.ctx(), event(i, "a", 1)))
	second, err := b.PutWebhook(b.ctx(), pombo.Webhook{Instance: i.ID, ID: "another", URL: "http://b", Enabled: true})
	b.must(err)
	if second.ID != want.ID || !second.CreatedAt.Equal(want.CreatedAt) || second.Events != nil || second.Headers != nil {
		t.Errorf("changed webhook %+v", second)
	}
	check(second)
	b.wantPending(second, "a/1")

	_, err = b.PutWebhook(b.ctx(), pombo.Webhook{Instance: "nobody", URL: "http://c", Enabled: true})
	wantKind(t, err, pombo.NotFound)
	_, err = b.PutWebhook(b.ctx(), pombo.Webhook{URL: "http://c", Enabled: true})
	wantKind(t, err, pombo.Invalid)
}

func testWebhookDisable(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	j, v := b.instance("j")
	b.must(b.Append(b.ctx(), event(i, "a", 1), event(i, "b", 2), event(j, "a", 1)))
	ds := b.pendingOf(w)
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: ds[0].ID, Number: 1, State: pombo.Pending, NextAttempt: eventTime, Parked: true}))
	w.Enabled = false
	w, err := b.PutWebhook(b.ctx(), w)
	b.must(err)
	b.wantState(ds[0].ID, pombo.Dead, pombo.Disabled, 1)
	b.wantState(ds[1].ID, pombo.Dead, pombo.Disabled, 0)
	b.wantPending(v, "a/1")
	b.must(b.Append(b.ctx(), event(i, "a", 3)))
	b.wantPending(w)
	w.Enabled = true
	w, err = b.PutWebhook(b.ctx(), w)
	b.must(err)
	b.wantPending(w)
	b.must(b.Append(b.ctx(), event(i, "a", 4)))
	b.wantPending(w, "a/4")
}

// A set is in force for every event appended after it returned, and for none
// appended before, also while others write.
func testWebhookInForce(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	noise, _ := b.instance("noise")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := b.Append(b.ctx(), event(noise, "n", n)); err != nil {
				t.Errorf("append: %v", err)
				return
			}
		}
	}()
	var want []string
	for n := range 20 {
		wants := n%2 == 0
		w.Events = []pombo.EventName{pombo.Call}
		if wants {
			w.Events = []pombo.EventName{pombo.MessagesUpsert}
			want = append(want, fmt.Sprintf("a/%d", n))
		}
		_, err := b.PutWebhook(b.ctx(), w)
		b.must(err)
		b.must(b.Append(b.ctx(), event(i, "a", n)))
	}
	close(stop)
	<-done
	b.wantPending(w, want...)
}

func testWebhookGlobal(t *testing.T, b *bench) {
	global := pombo.Webhook{ID: pombo.GlobalWebhookID}
	b.open()
	i := newInstance("i")
	b.must(b.CreateInstance(b.ctx(), i, nil))
	b.must(b.Append(b.ctx(), event(i, "a", 0)))
	b.wantPending(global)
	webhooks := func(n int) []pombo.Webhook {
		t.Helper()
		ws, err := b.Webhooks(b.ctx())
		b.must(err)
		if len(ws) != n {
			t.Fatalf("webhooks %+v, want %d", ws, n)
		}
		return ws
	}
	webhooks(0)

	b.global = &pombo.Webhook{URL: "http://one", Enabled: true}
	b.reopen()
	b.must(b.Append(b.ctx(), event(i, "a", 1)))
	b.global = &pombo.Webhook{URL: "http://two", Enabled: true, Events: []pombo.EventName{pombo.Call}}
	b.reopen()
	b.must(b.Append(b.ctx(), event(i, "a", 2)))
	b.wantPending(global, "a/1")
	if w := webhooks(1)[0]; w.ID != pombo.GlobalWebhookID || w.URL != "http://two" || w.Instance != "" {
		t.Errorf("global webhook %+v", w)
	}
	// Deleting an instance does not take the global webhook's deliveries away.
	b.must(b.DeleteInstance(b.ctx(), i.ID))
	d := b.wantPending(global, "a/1")[0]

	b.global = nil
	b.reopen()
	b.wantPending(global)
	b.wantState(d.ID, pombo.Dead, pombo.Disabled, 0)
	webhooks(0)
}

func testInstanceCreate(t *testing.T, b *bench) {
	b.open()
	i := pombo.Instance{
		ID: "5b2f3f6e-0000-4000-8000-000000000001", Name: "Loja São Paulo", Token: "t0ken", JWTID: "j1", Integration: "WHATSAPP-BAILEYS",
		Number: "5511999990000", JID: "5511999990000:3@s.whatsapp.net", LID: "1@lid", ProfileName: "Loja",
		ProfilePictureURL: "https://pps/x", Settings: pombo.Settings{RejectCall: true, MsgCall: "não", ReadStatus: true},
		Disconnection: pombo.Disconnection{Code: 401, Object: `{"a":1}`, At: eventTime},
		CreatedAt:     eventTime, UpdatedAt: eventTime.Add(time.Hour),
	}
	w := pombo.Webhook{URL: "http://hook", Enabled: true}
	created := pombo.Event{Instance: i.ID, Name: pombo.InstanceCreate, Key: "created", Data: []byte(`{}`)}
	b.must(b.CreateInstance(b.ctx(), i, &w, created))
	if w.ID == "" || w.Instance != i.ID || w.CreatedAt.IsZero() {
		t.Errorf("the webhook was not filled in: %+v", w)
	}
	b.wantPending(w, "created")
	check := func(want ...pombo.Instance) {
		t.Helper()
		all, err := b.Instances(b.ctx())
		b.must(err)
		equal(t, "instances", all, want)
	}
	check(i)

	taken := newInstance(i.Name)
	err := b.CreateInstance(b.ctx(), taken, &pombo.Webhook{URL: "http://x", Enabled: true},
		pombo.Event{Instance: taken.ID, Name: pombo.InstanceCreate, Key: "created", Data: []byte(`{}`)})
	wantKind(t, err, pombo.Forbidden)
	if want := `This name "Loja São Paulo" is already in use.`; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if _, ok, err := b.Webhook(b.ctx(), taken.ID); ok || err != nil {
		t.Error("a refused creation left a webhook behind")
	}
	bad := newInstance("bad")
	err = b.CreateInstance(b.ctx(), bad, nil, pombo.Event{Instance: bad.ID, Name: pombo.InstanceCreate, Key: "k"})
	wantKind(t, err, pombo.Invalid)
	wantKind(t, b.CreateInstance(b.ctx(), pombo.Instance{Name: "x"}, nil), pombo.Invalid)
	b.reopen()
	check(i)
	b.wantPending(w, "created")

	var wins atomic.Int32
	results := make(chan error, 8)
	for range cap(results) {
		go func() { results <- b.CreateInstance(b.ctx(), newInstance("race"), nil) }()
	}
	for range cap(results) {
		if err := <-results; err == nil {
			wins.Add(1)
		} else {
			wantKind(t, err, pombo.Forbidden)
		}
	}
	if wins.Load() != 1 {
		t.Errorf("%d creations of the same name succeeded", wins.Load())
	}
}

func testInstanceUpdate(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	j, _ := b.instance("j")
	all, err := b.Instances(b.ctx())
	b.must(err)
	stored := all[0]
	if stored.ID != i.ID {
		stored = all[1]
	}
	if stored.CreatedAt.IsZero() || stored.Integration == "" {
		t.Errorf("stored instance %+v", stored)
	}
	change := stored
	change.Name, change.Token, change.Number, change.JID, change.LID = "k", "t", "n", "jid", "lid"
	change.ProfileName, change.ProfilePictureURL = "p", "u"
	change.Settings.AlwaysOnline = true
	change.Disconnection = pombo.Disconnection{Code: 428, Object: "{}", At: eventTime}
	change.CreatedAt = eventTime // not to be changed
	open := pombo.Event{Instance: i.ID, Name: pombo.ConnectionUpdate, Key: "open", Data: []byte(`{}`)}
	b.must(b.UpdateInstance(b.ctx(), change, open))
	b.wantPending(w, "open")
	b.reopen()
	all, err = b.Instances(b.ctx())
	b.must(err)
	got := all[0]
	if got.ID != i.ID {
		got = all[1]
	}
	if got.UpdatedAt.Before(stored.UpdatedAt) {
		t.Errorf("updated at %v, before that %v", got.UpdatedAt, stored.UpdatedAt)
	}
	change.CreatedAt, change.UpdatedAt = stored.CreatedAt, got.UpdatedAt
	equal(t, "updated instance", got, change)

	change.Name = j.Name
	wantKind(t, b.UpdateInstance(b.ctx(), change), pombo.Forbidden)
	wantKind(t, b.UpdateInstance(b.ctx(), newInstance("nobody")), pombo.NotFound)
}

func testInstanceDelete(t *testing.T, b *bench) {
	b.open()
	i, w := b.instance("i")
	b.must(b.Append(b.ctx(), events(i, "a", 0, 2)...))
	old := b.pendingOf(w)
	b.must(b.GiveUp(b.ctx(), i.ID))
	b.must(b.GiveUp(b.ctx(), i.ID))
	b.must(b.GiveUp(b.ctx(), "nobody"))
	b.must(b.Append(b.ctx(), event(i, "", 3)))
	logout := b.pendingOf(w)[0]
	last := pombo.Event{Instance: i.ID, Name: pombo.InstanceDelete, Key: "deleted", Data: []byte(`{}`)}
	b.must(b.DeleteInstance(b.ctx(), i.ID, last))
	b.must(b.DeleteInstance(b.ctx(), i.ID, last))
	for _, d := range old {
		b.wantState(d.ID, pombo.Dead, pombo.Disabled, 0)
	}
	b.wantState(logout.ID, pombo.Pending, "", 0)
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: logout.ID, Number: 1, State: pombo.Delivered}))
	b.barrier()
	b.must(b.Append(b.ctx(), event(i, "a", 9))) // of a session that is still stopping
	d := b.wantPending(w, "deleted")[0]
	if reported := b.report(); reported[len(reported)-1].ID != d.ID {
		t.Error("the last event was not reported")
	}
	webhooks := func(want ...string) {
		t.Helper()
		ws, err := b.Webhooks(b.ctx())
		b.must(err)
		var urls []string
		for _, w := range ws {
			urls = append(urls, w.URL)
		}
		equal(t, "webhooks", strings.Join(urls, " "), strings.Join(want, " "))
	}
	webhooks(w.URL)
	if _, ok, err := b.Webhook(b.ctx(), i.ID); ok || err != nil {
		t.Error("a deleted instance has a webhook")
	}
	if all, err := b.Instances(b.ctx()); err != nil || len(all) != 0 {
		t.Errorf("instances %v, %v", all, err)
	}
	wantKind(t, b.UpdateInstance(b.ctx(), i), pombo.NotFound)
	_, err := b.PutWebhook(b.ctx(), pombo.Webhook{Instance: i.ID, URL: "http://x", Enabled: true})
	wantKind(t, err, pombo.NotFound)
	wantKind(t, b.DeleteInstance(b.ctx(), "nobody"), pombo.NotFound)

	name, token, ok, err := b.Identity(b.ctx(), i.ID)
	b.must(err)
	if !ok || name != i.Name || token != i.Token {
		t.Errorf("identity of a deleted instance: %q, %q, %v", name, token, ok)
	}
	if _, _, ok, err := b.Identity(b.ctx(), "nobody"); ok || err != nil {
		t.Errorf("identity of nobody: %v, %v", ok, err)
	}

	// The name is free at once; its new owner has nothing of the old one.
	again := newInstance("i")
	b.must(b.CreateInstance(b.ctx(), again, nil))
	if _, ok, err := b.Webhook(b.ctx(), again.ID); ok || err != nil {
		t.Error("the new instance has the old one's webhook")
	}
	b.reopen()
	webhooks(w.URL)
	b.wantPending(w, "deleted")
	b.must(b.Settle(b.ctx(), pombo.Attempt{Delivery: d.ID, Number: 1, State: pombo.Delivered}))
	b.barrier()
	webhooks()
	ids, err := b.WebhooksWithPending(b.ctx())
	b.must(err)
	if len(ids) != 0 {
		t.Errorf("webhooks with pending deliveries: %q", ids)
	}
}

// Changes whose answer was lost can be repeated, and what they put in force is.
func testInstanceAnswerLost(t *testing.T, b *bench) {
	lost := b.losesAnswers()
	b.open()
	twice := func(what string, do func() error) {
		t.Helper()
		lost.Store(1)
		if err := do(); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("%s with a lost answer: %v", what, err)
		}
		if err := do(); err != nil {
			t.Fatalf("%s again: %v", what, err)
		}
	}
	i := newInstance("i")
	w := pombo.Webhook{URL: "http://a", Enabled: true}
	created := pombo.Event{Instance: i.ID, Name: pombo.InstanceCreate, Key: "created", Data: []byte(`{}`)}
	twice("create", func() error { return b.CreateInstance(b.ctx(), i, &w, created) })
	w, ok, err := b.Webhook(b.ctx(), i.ID)
	b.must(err)
	if !ok {
		t.Fatal("no webhook")
	}
	b.wantPending(w, "created")
	twice("put webhook", func() error {
		w.Events = []pombo.EventName{pombo.MessagesUpsert}
		_, err := b.PutWebhook(b.ctx(), w)
		return err
	})
	b.must(b.Append(b.ctx(), event(i, "a", 1)))
	b.wantPending(w, "created", "a/1")
	deleted := event(i, "", 9)
	twice("delete", func() error { return b.DeleteInstance(b.ctx(), i.ID, deleted) })
	equal(t, "last reported", b.report()[2:], b.wantPending(w, "created", "a/1", "/9")[2:])
}

func testSent(t *testing.T, b *bench) {
	b.open()
	m := pombo.SentMessage{Instance: "i", ID: "3EB0", Chat: "5511@s.whatsapp.net", Message: []byte{0, 1, 0xff}, At: eventTime}
	b.must(b.PutSent(b.ctx(), m))
	n := m
	n.Instance, n.Message = "j", []byte("other")
	b.must(b.PutSent(b.ctx(), n))
	check := func(want pombo.SentMessage) {
		t.Helper()
		got, ok, err := b.Sent(b.ctx(), want.Instance, want.ID)
		b.must(err)
		if !ok {
			t.Fatal("the message is not there")
		}
		equal(t, "sent message", got, want)
	}
	check(m)
	check(n)
	m.Message = []byte("again")
	b.must(b.PutSent(b.ctx(), m))
	b.reopen()
	check(m)
	check(n)
	if _, ok, err := b.Sent(b.ctx(), "i", "none"); ok || err != nil {
		t.Errorf("a message that was never sent: %v, %v", ok, err)
	}
	wantKind(t, b.PutSent(b.ctx(), pombo.SentMessage{ID: "x"}), pombo.Invalid)
}

func testPolls(t *testing.T, b *bench) {
	b.open()
	p := pombo.Poll{
		Instance: "i", Chat: "5511@s.whatsapp.net", ID: "3EB0", Author: "1@lid", Secret: []byte{0, 1, 0xff}, Options: []string{"Sim 👍", "Não"}, At: eventTime,
	}
	elsewhere := p
	elsewhere.Chat, elsewhere.Author, elsewhere.At = "1@g.us", "2@lid", eventTime.Add(time.Second)
	other := p
	other.Instance, other.Options = "j", []string{}
	for _, one := range []pombo.Poll{p, elsewhere, other} {
		b.must(b.PutPoll(b.ctx(), one))
	}
	forged := p
	forged.Author, forged.Options = "3@lid", []string{"x"}
	b.must(b.PutPoll(b.ctx(), forged))
	b.reopen()
	for instance, want := range map[pombo.InstanceID][]pombo.Poll{"i": {p, elsewhere}, "j": {other}, "k": nil} {
		got, err := b.Polls(b.ctx(), instance, "3EB0")
		b.must(err)
		equal(t, "polls", got, want)
	}
	wantKind(t, b.PutPoll(b.ctx(), pombo.Poll{ID: "x"}), pombo.Invalid)
}

func testOneProcess(t *testing.T, b *bench) {
	b.open()
	_, err := store.Open(b.ctx(), store.Options{URI: b.uri, LockWait: 100 * time.Millisecond})
	wantKind(t, err, pombo.Conflict)
	if !strings.Contains(err.Error(), "another Pombo uses") {
		t.Errorf("error %q", err)
	}
	// One that waits gets the database as soon as it is free.
	opened := make(chan error, 1)
	go func() {
		s, err := store.Open(b.ctx(), store.Options{URI: b.uri, LockWait: time.Minute})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	b.must(b.Close())
	b.must(<-opened)
}
