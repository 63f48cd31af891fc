package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// publicURL is the gateway's address for others, in tests of links.
const publicURL = "http://gateway.test"

// file is what a message's payload says of its file.
type file struct {
	Message struct {
		Base64, MediaURL, MediaError string
	}
	MessageType string
}

// newMediaTalk is newTalk with a webhook that wants files.
func newMediaTalk(t *testing.T, env ...string) *talk {
	t.Helper()
	k := newTalk(t, append([]string{"SERVER_URL=" + publicURL}, env...)...)
	k.base64(true)
	return k
}

// base64 says whether the webhook wants files.
func (k *talk) base64(on bool) {
	k.Helper()
	k.gateway.Must("POST", "/webhook/set/my%20instance", map[string]any{"webhook": map[string]any{
		"enabled": true, "url": k.receiver.URL, "events": []string{}, "base64": on,
	}}, nil)
}

// sendFile lets a phone send a file, and returns the message's ID.
func (k *talk) sendFile(r sandbox.MediaRequest) string {
	k.Helper()
	if r.From == "" {
		r.From, r.To = contact, phone
	}
	sent, err := k.network.SendMedia(k.Context(), r)
	if err != nil {
		k.Fatal(err)
	}
	return sent.ID
}

// file waits for the event of a message, and returns what it says of its file.
func (k *talk) file(id string) file {
	k.Helper()
	_, data := k.told("messages.upsert", id)
	var f file
	if err := json.Unmarshal([]byte(data), &f); err != nil {
		k.Fatal(err)
	}
	return f
}

// carries checks that an event has a file with it.
func (k *talk) carries(f file, want []byte) {
	k.Helper()
	got, err := base64.StdEncoding.DecodeString(f.Message.Base64)
	if err != nil || !bytes.Equal(got, want) || f.Message.MediaError != "" {
		k.Errorf("the event has a file of %d bytes (%v), mediaError %q; want %d bytes", len(got), err, f.Message.MediaError, len(want))
	}
}

// fetched is what a link gives.
type fetched struct {
	status int
	http.Header
	body string
}

// get follows a link.
func (k *talk) get(link string, headers ...string) fetched {
	k.Helper()
	path, ok := strings.CutPrefix(link, publicURL)
	if !ok {
		k.Fatalf("the link %q is not one of %s", link, publicURL)
	}
	req, err := http.NewRequestWithContext(k.Context(), http.MethodGet, k.gateway.Base+path, http.NoBody)
	if err != nil {
		k.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		k.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		k.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return fetched{resp.StatusCode, resp.Header, string(body)}
}

// Each kind of file comes with its event, and can be had by its link.
func TestMediaBase64(t *testing.T) {
	k := newMediaTalk(t)
	for _, c := range []struct {
		sandbox.MediaRequest
		messageType, contentType, disposition string
	}{
		{sandbox.MediaRequest{Kind: "image"}, "imageMessage", "image/jpeg", "inline"},
		{sandbox.MediaRequest{Kind: "image", ViewOnce: true}, "viewOnceMessageV2", "image/jpeg", "inline"},
		{sandbox.MediaRequest{Kind: "video"}, "videoMessage", "video/mp4", "inline"},
		{sandbox.MediaRequest{Kind: "gif"}, "videoMessage", "video/mp4", "inline"},
		{sandbox.MediaRequest{Kind: "audio"}, "audioMessage", "audio/mpeg", "inline"},
		{sandbox.MediaRequest{Kind: "voice"}, "audioMessage", "audio/ogg; codecs=opus", "inline"},
		{sandbox.MediaRequest{Kind: "sticker"}, "stickerMessage", "image/webp", "inline"},
		{sandbox.MediaRequest{Kind: "document", FileName: "a/b ç.txt", Mimetype: "text/html"}, "documentMessage", "text/html", "attachment; filename*=utf-8''b%20%C3%A7.txt"},
		{sandbox.MediaRequest{Kind: "document", FileName: "a.pdf", Mimetype: "application/pdf", Caption: "see"}, "documentMessage", "application/pdf", "attachment; filename=a.pdf"},
		{sandbox.MediaRequest{Kind: "image", Mimetype: "image/svg+xml"}, "imageMessage", "image/svg+xml", "attachment"},
		{sandbox.MediaRequest{Kind: "image", Mimetype: "<script>"}, "imageMessage", "application/octet-stream", "attachment"},
		{sandbox.MediaRequest{Kind: "image", From: phone, To: contact}, "imageMessage", "image/jpeg", "inline"}, // by ourselves, on the phone
	} {
		content := []byte("the file of a " + c.Kind + " " + c.Mimetype)
		c.Content = base64.StdEncoding.EncodeToString(content)
		f := k.file(k.sendFile(c.MediaRequest))
		k.carries(f, content)
		if f.MessageType != c.messageType {
			t.Errorf("%+v came as %s", c.MediaRequest, f.MessageType)
		}
		h := k.get(f.Message.MediaURL)
		if h.status != 200 || h.body != string(content) || h.Get("Content-Type") != c.contentType || h.Get("Content-Disposition") != c.disposition ||
			h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: the link gives %d, %q, %v", c.Kind, h.status, h.body, h.Header)
		}
	}
	k.on("wrapped", testMediaWrapped)
	k.network.CheckRules(t)
}

