package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

var (
	soakFor  = flag.Duration("soak.for", 5*time.Second, "how long TestSoak keeps the gateway busy")
	soakSeed = flag.Uint64("soak.seed", 0, "seed of TestSoak's choices; 0: a new one")
)

// statsEnv names a file into which the program under test writes the address at
// which it tells about itself.
const statsEnv = "POMBO_TEST_STATS"

// stats is what must not grow while a gateway works.
type stats struct {
	Goroutines int
	HeapMB     float64 // of what is in use after a collection
	ResidentMB float64 // 0 where the system does not tell
	Files      int     // open ones
}

// serveStats answers each request with the process's stats.
func serveStats(file string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(file, []byte("http://"+l.Addr().String()), 0o600); err != nil {
		panic(err)
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			runtime.GC()
			runtime.GC() // what a finalizer let go of
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			_ = json.NewEncoder(w).Encode(stats{Goroutines: runtime.NumGoroutine(), HeapMB: float64(m.HeapAlloc) / 1e6})
		}))
	}()
}

// soak is a gateway in a process of its own, which is kept busy.
type soak struct {
	*testing.T
	rng      *rand.Rand
	network  *pombotest.Sandbox
	receiver *pombotest.Receiver
	server   *pombotest.Process
	traffic  *pombotest.Traffic
	ledger   *pombotest.Ledger
	failing  atomic.Bool
	stats    string // its URL
	cycles   int
}

// TestSoak keeps a gateway busy with all that it does, trouble included, and
// checks between the spells of work that it holds no more than before: goroutines,
// memory, open files. What came is checked as in TestKill.
func TestSoak(t *testing.T) {
	s := &soak{T: t, rng: seeded(t, *soakSeed, "soak.seed"), network: pombotest.NewSandbox(t), receiver: pombotest.NewReceiver(t)}
	file := filepath.Join(t.TempDir(), "stats")
	s.server = program(t, s.network, statsEnv+"="+file,
		"WEBHOOK_RETRY_INITIAL_DELAY_SECONDS=0.05", "WEBHOOK_RETRY_MAX_DELAY_SECONDS=0.5")
	s.server.Start()
	url, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.stats = string(url)
	pombotest.Pair(t, s.server.Client, s.network.Server, "soak", phone, s.receiver.URL)
	s.traffic = pombotest.NewTraffic(s.network, "soak", phone, 10)
	s.ledger = pombotest.NewLedger(s.traffic, s.receiver)
	s.receiver.Answer(moody(&s.failing))

	for range 2 { // fills pools and caches
		s.cycle()
	}
	before := s.settled(stats{})
	t.Logf("at first %+v, %.1f MB on the disk", before, s.diskMB())
	for end := time.Now().Add(*soakFor); time.Now().Before(end); {
		s.cycle()
	}
	after := s.settled(before)
	s.ledger.Check(t)
	t.Logf("after %d cycles and %d messages %+v, %.1f MB on the disk", s.cycles, s.traffic.Sent(), after, s.diskMB())
	if grown := before.grown(after); grown != "" {
		t.Errorf("the gateway holds more than before: %s", grown)
	}
}

// cycle is a spell of work.
func (s *soak) cycle() {
	s.Helper()
	s.cycles++
	s.failing.Store(s.rng.IntN(3) == 0)
	stop := s.traffic.Answering(s, s.server.Client, 5*time.Millisecond)
	s.traffic.Write(s, 10)
	switch s.rng.IntN(5) {
	case 0:
		s.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop})
	case 1:
		s.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultLatency, Ms: 20, Count: 20})
	case 2:
		s.server.Must("POST", "/instance/restart/soak", nil, nil)
	case 3:
		s.churn()
	case 4:
		s.server.Must("POST", "/webhook/set/soak", map[string]any{"enabled": true, "url": s.receiver.URL}, nil)
	}
	s.traffic.Write(s, 10)
	stop()
	s.failing.Store(false)
	s.ledger.Await(s)
	pombotest.WaitState(s, s.server.Client, "soak", "open")
}

// churn makes another instance, uses it and deletes it.
func (s *soak) churn() {
	s.Helper()
	name, number := fmt.Sprint("churn", s.cycles), fmt.Sprintf("55119666%05d", s.cycles)
	pombotest.Pair(s, s.server.Client, s.network.Server, name, number, s.receiver.URL+"/churn")
	s.network.Write(contact, number, "hello")
	s.server.SendText(name, contact, "hello yourself")
	s.server.Must("DELETE", "/instance/delete/"+name, nil, nil)
}

// How long connections and timers may take to end by themselves: at first, when what
// is counted too early is only compared with, and at last.
const (
	settleFirst = 3 * time.Second
	settleLast  = 3 * time.Minute
)

// settled returns the stats when nothing is going on any more: it waits until they
// are no more than before, as long as that takes within reason.
func (s *soak) settled(before stats) (now stats) {
	s.Helper()
	patience := settleLast
	if before == (stats{}) {
		patience = settleFirst
	}
	for end := time.Now().Add(patience); ; {
		now = s.look()
		if time.Now().After(end) || before != (stats{}) && before.grown(now) == "" {
			return now
		}
		<-time.After(200 * time.Millisecond)
	}
}

// look asks the gateway's process, and the system, what it holds.
func (s *soak) look() (now stats) {
	s.Helper()
	resp, err := http.Get(s.stats)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&now); err != nil {
		s.Fatal(err)
	}
	proc := fmt.Sprintf("/proc/%d/", s.server.PID())
	if files, err := os.ReadDir(proc + "fd"); err == nil {
		now.Files = len(files)
	}
	if status, err := os.ReadFile(proc + "status"); err == nil {
		for line := range strings.Lines(string(status)) {
			var kib float64
			if n, _ := fmt.Sscanf(line, "VmRSS: %g kB", &kib); n == 1 {
				now.ResidentMB = kib * 1024 / 1e6
			}
		}
	}
	return now
}

// grown tells what is more than before by more than chance: up to 16 connections to the
// webhook that are kept open for a while, with two goroutines each, and memory that
// the runtime has not given back yet.
func (before stats) grown(now stats) string {
	var out []string
	for _, c := range []struct {
		what        string
		before, now float64
		factor, add float64
	}{
		{"goroutines", float64(before.Goroutines), float64(now.Goroutines), 1.1, 40},
		{"open files", float64(before.Files), float64(now.Files), 1.1, 20},
		{"MB of heap", before.HeapMB, now.HeapMB, 1.3, 4},
		{"MB resident", before.ResidentMB, now.ResidentMB, 1.3, 30},
	} {
		if c.now > c.before*c.factor+c.add {
			out = append(out, fmt.Sprintf("%.0f %s, not %.0f", c.now, c.what, c.before))
		}
	}
	return strings.Join(out, ", ")
}

// diskMB is how large the database is.
func (s *soak) diskMB() float64 {
	var size int64
	for _, name := range []string{"pombo.db", "pombo.db-wal"} {
		if info, err := os.Stat(s.server.DataDir() + "/" + name); err == nil {
			size += info.Size()
		}
	}
	return float64(size) / 1e6
}
