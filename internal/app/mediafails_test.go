package app_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// cdn makes WhatsApp's media servers fail for what the contact uploads; 0 mends them.
func (k *talk) cdn(code, count int) {
	k.Helper()
	kind := sandbox.FaultMedia
	if code == 0 {
		kind = sandbox.FaultClear
	}
	k.network.Fault(sandbox.FaultRequest{Kind: kind, Code: code, Count: count, Number: contact})
}

// A download that fails is tried again, also by asking the phone.
func TestMediaTriedAgain(t *testing.T) {
	k := newMediaTalk(t)
	content := []byte("a file that is hard to get")
	request := sandbox.MediaRequest{Kind: "document", Content: base64.StdEncoding.EncodeToString(content)}
	k.on("the server fails", func(k *talk) {
		k.cdn(500, 2)
		k.carries(k.file(k.sendFile(request)), content)
	})
	k.on("the phone uploads it again", func(k *talk) {
		k.cdn(410, 0)
		k.carries(k.file(k.sendFile(request)), content)
		k.cdn(0, 0)
	})
	k.on("of a group, the phone uploads it again", func(k *talk) {
		group, err := k.network.CreateGroup(k.Context(), sandbox.GroupRequest{From: contact, Subject: "g", Participants: []string{phone}})
		if err != nil {
			k.Fatal(err)
		}
		k.cdn(404, 0)
		inGroup := request
		inGroup.From, inGroup.To = contact, group.JID
		k.carries(k.file(k.sendFile(inGroup)), content)
		k.cdn(0, 0)
	})
	k.on("the phone has it no more", func(k *talk) {
		k.cdn(503, 0) // until what comes next is said
		id := k.sendFile(request)
		if err := k.network.ExpireMedia(k.Context(), sandbox.ExpireRequest{ID: id, Answer: sandbox.RetryNotFound}); err != nil {
			k.Fatal(err)
		}
		k.cdn(0, 0)
		f := k.file(id)
		if f.Message.Base64 != "" || !strings.Contains(f.Message.MediaError, "nor the phone has it") {
			k.Errorf("the event has %.40q, mediaError %q", f.Message.Base64, f.Message.MediaError)
		}
		if got := k.get(f.Message.MediaURL); got.status != 404 {
			k.Errorf("its link: %d %s", got.status, got.body)
		}
	})
	k.network.CheckRules(t)
}

// An event whose file does not come goes without it in the end, marked, and holds
// back its own chat alone. Its link works later.
func TestMediaMissed(t *testing.T) {
	k := newMediaTalk(t, "POMBO_MEDIA_DEADLINE_SECONDS=6")
	k.cdn(500, 0)
	content := []byte("late")
	began := time.Now()
	id := k.sendFile(sandbox.MediaRequest{Kind: "document", Content: base64.StdEncoding.EncodeToString(content)})
	behind := k.network.Write(contact, phone, "behind it")
	other := k.network.Write("5511977770003", phone, "in another chat")
	k.told("messages.upsert", other)
	soon := time.Since(began) < 6*time.Second
	k.told("messages.upsert", behind)
	f := k.file(id)
	if f.Message.Base64 != "" || !strings.Contains(f.Message.MediaError, "answered 500") {
		t.Errorf("the event has %.40q, mediaError %q", f.Message.Base64, f.Message.MediaError)
	}
	want := []string{id, behind}
	if soon { // otherwise the file's time may have been over by then
		want = []string{other, id, behind}
	}
	var order []string
	for _, p := range k.receiver.Named("messages.upsert") {
		if got := p.Message().Key.ID; slices.Contains(want, got) {
			order = append(order, got)
		}
	}
	if !slices.Equal(order, want) {
		t.Errorf("the messages came as %s, want %s", order, want)
	}
	k.cdn(0, 0)
	if got := k.get(f.Message.MediaURL); got.status != 200 || got.body != string(content) {
		t.Errorf("its link: %d %q", got.status, got.body)
	}
	k.network.CheckRules(t)
}

// Each try of a delivery has the same body, with its file.
func TestMediaSameBody(t *testing.T) {
	k := newMediaTalk(t)
	refuse := 3
	k.receiver.Answer(func(_ int, p pombotest.Post) int {
		if p.Event == "messages.upsert" && refuse > 0 {
			refuse--
			return 503
		}
		return 200
	})
	content := bytes.Repeat([]byte("more than one block "), 10_000)
	id := k.sendFile(sandbox.MediaRequest{Kind: "video", Content: base64.StdEncoding.EncodeToString(content)})
	var tries []pombotest.Post
	k.receiver.Until(t, "the file to be taken", func(posts []pombotest.Post) bool {
		tries = nil
		for _, p := range posts {
			if p.Message().Key.ID == id {
				tries = append(tries, p)
			}
		}
		return len(tries) > 0 && tries[len(tries)-1].Status == 200
	})
	k.carries(k.file(id), content)
	if len(tries) != 4 {
		t.Errorf("%d tries", len(tries))
	}
	for _, p := range tries {
		if !bytes.Equal(p.Body, tries[0].Body) || p.ID() != tries[0].ID() {
			t.Errorf("a try has another body, of %d bytes and not %d", len(p.Body), len(tries[0].Body))
		}
	}
}

// A gateway that ends while it waits for a file goes on with that when it is back.
func TestMediaRestart(t *testing.T) {
	k := newMediaTalk(t)
	k.cdn(503, 0)
	content := []byte("before and after")
	id := k.sendFile(sandbox.MediaRequest{Kind: "image", Content: base64.StdEncoding.EncodeToString(content)})
	behind := k.network.Write(contact, phone, "behind it")
	other := k.network.Write("5511977770003", phone, "in another chat")
	k.told("messages.upsert", other) // so those before it are stored
	k.gateway.Stop()
	for _, p := range k.receiver.Posts() {
		if got := p.Message().Key.ID; got == id || got == behind {
			t.Fatalf("it did not wait for its file: %s", p.Data)
		}
	}
	k.cdn(0, 0)
	k.gateway.Start()
	k.carries(k.file(id), content)
	k.told("messages.upsert", behind)
	posts := k.receiver.Named("messages.upsert")
	if n := len(posts); n != 3 || posts[1].Message().Key.ID != id {
		t.Errorf("%d came; the file is not the second", n)
	}
	k.network.CheckRules(t)
}
