package sandbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waMmsRetry"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"pombo/internal/sandbox"
)

// sendMedia lets the contact send a file and returns the event that the client got.
func (n *network) sendMedia(t *testing.T, c *client, r sandbox.MediaRequest) *events.Message {
	t.Helper()
	r.From, r.To = contact, bot
	result, err := n.SendMedia(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	evt := wait[*events.Message](c, func(m *events.Message) bool { return m.Info.ID == result.ID })
	return evt
}

// filePart is the part of a message that can be downloaded.
func filePart(m *waE2E.Message) whatsmeow.DownloadableMessage {
	switch {
	case m.ImageMessage != nil:
		return m.ImageMessage
	case m.VideoMessage != nil:
		return m.VideoMessage
	case m.AudioMessage != nil:
		return m.AudioMessage
	case m.DocumentMessage != nil:
		return m.DocumentMessage
	}
	return m.StickerMessage
}

func TestDownload(t *testing.T) {
	n, c := startPaired(t)
	ctx := context.Background()
	for _, kind := range []string{"image", "video", "gif", "audio", "voice", "document", "sticker"} {
		want := []byte("the file of a " + kind)
		evt := n.sendMedia(t, c, sandbox.MediaRequest{Kind: kind, Content: base64.StdEncoding.EncodeToString(want), Caption: "see"})
		got, err := c.Download(ctx, filePart(evt.Message))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, %v", kind, got, err)
		}
		if evt.Info.Type != "media" {
			t.Errorf("%s: its type is %q", kind, evt.Info.Type)
		}
	}
	evt := n.sendMedia(t, c, sandbox.MediaRequest{Kind: "image"})
	got, err := c.Download(ctx, evt.Message.GetImageMessage())
	if err != nil || http.DetectContentType(got) != "image/jpeg" {
		t.Errorf("what was made up is %s, %v", http.DetectContentType(got), err)
	}
	// by path alone, as after a media retry
	image := evt.Message.GetImageMessage()
	image.URL = nil
	if again, err := c.Download(ctx, image); err != nil || !bytes.Equal(again, got) {
		t.Errorf("by path: %v", err)
	}
	n.mustObey(t)
}

// TestLargeMedia: 100 MB pass through without being held in memory.
func TestLargeMedia(t *testing.T) {
	n := startNetwork(t, sandbox.Options{DataDir: t.TempDir()})
	c := newClient(t, n)
	c.pair(n, bot)
	const size = 100 << 20
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	evt := n.sendMedia(t, c, sandbox.MediaRequest{Kind: "document", Size: size, FileName: "large.bin"})
	f, err := os.Create(filepath.Join(t.TempDir(), "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err = c.DownloadToFile(context.Background(), evt.Message.GetDocumentMessage(), f); err != nil {
		t.Fatal(err)
	}
	file, err := n.Media(context.Background(), evt.Info.ID, contact)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if count, err := io.Copy(sum, file); err != nil || count != size {
		t.Errorf("read %d bytes, %v", count, err)
	}
	_ = file.Close()
	if !bytes.Equal(sum.Sum(nil), evt.Message.GetDocumentMessage().GetFileSHA256()) {
		t.Error("the phone shows another file")
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > size/2 {
		t.Errorf("%d MB were allocated on the way", used>>20)
	}
	n.mustObey(t)
}

func TestUpload(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir})
	c := newClient(t, n)
	c.pair(n, bot)
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "hi"})
	ctx := context.Background()
	want := bytes.Repeat([]byte("a large picture "), 10_000)
	up, err := c.Upload(ctx, want, whatsmeow.MediaImage)
	if err != nil {
		t.Fatal(err)
	}
	message := &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
		URL: &up.URL, DirectPath: &up.DirectPath, MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256,
		FileSHA256: up.FileSHA256, FileLength: &up.FileLength, Mimetype: proto.String("image/png"),
	}}
	sent, err := c.SendMessage(ctx, pn(contact), message)
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	n.stop()
	n = startNetwork(t, sandbox.Options{DataDir: dir})
	answer, err := http.Get(n.http.URL + "/sandbox/messages/" + sent.ID + "/media?number=" + contact)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || !bytes.Equal(got, want) || answer.Header.Get("Content-Type") != "image/png" {
		t.Errorf("the phone shows %d bytes of %s, %v", len(got), answer.Header.Get("Content-Type"), err)
	}
	n.mustObey(t)

	c.open(n)
	c.connect()
	wait[*events.Connected](c, nil)
	message.ImageMessage.FileSHA256 = up.FileEncSHA256
	if sent, err = c.SendMessage(ctx, pn(contact), message); err != nil {
		t.Fatal(err)
	}
	if _, err = n.Media(ctx, sent.ID, ""); sandbox.KindOf(err) != sandbox.Conflict {
		t.Errorf("a file with a wrong hash: %v", err)
	}
	if list, _ := n.Violations(ctx); len(list) != 1 || list[0].Kind != sandbox.ViolationBadMedia {
		t.Errorf("violations %+v", list)
	}
}

