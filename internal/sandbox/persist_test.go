package sandbox_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"pombo/internal/sandbox"
)

// childDir tells the test binary to be a sandbox on this data folder, at the address in childAddr.
const (
	childDir  = "POMBO_SANDBOX_TEST_DIR"
	childAddr = "POMBO_SANDBOX_TEST_ADDR"
)

func runChild(dir string) {
	s, err := sandbox.New(sandbox.Options{DataDir: dir, RootKeySeed: rootSeed})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", os.Getenv(childAddr))
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/sandbox/", s.Control())
	mux.Handle("/", s.Network())
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, mux))
}

// child is a sandbox in a process of its own, which can be killed.
type child struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
}

func startChild(t *testing.T) *child {
	t.Helper()
	c := &child{t: t, dir: t.TempDir(), addr: "127.0.0.1:0"}
	c.start()
	t.Cleanup(c.kill)
	return c
}

func (c *child) start() {
	c.t.Helper()
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), childDir+"="+c.dir, childAddr+"="+c.addr)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err = c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	c.addr = strings.TrimSpace(line)
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// call calls a control route; into may be nil. It returns the status.
func call(t *testing.T, method, url, body string, into any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0
	}
	if into != nil {
		if err = json.NewDecoder(bytes.NewReader(raw)).Decode(into); err != nil {
			t.Fatalf("%s %s: %s: %v", method, url, raw, err)
		}
	}
	return answer.StatusCode
}

func TestSurvivesKill(t *testing.T) {
	server := startChild(t)
	c := newClient(t, &network{addr: server.addr})
	c.InitialAutoReconnect = true
	url := "http://" + server.addr + "/sandbox"
	c.connect()
	qr := wait[*events.QR](c, nil)
	if status := call(t, "POST", url+"/scan", fmt.Sprintf(`{"code":%q,"number":%q}`, qr.Codes[0], bot), nil); status != 200 {
		t.Fatalf("scan: %d", status)
	}
	wait[*events.Connected](c, nil)

	var group sandbox.GroupView
	body := fmt.Sprintf(`{"from":"5511900000100","subject":"Team","participants":["5511900000101","5511900000102",%q]}`, bot)
	if status := call(t, "POST", url+"/groups", body, &group); status != http.StatusCreated {
		t.Fatalf("group: %d", status)
	}

	got := c.count()
	sent := map[string]bool{} // what the sandbox said it kept
	for round := range 4 {
		results := make(chan sandbox.SendResult, 8)
		for i := range cap(results) {
			go func() {
				var result sandbox.SendResult
				body := fmt.Sprintf(`{"from":"551190000010%d","to":%q,"text":"m","count":50}`, i%3, []string{bot, group.JID}[i%2])
				if call(t, "POST", url+"/messages", body, &result) != http.StatusCreated {
					result = sandbox.SendResult{}
				}
				results <- result
			}()
		}
		// a part is on its way: the kill comes between writing, sending and confirming
		before := got.total()
		eventually(t, "some messages came", func() bool { return got.total() > before+20*round })
		server.kill()
		for range cap(results) {
			for _, id := range (<-results).IDs {
				sent[id] = true
			}
		}
		server.start()
		wait[*events.Connected](c, nil)
	}
	eventually(t, "all messages came", func() bool { return got.missing(sent) == 0 })
	got.mustBeOnce(t)
	resp := c.sendText(pn("5511900000100"), "I'm still here")
	wait(c, func(r *events.Receipt) bool {
		return r.MessageIDs[0] == resp.ID && r.Type == types.ReceiptTypeDelivered
	})
	server.kill()
	server.start()
	var received []sandbox.Message
	call(t, "GET", url+"/messages?number=5511900000100", "", &received)
	received = slices.DeleteFunc(received, func(m sandbox.Message) bool { return m.To == group.JID })
	if len(received) != 1 || received[0].ID != resp.ID {
		t.Errorf("the contact got %+v", received)
	}
	var violations []sandbox.Violation
	call(t, "GET", url+"/violations", "", &violations)
	if len(violations) > 0 {
		t.Errorf("violations: %+v", violations)
	}
}

// counter counts the messages that a client's handler saw.
type counter struct {
	mu     sync.Mutex
	times  map[string]int
	broken []string
}

// count starts counting the messages that the client's handler sees.
func (c *client) count() *counter {
	k := &counter{times: map[string]int{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = func(evt any) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		switch evt := evt.(type) {
		case *events.Message:
			// a stanza that brings a sender key makes two events: one of the key, one of the message
			if evt.RawMessage.GetSenderKeyDistributionMessage() == nil || evt.Message.GetConversation() != "" {
				k.times[evt.Info.ID]++
			}
		case *events.UndecryptableMessage:
			k.broken = append(k.broken, evt.Info.ID)
		}
		return false
	}
	return k
}

func (k *counter) total() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.times)
}

func (k *counter) missing(sent map[string]bool) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	count := 0
	for id := range sent {
		if k.times[id] == 0 {
			count++
		}
	}
	return count
}

func (k *counter) mustBeOnce(t *testing.T) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range k.broken {
		t.Errorf("%s could not be decrypted", id)
	}
	for id, times := range k.times {
		if times != 1 {
			t.Errorf("%s came %d times", id, times)
		}
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	n := startNetwork(t, sandbox.Options{DataDir: dir})
	c := newClient(t, n)
	c.pair(n, bot)
	if _, err := sandbox.New(sandbox.Options{DataDir: dir}); err == nil {
		t.Error("two sandboxes share a data folder")
	}
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "one"})
	wait[*events.Message](c, nil)
	eventually(t, "one is confirmed", func() bool { return len(n.confirmed(t, bot)) == 1 })
	c.close()
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "two", PushName: "Ana"})
	n.stop()

	n = startNetwork(t, sandbox.Options{DataDir: dir})
	c.open(n)
	c.connect()
	evt := wait[*events.Message](c, nil)
	if evt.Message.GetConversation() != "two" || evt.Info.PushName != "Ana" {
		t.Errorf("got %q from %s", evt.Message.GetConversation(), evt.Info.PushName)
	}
	c.sendText(pn(contact), "three")
	n.send(t, sandbox.SendRequest{From: contact, To: bot, Text: "four"})
	wait(c, func(m *events.Message) bool { return m.Message.GetConversation() == "four" })
	eventually(t, "three messages are confirmed", func() bool { return len(n.confirmed(t, bot)) == 3 })
	n.mustObey(t)
}
