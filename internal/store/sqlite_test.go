package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
	"pombo/internal/store"
)

func TestSQLiteFileErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	must(t, os.WriteFile(text, []byte("this is a text of more than a hundred bytes, not a database, and long enough to have a header's length: "+strings.Repeat("x", 100)), 0o600))
	short := filepath.Join(dir, "short.db")
	must(t, os.WriteFile(short, []byte("SQL"), 0o600))
	garbage := filepath.Join(dir, "garbage.db")
	must(t, os.WriteFile(garbage, append([]byte("SQLite format 3\x00"), make([]byte, 4000)...), 0o600))
	for path, want := range map[string]string{
		text:                                 "not an SQLite database: move it away",
		short:                                "not an SQLite database: move it away",
		garbage:                              "not an SQLite database: move it away",
		filepath.Join(text, "pombo.db"):      "make it writable",
		filepath.Join(dir, "d", "\x00", "p"): "make it writable",
	} {
		_, err := store.Open(within(t), store.Options{URI: "sqlite:" + path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("opening %q: %v", path, err)
		}
	}
	if got, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(got), "this is a text") {
		t.Error("a file that is no database was changed")
	}
	if os.Getuid() != 0 { // root writes everywhere
		locked := filepath.Join(dir, "locked")
		must(t, os.Mkdir(locked, 0o500))
		_, err := store.Open(within(t), store.Options{URI: "sqlite:" + filepath.Join(locked, "pombo.db")})
		if err == nil || !strings.Contains(err.Error(), "make it writable") {
			t.Errorf("opening in a folder that cannot be written: %v", err)
		}
	}
}

// The file holds keys: nobody else may read it. Odd characters in its path mean
// nothing.
func TestSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder", "50% off? #1 & more", "pombo.db")
	s := open(t, store.Options{URI: "sqlite://" + path})
	i, _ := hooked(t, s, "i")
	must(t, s.Append(within(t), event(i, "a")))
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path+suffix, info.Mode())
		}
	}
}

func TestSQLiteSettings(t *testing.T) {
	s := open(t, store.Options{URI: newFile(t)})
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "wal_autocheckpoint": "0", "busy_timeout": "5000",
	} {
		var got string
		must(t, s.Writes().QueryRowContext(within(t), "PRAGMA "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
	if _, err := s.Reads().ExecContext(within(t), `DELETE FROM pombo_meta`); err == nil {
		t.Error("a reading connection can write")
	}
	if n := s.Writes().Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d writing connections", n)
	}
}

// The questions that dispatch asks all the time are range scans of an index,
// without sorting.
func TestSQLitePlans(t *testing.T) {
	s := open(t, store.Options{URI: newFile(t)})
	for query, want := range map[string]string{
		s.Form(store.PendingQuery): "SEARCH d USING INDEX pombo_delivery_pending (webhook_id=? AND <expr>>?)",
		s.Form(store.LaneQuery):    "SEARCH d USING INDEX pombo_delivery_lane (webhook_id=? AND instance_id=? AND chat=? AND <expr>>?)",
		s.Form(store.ParkedQuery):  "SEARCH d USING INDEX pombo_delivery_parked (webhook_id=?)",
		s.SettleQuery(16):          "SEARCH d USING INTEGER PRIMARY KEY (rowid=?)",
	} {
		text := planOf(t, s, query)
		if !strings.Contains(text, want) || strings.Contains(text, "TEMP B-TREE") || strings.Contains(text, "SCAN d") || strings.Contains(text, "SCAN e") {
			t.Errorf("plan:\n%s\nwant %s", text, want)
		}
	}
}

func planOf(t *testing.T, s *store.Store, query string) string {
	t.Helper()
	args := make([]any, strings.Count(query, "?"))
	rows, err := s.Writes().QueryContext(within(t), "EXPLAIN QUERY PLAN "+query, args...)
	must(t, err)
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		must(t, rows.Scan(&id, &parent, &unused, &detail))
		plan = append(plan, detail)
	}
	must(t, rows.Err())
	return strings.Join(plan, "\n")
}

// A disk that is full refuses appends and loses nothing; with room, all goes on.
func TestSQLiteFull(t *testing.T) {
	var reported atomic.Int32
	uri := newFile(t)
	s := open(t, store.Options{URI: uri, OnAppend: func(ds []pombo.Delivery) { reported.Add(int32(len(ds))) }})
	i, w := hooked(t, s, "i")
	ctx := within(t)
	pragma := func(what string) {
		t.Helper()
		_, err := s.Writes().ExecContext(ctx, "PRAGMA "+what)
		must(t, err)
	}
	var pages int
	must(t, s.Writes().QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages))
	pragma(fmt.Sprintf("max_page_count = %d", pages+10))
	checkFull(t, s, i, w, &reported, func() { pragma("max_page_count = 1000000") })
}

