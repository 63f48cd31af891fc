package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pombo/internal/pombotest"
)

var (
	killFor  = flag.Duration("kill.for", 5*time.Second, "how long TestKill goes on killing")
	killSeed = flag.Uint64("kill.seed", 0, "seed of TestKill's choices; 0: a new one")
)

// serverEnv makes this test binary behave as the program itself, so that tests
// can kill the real thing.
const serverEnv = "POMBO_TEST_RUN_AS_PROGRAM"

// stopEnv says how long the program under test may take to stop.
const stopEnv = "POMBO_TEST_STOP"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		if file := os.Getenv(statsEnv); file != "" {
			serveStats(file)
		}
		if file := os.Getenv(stepsEnv); file != "" {
			faults.Store = killAtStep(file)
		}
		if limit, err := time.ParseDuration(os.Getenv(stopEnv)); err == nil {
			shutdownPatience = limit
		}
		main()
		return
	}
	shutdownPatience = patience
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

// seeded makes the choices of a test, and tells how to repeat them with the flag.
func seeded(t testing.TB, seed uint64, name string) *rand.Rand {
	t.Helper()
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (repeat with -%s)", seed, name)
	return rand.New(rand.NewPCG(seed, 0))
}

const phone = "5511988880000" // is paired in these tests

// patience is how long tests wait for what must come: longer than any machine takes.
const patience = 4 * time.Minute

// moody is a receiver's answer that fails now and then and, while it is told to,
// most of the time.
func moody(failing *atomic.Bool) func(int, pombotest.Post) int {
	return func(n int, _ pombotest.Post) int {
		if failing.Load() && n%3 != 0 || n%17 == 0 {
			return 503
		}
		return 200
	}
}

// TestKill is the promise: whatever is killed when, and whatever the endpoints
// answer, every message reaches the instance's webhook and the global one, in
// order within its chat; tries of one delivery are the same to the byte; and what
// the gateway said that it sent has been received, and told.
func TestKill(t *testing.T) {
	rng := seeded(t, *killSeed, "kill.seed")
	network := pombotest.NewSandbox(t)
	own, global := pombotest.NewReceiver(t), pombotest.NewReceiver(t)
	server := program(t, network, "WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=0.05", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=0.5",
		"WEBHOOK_GLOBAL_ENABLED=true", "WEBHOOK_GLOBAL_URL="+global.URL+"/global")
	server.Start()
	pombotest.Pair(t, server.Client, network.Server, "kill", phone, "")
	server.Must("POST", "/webhook/set/kill", map[string]any{"enabled": true, "url": own.URL + "/own", "webhookByEvents": true}, nil)
	traffic := pombotest.NewTraffic(network, "kill", phone, 10)
	ledgers := []*pombotest.Ledger{pombotest.NewLedger(traffic, own), pombotest.NewLedger(traffic, global)}

	var failing [2]atomic.Bool
	own.Answer(moody(&failing[0]))
	global.Answer(moody(&failing[1]))
	answering := traffic.Answering(t, server.Client, 5*time.Millisecond)
	kills := 0
	for end := time.Now().Add(*killFor); time.Now().Before(end); kills++ {
		traffic.Write(t, 8)
		for i := range failing {
			failing[i].Store(rng.IntN(3) == 0)
		}
		<-time.After(time.Duration(rng.Int64N(int64(700 * time.Millisecond)))) // the moment of the kill is the subject
		server.Kill()
		server.Start()
	}
	for i := range failing {
		failing[i].Store(false)
	}
	pombotest.WaitState(t, server.Client, "kill", "open")
	sent := answerOnce(t, traffic, server) + answering()
	t.Logf("%d kills, %d messages from contacts and %d to them", kills, traffic.Sent(), sent)
	for _, l := range ledgers {
		l.Check(t)
	}
	checkPaths(t, own, global)
	if kills == 0 {
		t.Error("there was no kill")
	}
}

// answerOnce sends a text, however long that takes after a start, and returns how
// many that were: on a machine that has no time, none may have been sent between kills.
func answerOnce(t *testing.T, traffic *pombotest.Traffic, server *pombotest.Process) int {
	t.Helper()
	pombotest.Eventually(t, patience, "a text to be sent", func() bool {
		_, sent := traffic.Answer(t, server.Client, 0)
		return sent
	})
	return 1
}

// checkPaths checks where the two webhooks were posted to.
func checkPaths(t *testing.T, own, global *pombotest.Receiver) {
	t.Helper()
	for _, p := range own.Posts() {
		if want := "/own/" + strings.ReplaceAll(p.Event, ".", "-"); p.Path != want {
			t.Errorf("%s was posted to %s, not %s", p.Event, p.Path, want)
			break
		}
	}
	for _, p := range global.Posts() {
		if p.Path != "/global" {
			t.Errorf("%s was posted to %s, not /global", p.Event, p.Path)
			break
		}
	}
}
