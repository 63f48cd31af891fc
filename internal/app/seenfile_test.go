package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// seenFile is a delivery as GET /webhook/deliveries/{instance}/{id} shows it.
type seenFile struct {
	Payload     json.RawMessage
	PayloadFile *struct {
		Path           string
		Bytes          int
		Fetched, Shown bool
	}
}

// seeFile shows the only delivery of the event of a message.
func (k *talk) seeFile(query string) (one seenFile) {
	k.Helper()
	var page struct{ Deliveries []seenDelivery }
	k.gateway.Must("GET", "/webhook/deliveries/my%20instance?event=MESSAGES_UPSERT&limit=1", nil, &page)
	if len(page.Deliveries) != 1 {
		k.Fatalf("there are %d deliveries", len(page.Deliveries))
	}
	k.gateway.Must("GET", "/webhook/deliveries/my%20instance/"+page.Deliveries[0].ID+query, nil, &one)
	return one
}

// taken returns the body of the POST with the event of a message that was answered 200.
func (k *talk) taken(id string) []byte {
	k.Helper()
	return k.receiver.Wait(k, "messages.upsert", func(p pombotest.Post) bool { return p.Message().Key.ID == id && p.Status == 200 }).Body
}

// A delivery is shown as it is posted; with its file only to those who ask for it,
// and then byte for byte.
func TestSeenDeliveryWithFile(t *testing.T) {
	dir := pombotest.MemoryDir(t)
	k := newMediaTalk(t, "POMBO_DATA_DIR="+dir)
	content := bytes.Repeat([]byte("more than one block "), 10_000)
	posted := k.taken(k.sendFile(sandbox.MediaRequest{Kind: "document", Content: base64.StdEncoding.EncodeToString(content)}))
	whole := func(what string) {
		t.Helper()
		if d := k.seeFile("?file=true"); !bytes.Equal(d.Payload, posted) || !d.PayloadFile.Shown {
			t.Errorf("%s: shown with its file it is %.300s…, posted was %.300s…", what, d.Payload, posted)
		}
	}
	without := strings.Replace(string(posted), `,"base64":"`+base64.StdEncoding.EncodeToString(content)+`"`, "", 1)
	d := k.seeFile("")
	if string(d.Payload) != without {
		t.Errorf("shown is %s, want %s", d.Payload, without)
	}
	if f := d.PayloadFile; f == nil || f.Path != "data.message.base64" || f.Bytes != len(content) || !f.Fetched || f.Shown {
		t.Errorf("of its file it says %+v", f)
	}
	whole("while it is here")
	files, err := filepath.Glob(filepath.Join(dir, "files", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil { // as when room was wanted
		t.Fatal(err)
	}
	if d := k.seeFile(""); d.PayloadFile == nil || d.PayloadFile.Fetched {
		t.Errorf("of a file that is gone it says %+v", d.PayloadFile)
	}
	whole("fetched again")

	// An event without a file has none, whatever is asked for; nor has one for a webhook
	// that wants none.
	posted = k.taken(k.network.Write(contact, phone, "no file"))
	for _, query := range []string{"", "?file=true", "?file=false"} {
		if d := k.seeFile(query); !bytes.Equal(d.Payload, posted) || d.PayloadFile != nil {
			t.Errorf("%q shows %s, %+v; posted was %s", query, d.Payload, d.PayloadFile, posted)
		}
	}
	k.base64(false)
	posted = k.taken(k.sendFile(sandbox.MediaRequest{Kind: "image"}))
	if d := k.seeFile("?file=true"); !bytes.Equal(d.Payload, posted) || d.PayloadFile != nil {
		t.Errorf("of a webhook without files it shows %s, %+v", d.Payload, d.PayloadFile)
	}
}

// Of a delivery that waits for its file, and of one that went without, what is shown
// is as true.
func TestSeenDeliveryWithoutFile(t *testing.T) {
	k := newMediaTalk(t)
	k.cdn(503, 0)
	id := k.sendFile(sandbox.MediaRequest{Kind: "document", Content: base64.StdEncoding.EncodeToString([]byte("late"))})
	var d seenFile
	pombotest.Eventually(t, time.Minute, "the delivery to wait for its file", func() bool {
		status, body := k.gateway.Do("GET", "/webhook/deliveries/my%20instance?state=pending&event=MESSAGES_UPSERT", nil)
		return status == http.StatusOK && strings.Contains(string(body), `"id"`)
	})
	if d = k.seeFile(""); d.PayloadFile == nil || d.PayloadFile.Fetched || strings.Contains(string(d.Payload), "mediaError") {
		t.Errorf("while it waits it is shown as %s, %+v", d.Payload, d.PayloadFile)
	}
	if err := k.network.ExpireMedia(t.Context(), sandbox.ExpireRequest{ID: id, Answer: sandbox.RetryNotFound}); err != nil {
		t.Fatal(err)
	}
	k.cdn(0, 0)
	posted := k.taken(id)
	for _, query := range []string{"", "?file=true"} {
		if d = k.seeFile(query); !bytes.Equal(d.Payload, posted) || d.PayloadFile != nil || !strings.Contains(string(d.Payload), "mediaError") {
			t.Errorf("%q: posted was %s, shown is %s, %+v", query, posted, d.Payload, d.PayloadFile)
		}
	}
	k.gateway.Refused("GET", fmt.Sprintf("/webhook/deliveries/my%%20instance/%d?file=yes", 1), nil, 400)
}