// The same on a file system that is full.
func TestSQLiteFullDisk(t *testing.T) {
	dir := smallDisk(t, 2<<20)
	var reported atomic.Int32
	s := open(t, store.Options{URI: "sqlite:" + filepath.Join(dir, "pombo.db"), OnAppend: func(ds []pombo.Delivery) { reported.Add(int32(len(ds))) }})
	i, w := hooked(t, s, "i")
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	checkFull(t, s, i, w, &reported, func() { must(t, os.Remove(ballast)) })
}

// fill writes a file until the disk has no room for it.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	for size := 64 << 10; size >= 512; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	must(t, f.Close())
}

func checkFull(t *testing.T, s *store.Store, i pombo.Instance, w pombo.Webhook, reported *atomic.Int32, makeRoom func()) {
	t.Helper()
	ctx := within(t)
	acked := map[string]bool{}
	var failed []string
	var wg sync.WaitGroup
	var mu sync.Mutex
	for g := range 4 {
		wg.Go(func() {
			for n := range 2000 {
				key := fmt.Sprintf("%d/%d", g, n)
				err := s.Append(ctx, event(i, key), event(i, key+"+"))
				mu.Lock()
				if err == nil {
					acked[key], acked[key+"+"] = true, true
				} else {
					failed = append(failed, key)
					if !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("append on a full disk: %v", err)
					}
				}
				done := len(failed) > 20
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	wg.Wait()
	if len(failed) == 0 {
		t.Fatal("the disk never was full")
	}
	full := true
	check := func() {
		t.Helper()
		if int(reported.Load()) != len(acked) {
			t.Errorf("%d reported, %d acknowledged", reported.Load(), len(acked))
		}
		ds, err := s.Pending(ctx, w.ID, 0, 100000)
		if full && errors.Is(err, store.ErrUnavailable) {
			return // there was no room for rows that were left for later
		}
		must(t, err)
		if len(ds) != len(acked) {
			t.Errorf("%d stored, %d acknowledged", len(ds), len(acked))
		}
		for _, d := range ds {
			if !acked[d.Event.Key] {
				t.Errorf("%s is stored and was not acknowledged", d.Event.Key)
			}
		}
	}
	check()
	makeRoom()
	full = false
	for _, key := range failed {
		must(t, s.Append(ctx, event(i, key), event(i, key+"+")))
		acked[key], acked[key+"+"] = true, true
	}
	check()
	var sound string
	must(t, s.Reads().QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&sound))
	if sound != "ok" {
		t.Errorf("integrity check: %s", sound)
	}
}

// The write-ahead log begins anew when it is long; a reader that holds on to an
// old state only puts it off.
func TestSQLiteCheckpoint(t *testing.T) {
	uri := newFile(t)
	wal := strings.TrimPrefix(uri, "sqlite:") + "-wal"
	s := open(t, store.Options{URI: uri})
	i, w := hooked(t, s, "i")
	ctx := within(t)
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(wal)
		must(t, err)
		return info.Size()
	}
	n := 0
	write := func() {
		t.Helper()
		for range 50 {
			n++
			must(t, s.Append(ctx, event(i, fmt.Sprint(n))))
		}
	}
	write()
	reader, err := s.Reads().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	must(t, err)
	var count int
	must(t, reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM pombo_event`).Scan(&count))
	checkpoint := func() {
		t.Helper()
		_, err := s.Checkpoint(ctx, 0)
		must(t, err)
	}
	write()
	before := size()
	checkpoint()
	write()
	if grown := size(); before == 0 || grown <= before {
		t.Errorf("the log has %d bytes, had %d, while a reader needs it", grown, before)
	}
	must(t, reader.Rollback())
	// The store's own looks at the database can put it off, too.
	waitUntil(t, func() bool {
		before = size()
		checkpoint()
		write()
		return size() == before
	})
	write()
	ds, err := s.Pending(ctx, w.ID, 0, n+1)
	must(t, err)
	if len(ds) != n {
		t.Errorf("%d pending, want %d", len(ds), n)
	}
	var timeout int
	must(t, s.Writes().QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout))
	if timeout != 5000 {
		t.Errorf("busy timeout %d after a checkpoint", timeout)
	}
}

// A log that always has a writer begins anew as well, or it would grow for ever.
func TestSQLiteCheckpointUnderLoad(t *testing.T) {
	uri := newFile(t)
	s := open(t, store.Options{URI: uri})
	i, _ := hooked(t, s, "i")
	ctx := within(t)
	const writers, each, burst, limit = 4, 500, 50, 1 << 20
	// Someone always writes, but no one gets far ahead of a checkpoint that is slow:
	// how fast the log grows is not what this is about.
	room := make(chan struct{}, burst)
	var writing sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			for k := range each {
				select {
				case <-room:
				case <-ctx.Done():
				}
				if err := s.Append(ctx, event(i, fmt.Sprint(n, "-", k))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()
	for busy := true; busy; {
		select {
		case <-written:
			busy = false
		default:
		}
		length, err := s.Checkpoint(ctx, limit)
		must(t, err)
		more := burst
		if length >= limit {
			more = 1 // with it, the log may begin anew
		}
		for len(room) < more {
			room <- struct{}{}
		}
	}
	info, err := os.Stat(strings.TrimPrefix(uri, "sqlite:") + "-wal")
	must(t, err)
	if info.Size() > 8*limit {
		t.Errorf("the log has %d bytes, and was to begin anew from %d", info.Size(), limit)
	}
}

// The log's file is long while much is written, and short when nothing is.
func TestSQLiteLogIsCut(t *testing.T) {
	t.Parallel()
	uri := newFile(t)
	s := open(t, store.Options{URI: uri})
	i, _ := hooked(t, s, "i")
	size := func() int64 {
		info, err := os.Stat(strings.TrimPrefix(uri, "sqlite:") + "-wal")
		must(t, err)
		return info.Size()
	}
	e := event(i, "")
	e.Data = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
	for n := 0; size() <= store.WALLimit; n++ {
		e.Key = fmt.Sprint(n)
		must(t, s.Append(within(t), e))
	}
	waitUntil(t, func() bool { return size() <= store.WALLimit })
}

// A result is committed by itself within settleDelay, and not before: it waits
// for company.
func TestSettleDelay(t *testing.T) {
	uri := newFile(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(context.Background(), store.Options{URI: uri})
		must(t, err)
		defer func() { must(t, s.Close()) }()
		i, w := hooked(t, s, "i")
		must(t, s.Append(t.Context(), event(i, "a"), event(i, "b"), event(i, "c")))
		ds, err := s.Pending(t.Context(), w.ID, 0, 10)
		must(t, err)
		pending := func(want int) {
			t.Helper()
			synctest.Wait()
			left, err := s.Pending(t.Context(), w.ID, -1, 10) // from 0 on, it would not wait
			must(t, err)
			if len(left) != want {
				t.Fatalf("%d pending, want %d", len(left), want)
			}
		}
		settle := func(k int) {
			t.Helper()
			must(t, s.Settle(t.Context(), pombo.Attempt{Delivery: ds[k].ID, Number: 1, State: pombo.Delivered}))
		}
		settle(0)
		pending(3)
		<-time.After(store.SettleDelay - time.Millisecond)
		settle(1)
		pending(3)
		<-time.After(time.Millisecond)
		pending(1) // the second rides with the first
		settle(2)
		pending(1)
		must(t, s.Append(t.Context(), event(i, "d")))
		pending(1) // the third rode with the append
	})
}

const crashFile = "POMBO_TEST_CRASH_FILE"

// What was acknowledged to a process that is killed is there afterwards, in
// order, once.
func TestSQLiteKill(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	uri := newFile(t)
	acked := map[string]bool{}
	for round := range rounds {
		cmd := exec.CommandContext(within(t), os.Args[0])
		cmd.Env = append(os.Environ(), crashFile+"="+uri)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acked[lines.Text()] = true
			if n == 300+50*round {
				must(t, cmd.Process.Kill())
			}
		}
		must(t, lines.Err())
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
	}
	s := open(t, store.Options{URI: uri})
	ctx := within(t)
	all, err := s.Instances(ctx)
	must(t, err)
	w, ok, err := s.Webhook(ctx, all[0].ID)
	must(t, err)
	if !ok {
		t.Fatal("no webhook")
	}
	ds, err := s.Pending(ctx, w.ID, 0, 1_000_000)
	must(t, err)
	last := map[string]int{}
	seen := map[string]bool{}
	for _, d := range ds {
		if seen[d.Event.Key] {
			t.Errorf("%s is there twice", d.Event.Key)
		}
		seen[d.Event.Key] = true
		chat, n := "", 0
		if _, err := fmt.Sscanf(d.Event.Key, "%s %d", &chat, &n); err != nil {
			t.Fatal(err)
		}
		if n <= last[chat] {
			t.Errorf("%s comes after %d", d.Event.Key, last[chat])
		}
		last[chat] = n
	}
	for key := range acked {
		if !seen[key] {
			t.Errorf("%s was acknowledged and is lost", key)
		}
	}
	t.Logf("%d acknowledged, %d stored, %d kills", len(acked), len(ds), rounds)
}

// appendUntilKilled is the child: it goes on where the last one was killed.
func appendUntilKilled(uri string) {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "the process to be killed:", err)
			os.Exit(1)
		}
	}
	s, err := store.Open(ctx, store.Options{URI: uri})
	fail(err)
	i := pombo.Instance{ID: "i", Name: "i"}
	fail(s.CreateInstance(ctx, i, &pombo.Webhook{URL: "http://x", Enabled: true}))
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := int(time.Now().UnixNano() / 1000) // ascends from process to process
	for g := range 8 {
		wg.Go(func() {
			for n := start; ; n++ {
				key := fmt.Sprintf("%d %d", g, n)
				fail(s.Append(ctx, event(i, key)))
				mu.Lock()
				fmt.Println(key)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
