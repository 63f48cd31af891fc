package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// weigher receives webhooks without holding them, and tells the SHA-256 of the file
// in each that has one.
type weigher struct {
	sums chan string
	text chan string // of a post without a file
}

func (h *weigher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := bufio.NewReader(r.Body)
	before, found, err := skipTo(in, `"base64":"`)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	case !found:
		h.text <- before
		return
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, base64.NewDecoder(base64.StdEncoding, &untilQuote{in: in})); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	rest, err := io.ReadAll(in)
	if err != nil || !json.Valid([]byte(before+`"`+string(rest))) {
		http.Error(w, fmt.Sprintf("%v: %s…%s", err, before, rest), http.StatusInternalServerError)
		return
	}
	h.sums <- hex.EncodeToString(sum.Sum(nil))
}

// skipTo reads up to and with marker, and returns what it read; found is false if
// that was all there is.
func skipTo(in *bufio.Reader, marker string) (read string, found bool, err error) {
	var b strings.Builder
	for !strings.HasSuffix(b.String(), marker) {
		c, err := in.ReadByte()
		if err == io.EOF {
			return b.String(), false, nil
		} else if err != nil {
			return "", false, err
		}
		b.WriteByte(c)
	}
	return b.String(), true, nil
}

// untilQuote reads up to a quotation mark, which it takes.
type untilQuote struct {
	in   *bufio.Reader
	done bool
}

func (q *untilQuote) Read(p []byte) (int, error) {
	if q.done {
		return 0, io.EOF
	}
	chunk, err := q.in.Peek(min(len(p), max(q.in.Buffered(), 1)))
	if err != nil {
		return 0, err
	}
	if i := bytes.IndexByte(chunk, '"'); i >= 0 {
		q.done = true
		n := copy(p, chunk[:i])
		_, err = q.in.Discard(i + 1)
		return n, err
	}
	n := copy(p, chunk)
	_, err = q.in.Discard(n)
	return n, err
}

// peak returns the most memory that a process ever had at once, in MB; 0 where the
// system does not tell.
func peak(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %g kB", &kib); n == 1 {
			return kib * 1024 / 1e6
		}
	}
	return 0
}

// Several large files at once pass through a gateway that holds none of them in
// memory: on their way to a webhook, to who follows a link, and to who asks for them.
func TestLargeMedia(t *testing.T) {
	size, several := int64(100<<20), 3
	if pombotest.RaceDetector {
		size = 4 << 20
	}
	network := pombotest.NewSandbox(t)
	h := &weigher{sums: make(chan string, 16), text: make(chan string, 1024)}
	receiver := httptest.NewServer(h)
	t.Cleanup(receiver.Close)
	server := program(t, network, "POMBO_MEDIA_DEADLINE_SECONDS=600", "SERVER_URL=http://gateway.test")
	server.Start()
	pombotest.Pair(t, server.Client, network.Server, "large", phone, "")
	server.Must("POST", "/webhook/set/large", map[string]any{"webhook": map[string]any{
		"enabled": true, "url": receiver.URL, "events": []string{"MESSAGES_UPSERT"}, "base64": true,
	}}, nil)
	before := peak(t, server.PID())
	var last string
	for i := range several {
		sent, err := network.SendMedia(t.Context(), sandbox.MediaRequest{
			From: fmt.Sprintf("551197777100%d", i), To: phone, Kind: "document", Size: size, FileName: "large.bin",
		})
		if err != nil {
			t.Fatal(err)
		}
		last = sent.ID
	}
	var sum string
	for range several { // files that are made up are all the same
		select {
		case got := <-h.sums:
			if sum != "" && got != sum {
				t.Error("two files that are the same did not come so")
			}
			sum = got
		case text := <-h.text:
			t.Fatalf("an event without its file came: %s", text)
		case <-time.After(10 * time.Minute):
			t.Fatal("the files did not come")
		}
	}
	body := fmt.Sprintf(`{"message":{"key":{"id":%q}}}`, last)
	in := bufio.NewReader(ask(t, server, "/chat/getBase64FromMediaMessage/large", body))
	if _, found, err := skipTo(in, `"base64":"`); err != nil || !found {
		t.Fatalf("the answer has no file: %v", err)
	}
	asked := sha256.New()
	n, err := io.Copy(asked, base64.NewDecoder(base64.StdEncoding, &untilQuote{in: in}))
	if err != nil || n != size || hex.EncodeToString(asked.Sum(nil)) != sum {
		t.Errorf("asked for, the file has %d bytes, %v", n, err)
	}
	grown := peak(t, server.PID()) - before
	t.Logf("%d files of %d MB: the gateway's peak grew by %.0f MB from %.0f MB", several, size>>20, grown, before)
	if !pombotest.RaceDetector && grown > 64 {
		t.Errorf("the gateway took %.0f MB more for %d files of %d MB", grown, several, size>>20)
	}
}

// ask posts to a gateway and returns the answer's body, to be read as it comes.
func ask(t *testing.T, server *pombotest.Process, path, body string) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.Base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("apikey", server.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s answered %s", path, resp.Status)
	}
	return resp.Body
}

// A gateway that is killed while it fetches a file sends the event with its file when
// it is back.
func TestMediaAfterKill(t *testing.T) {
	network, receiver, server := paired(t, "kill")
	server.Must("POST", "/webhook/set/kill", map[string]any{"webhook": map[string]any{
		"enabled": true, "url": receiver.URL, "events": []string{"MESSAGES_UPSERT"}, "base64": true,
	}}, nil)
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultMedia, Ms: 60_000})
	content := base64.StdEncoding.EncodeToString([]byte("before and after"))
	file, err := network.SendMedia(t.Context(), sandbox.MediaRequest{From: contact, To: phone, Kind: "image", Content: content})
	if err != nil {
		t.Fatal(err)
	}
	// What comes later in another chat is told, so the file's event is stored.
	other := network.Write("5511977770003", phone, "in another chat")
	receiver.Wait(t, "messages.upsert", func(p pombotest.Post) bool { return p.Message().Key.ID == other })
	server.Kill()
	network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultClear})
	server.Start()
	post := receiver.Wait(t, "messages.upsert", func(p pombotest.Post) bool { return p.Message().Key.ID == file.ID })
	if !strings.Contains(string(post.Data), `"base64":"`+content+`"`) {
		t.Errorf("it came as %s", post.Data)
	}
	network.CheckRules(t)
}
