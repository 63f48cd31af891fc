package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

var (
	killFor  = flag.Duration("kill.for", 8*time.Second, "how long TestKill goes on killing")
	killSeed = flag.Uint64("kill.seed", 0, "seed of TestKill's choices; 0: a new one")
)

// serverEnv makes this test binary behave as the program itself, so that tests
// can kill the real thing.
const serverEnv = "POMBO_TEST_RUN_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program prepares a gateway in a process of its own, on the given network.
func program(t testing.TB, network *pombotest.Sandbox, more ...string) *pombotest.Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := append([]string{serverEnv + "=1", "POMBO_DATA_DIR=" + t.TempDir()}, more...)
	return pombotest.NewProcess(t, exe, []string{"serve", "--whatsapp-url", network.URL}, env...)
}

// TestKill is the promise: whatever is killed when, and whatever the endpoint
// answers, every message reaches the webhook, in order within its chat, and
// repeats of a delivery carry the same webhook-id.
func TestKill(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (repeat with -kill.seed)", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	server := program(t, network, "WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=0.05", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=0.5")
	server.Start()
	const phone = "5511988880000"
	pombotest.Pair(t, server.Client, network.Server, "kill", phone, receiver.URL)

	var failing atomic.Bool // the receiver fails now and then, for a while
	receiver.Answer(func(n int, _ pombotest.Post) int {
		if failing.Load() && n%3 != 0 || n%17 == 0 {
			return 503
		}
		return 200
	})
	const chats = 20
	sent := 0
	kills := 0
	for end := time.Now().Add(*killFor); time.Now().Before(end); kills++ {
		for range 10 {
			for c := range chats {
				send(t, network, chat(c), phone, sent)
			}
			sent++
		}
		wait := time.Duration(rng.Int64N(int64(700 * time.Millisecond)))
		failing.Store(rng.IntN(3) == 0)
		time.Sleep(wait) // the moment of the kill is the test's subject
		server.Kill()
		server.Start()
	}
	failing.Store(false)
	t.Logf("%d kills, %d messages to each of %d chats", kills, sent, chats)
	receiver.Until(t, "every message", func(posts []pombotest.Post) bool {
		return len(messages(t, posts)) == sent*chats
	})
	checkOrder(t, receiver.Posts(), sent, chats)
	v, err := network.Violations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(v) > 0 {
		t.Errorf("the gateway broke the protocol: %+v", v)
	}
}

func chat(c int) string { return fmt.Sprintf("55119777%05d", c) }

func send(t *testing.T, s *pombotest.Sandbox, from, to string, n int) {
	t.Helper()
	if _, err := s.SendMessage(t.Context(), sandbox.SendRequest{From: from, To: to, Text: "message " + strconv.Itoa(n)}); err != nil {
		t.Fatal(err)
	}
}

// received is one message as the receiver took it.
type received struct {
	chat string
	n    int
}

var numbered = regexp.MustCompile(`message (\d+)`)

// messages returns the messages among the posts that were answered with a 2xx,
// each delivery once, in order of arrival.
func messages(t *testing.T, posts []pombotest.Post) []received {
	t.Helper()
	seen := map[string]bool{}
	var out []received
	for _, p := range posts {
		if p.Event != "messages.upsert" || p.Status != 200 || seen[p.ID()] {
			continue
		}
		seen[p.ID()] = true
		var d struct {
			Key struct{ RemoteJid string }
		}
		m := numbered.FindSubmatch(p.Data)
		if err := json.Unmarshal(p.Data, &d); err != nil || m == nil {
			t.Fatalf("this is no numbered message: %s", p.Data)
		}
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, received{d.Key.RemoteJid, n})
	}
	return out
}

// checkOrder checks that each chat's messages came in order and none twice
// under another webhook-id, and that tries of one message share their id.
func checkOrder(t *testing.T, posts []pombotest.Post, sent, chats int) {
	t.Helper()
	next := map[string]int{}
	for _, m := range messages(t, posts) {
		if m.n != next[m.chat] {
			t.Errorf("chat %s: message %d came when %d was due", m.chat, m.n, next[m.chat])
		}
		next[m.chat] = m.n + 1
	}
	if len(next) != chats {
		t.Errorf("%d chats came, not %d", len(next), chats)
	}
	for c, n := range next {
		if n != sent {
			t.Errorf("chat %s: %d messages came, not %d", c, n, sent)
		}
	}
}