// A file is found in whatever wrapper.
func testMediaWrapped(k *talk) {
	content := []byte("a round film")
	id := k.sendFile(sandbox.MediaRequest{Kind: "video", Content: base64.StdEncoding.EncodeToString(content)})
	k.told("messages.upsert", id)
	var message struct{ VideoMessage json.RawMessage }
	for _, m := range k.network.Inbox(phone) {
		if m.ID == id {
			if err := json.Unmarshal(m.Message, &message); err != nil {
				k.Fatal(err)
			}
		}
	}
	film := string(message.VideoMessage)
	for _, m := range []string{
		`{"ptvMessage":` + film + `}`,
		`{"ephemeralMessage":{"message":{"videoMessage":` + film + `}}}`,
		`{"ephemeralMessage":{"message":{"viewOnceMessageV2":{"message":{"videoMessage":` + film + `}}}}}`,
		`{"associatedChildMessage":{"message":{"videoMessage":` + film + `}}}`,
	} {
		id := k.network.Send(sandbox.SendRequest{From: contact, To: phone, Message: json.RawMessage(m)})
		k.carries(k.file(id), content)
	}
}

// A webhook that wants no files gets none, and nothing is fetched until its link is
// followed.
func TestMediaLink(t *testing.T) {
	k := newMediaTalk(t)
	k.base64(false)
	content := bytes.Repeat([]byte("0123456789"), 1000)
	f := k.file(k.sendFile(sandbox.MediaRequest{Kind: "document", Content: base64.StdEncoding.EncodeToString(content), FileName: "n"}))
	if f.Message.Base64 != "" || f.Message.MediaError != "" {
		t.Errorf("a webhook that wants no files got %.100q, %q", f.Message.Base64, f.Message.MediaError)
	}
	for _, part := range []struct{ header, value, want string }{
		{"Range", "bytes=10-14", "01234"},
		{"Range", "bytes=-3", "789"},
	} {
		if got := k.get(f.Message.MediaURL, part.header, part.value); got.status != http.StatusPartialContent || got.body != part.want {
			t.Errorf("%s: %d %q", part.value, got.status, got.body)
		}
	}
	id := f.Message.MediaURL[strings.LastIndexByte(f.Message.MediaURL, '/')+1:]
	if len(id) != 32 {
		t.Errorf("the link ends in %q", id)
	}
	for _, guess := range []string{strings.Repeat("0", 32), id[:31], id + "0", "..%2f..%2fpombo.db", "%2e%2e", "x"} {
		if got := k.get(publicURL + "/media/" + guess); got.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", guess, got.status, got.body)
		}
	}
	// It is fetched once.
	k.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultMedia, Code: 500})
	if got := k.get(f.Message.MediaURL); got.status != 200 || got.body != string(content) {
		t.Errorf("once it is here: %d", got.status)
	}
	k.network.CheckRules(t)
}

// A link ends, and the file goes with it.
func TestMediaLinkExpires(t *testing.T) {
	t.Parallel() // it waits
	dir := pombotest.MemoryDir(t)
	k := newMediaTalk(t, "POMBO_DATA_DIR="+dir, "POMBO_MEDIA_KEEP_HOURS=0.003") // 11 s
	began := time.Now().Truncate(time.Second)
	id := k.sendFile(sandbox.MediaRequest{Kind: "image"})
	f := k.file(id)
	if got := k.get(f.Message.MediaURL); got.status != 200 && time.Since(began) < 10*time.Second {
		t.Errorf("while it is valid: %d", got.status)
	}
	pombotest.Eventually(t, time.Minute, "the link to expire", func() bool {
		return k.get(f.Message.MediaURL).status == http.StatusNotFound
	})
	k.gateway.Stop() // it looks through its files when it starts, and from time to time
	k.gateway.Start()
	pombotest.Eventually(t, time.Minute, "the file to be removed", func() bool {
		files, err := os.ReadDir(filepath.Join(dir, "files"))
		return err == nil && len(files) == 0
	})
	message := k.gateway.Refused("POST", "/chat/getBase64FromMediaMessage/my%20instance", byID(id), 400)
	if !strings.HasPrefix(message, `["Message not found","`) {
		t.Errorf("got %s", message)
	}
}

// byID is a request for the file of a message.
func byID(id string) map[string]any {
	return map[string]any{"message": map[string]any{"key": map[string]any{"id": id}}}
}