func TestUploadRefusals(t *testing.T) {
	n, c := startPaired(t)
	ctx := context.Background()
	if _, err := n.SetFault(ctx, sandbox.FaultRequest{Kind: sandbox.FaultUpload, Code: 500, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upload(ctx, []byte("x"), whatsmeow.MediaImage); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("with a fault: %v", err)
	}
	up, err := c.Upload(ctx, []byte("x"), whatsmeow.MediaImage)
	if err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{
		"/mms/image/AAAA?auth=nobody":              http.StatusUnauthorized,
		"/mms/image/AAAA":                          http.StatusUnauthorized,
		"/v/t62.7118-24/0_n.enc":                   http.StatusNotFound,
		up.DirectPath + "&hash=AAAA":               http.StatusForbidden,
		"/v/t62.7118-24/..%2f..%2fsandbox.db_n.en": http.StatusNotFound,
	} {
		method := http.MethodGet
		if strings.HasPrefix(path, "/mms") {
			method = http.MethodPost
		}
		if got := call(t, method, n.http.URL+path, "x", nil); got != status {
			t.Errorf("%s %s: %d, not %d", method, path, got, status)
		}
	}
	n.mustObey(t)
}

func TestMediaFaults(t *testing.T) {
	n, c := startPaired(t)
	ctx := context.Background()
	image := n.sendMedia(t, c, sandbox.MediaRequest{Kind: "image"}).Message.GetImageMessage()
	for _, code := range []int{404, 500} {
		fault := sandbox.FaultRequest{Kind: sandbox.FaultMedia, Code: code, Number: contact}
		if _, err := n.SetFault(ctx, fault); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond) // the client tries for 10 s after a 500
		_, err := c.Download(short, image)
		cancel()
		var status whatsmeow.DownloadHTTPError
		if code == 404 && (!errors.As(err, &status) || status.StatusCode != code) || err == nil {
			t.Errorf("%d: got %v", code, err)
		}
		if _, err = n.SetFault(ctx, sandbox.FaultRequest{Kind: sandbox.FaultClear}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.SetFault(ctx, sandbox.FaultRequest{Kind: sandbox.FaultMedia, Ms: 150}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := c.Download(ctx, image); err != nil || time.Since(start) < 150*time.Millisecond {
		t.Errorf("slow: %v after %s", err, time.Since(start))
	}
	n.mustObey(t)
}

func TestMediaRetry(t *testing.T) {
	n, c := startPaired(t)
	ctx := context.Background()
	for _, test := range []struct {
		answer sandbox.RetryAnswer
		result waMmsRetry.MediaRetryNotification_ResultType
	}{
		{"", waMmsRetry.MediaRetryNotification_SUCCESS},
		{sandbox.RetryNotFound, waMmsRetry.MediaRetryNotification_NOT_FOUND},
		{sandbox.RetryError, waMmsRetry.MediaRetryNotification_GENERAL_ERROR},
	} {
		evt := n.sendMedia(t, c, sandbox.MediaRequest{Kind: "image"})
		image := evt.Message.GetImageMessage()
		body := fmt.Sprintf(`{"code":404,"answer":%q}`, test.answer)
		if status := call(t, "POST", n.http.URL+"/sandbox/messages/"+evt.Info.ID+"/expire", body, nil); status != 200 {
			t.Fatalf("expire: %d", status)
		}
		if _, err := c.Download(ctx, image); !errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith404) {
			t.Errorf("download: %v", err)
		}
		if err := c.SendMediaRetryReceipt(ctx, &evt.Info, image.MediaKey); err != nil {
			t.Fatal(err)
		}
		retry := wait(c, func(r *events.MediaRetry) bool { return r.MessageID == evt.Info.ID })
		result, err := whatsmeow.DecryptMediaRetryNotification(retry, image.MediaKey)
		if err != nil || result.GetResult() != test.result || retry.ChatID != evt.Info.Chat {
			t.Fatalf("got %v, %v", result, err)
		}
		if test.result != waMmsRetry.MediaRetryNotification_SUCCESS {
			continue
		}
		image.URL, image.DirectPath = nil, result.DirectPath
		if got, err := c.Download(ctx, image); err != nil || len(got) == 0 {
			t.Errorf("after the retry: %v", err)
		}
	}
	info := n.sendMedia(t, c, sandbox.MediaRequest{Kind: "image"}).Info
	info.ID = "UNKNOWN"
	if err := c.SendMediaRetryReceipt(ctx, &info, make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	retry := wait[*events.MediaRetry](c, nil)
	if _, err := whatsmeow.DecryptMediaRetryNotification(retry, make([]byte, 32)); !errors.Is(err, whatsmeow.ErrMediaNotAvailableOnPhone) {
		t.Errorf("an unknown message: %v", err)
	}
	n.mustObey(t)
}

// TestMediaLimit: the oldest files go first, and their bytes with them.
func TestMediaLimit(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir, MediaLimit: 10_000})
	ctx := context.Background()
	for i := range 5 {
		_, err := n.SendMedia(ctx, sandbox.MediaRequest{
			From: contact, To: bot, Kind: "document", Size: 4000, ID: fmt.Sprint("M", i),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if file, err := n.Media(ctx, "M4", ""); err != nil {
		t.Errorf("the newest: %v", err)
	} else {
		_ = file.Close()
	}
	if _, err := n.Media(ctx, "M0", ""); sandbox.KindOf(err) != sandbox.Conflict {
		t.Errorf("the oldest: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "media", "left-behind"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.stop()
	n = startNetwork(t, sandbox.Options{DataDir: dir})
	entries, err := os.ReadDir(filepath.Join(dir, "media"))
	if err != nil || len(entries) != 2 {
		t.Errorf("%d files are left, %v", len(entries), err)
	}
	if file, err := n.Media(ctx, "M4", ""); err != nil {
		t.Errorf("after a restart: %v", err)
	} else {
		_ = file.Close()
	}
}
