package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
	"pombo/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// world is a store and a WhatsApp.
type world struct {
	t   *testing.T
	dir string
	*Manager

	mu      sync.Mutex
	rows    map[string]pombo.Media
	needed  map[string]bool
	refuse  int           // how many updates fail
	fail    error         // what fetching gives
	gate    chan struct{} // if not nil, fetching does not end before this is closed
	fetched []string
	ready   []string // chats
	stop    func()
}

// in runs a test in a world with the files that are named, of 100 bytes each.
func in(t *testing.T, o Options, test func(w *world), ids ...string) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: dir, rows: map[string]pombo.Media{}, needed: map[string]bool{}}
		for _, id := range ids {
			w.add(id, 100)
		}
		w.start(o)
		defer w.stop()
		test(w)
	})
}

func (w *world) start(o Options) {
	o.Store, o.Fetch, o.Dir = w, w, w.dir
	o.Ready = func(lane pombo.Lane) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ready = append(w.ready, lane.Chat)
	}
	var err error
	if w.Manager, err = New(o); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	w.stop = func() { cancel(); <-done }
	synctest.Wait()
}

func (w *world) add(id string, size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows[id] = pombo.Media{ID: id, Message: "message of " + id, Size: size, At: time.Now()}
}

func (w *world) Media(_ context.Context, id string) (pombo.Media, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, ok := w.rows[id]
	return m, ok, nil
}

func (w *world) MediaOfMessage(context.Context, pombo.InstanceID, string) (pombo.Media, bool, error) {
	return pombo.Media{}, false, nil
}

func (w *world) UpdateMedia(_ context.Context, m pombo.Media) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse > 0 {
		w.refuse--
		return errors.New("the store is down")
	}
	w.rows[m.ID] = m
	return nil
}

func (w *world) ForgetMedia(_ context.Context, before time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.rows, func(id string, m pombo.Media) bool { return m.At.Before(before) && !w.needed[id] })
	return nil
}

func (w *world) KnownMedia(_ context.Context, ids []string) (map[string]bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := map[string]bool{}
	for _, id := range ids {
		if _, ok := w.rows[id]; ok {
			known[id] = w.needed[id]
		}
	}
	return known, nil
}

func (w *world) FetchMedia(ctx context.Context, m pombo.Media, into *os.File) (pombo.Media, error) {
	w.mu.Lock()
	w.fetched = append(w.fetched, m.ID)
	err, gate := w.fail, w.gate
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return m, ctx.Err()
		}
	}
	if err != nil {
		return m, err
	}
	_, err = into.WriteString(strings.Repeat("x", int(m.Size)))
	return m, err
}

// tries tells how often something was fetched, and told which chats were told that
// they wait no longer.
func (w *world) tries() (n int) { w.set(func() { n = len(w.fetched) }); return n }
func (w *world) told() (out []string) {
	w.set(func() { out = slices.Clone(w.ready) })
	return out
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// hold keeps fetches from ending until release is called: what is asked meanwhile is
// certain to be asked during the fetch.
func (w *world) hold() (release func()) {
	gate := make(chan struct{})
	w.set(func() { w.gate = gate })
	return func() { close(gate) }
}

// delivery is one that carries a file, in the chat of the same name.
func delivery(id string) pombo.Delivery {
	return pombo.Delivery{Event: pombo.Event{Chat: id, Attachment: pombo.Attachment{ID: id, Wanted: true}}}
}

// sent asks what a delivery carries: "file", "waiting", or why it has none.
func (w *world) sent(id string) string {
	w.t.Helper()
	path, size, missed, err := w.Sent(w.t.Context(), delivery(id))
	var waiting *Waiting
	switch {
	case errors.As(err, &waiting):
		return "waiting"
	case err != nil:
		w.t.Fatal(err)
	case missed != "":
		return missed
	}
	if info, err := os.Stat(path); err != nil || info.Size() != size {
		w.t.Errorf("the file of %s: %v", id, err)
	}
	return "file"
}

func (w *world) want(id, want string) {
	w.t.Helper()
	if got := w.sent(id); got != want {
		w.t.Errorf("%s: %s, want %s", id, got, want)
	}
}

// onDisk lists the files.
func (w *world) onDisk() string {
	w.t.Helper()
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

var errDown = pombo.Errorf(pombo.Unavailable, "the server answered 500")

func TestFetchedOnce(t *testing.T) {
	in(t, Options{}, func(w *world) {
		release := w.hold()
		w.Ahead([]pombo.Delivery{delivery("a"), delivery("a"), {}})
		for range 3 {
			w.want("a", "waiting")
		}
		opened := make(chan string)
		go func() {
			f, err := w.Open(w.t.Context(), "a")
			if err != nil {
				opened <- err.Error()
				return
			}
			defer f.Close()
			text, err := io.ReadAll(f)
			opened <- fmt.Sprint(len(text), err)
		}()
		synctest.Wait()
		select {
		case got := <-opened:
			t.Fatalf("the link gives %s during the fetch", got)
		default:
		}
		w.want("a", "waiting")
		if w.tries() != 1 || len(w.told()) != 0 {
			t.Errorf("during the fetch: %d tries, ready %v", w.tries(), w.told())
		}
		release()
		if got := <-opened; got != "100 <nil>" {
			t.Errorf("the link gives %s", got)
		}
		synctest.Wait()
		w.want("a", "file")
		if w.tries() != 1 || !slices.Equal(w.told(), []string{"a"}) {
			t.Errorf("%d tries, ready %v", w.tries(), w.told())
		}
	}, "a")
}

func TestDeadline(t *testing.T) {
	in(t, Options{Deadline: time.Minute}, func(w *world) {
		w.set(func() { w.fail = errDown })
		w.want("a", "waiting")
		time.Sleep(59 * time.Second)
		synctest.Wait()
		w.want("a", "waiting")
		if n := w.tries(); n < 5 || n > 20 || len(w.told()) != 0 {
			t.Errorf("%d tries, ready %v", n, w.told())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		const missed = "The file could not be fetched: the server answered 500"
		w.want("a", missed)
		if !slices.Equal(w.told(), []string{"a"}) {
			t.Errorf("ready %v", w.told())
		}
		// It stays so for deliveries, though the file can be had.
		w.set(func() { w.fail = nil })
		f, err := w.Open(w.t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		w.want("a", missed)
	}, "a")
}

// What is certain is not tried again.
func TestGone(t *testing.T) {
	in(t, Options{}, func(w *world) {
		w.set(func() { w.fail = pombo.Errorf(pombo.NotFound, "nobody has it") })
		w.want("a", "waiting")
		synctest.Wait()
		w.want("a", "The file could not be fetched: nobody has it")
		_, err := w.Open(w.t.Context(), "a")
		if pombo.KindOf(err) != pombo.NotFound {
			t.Errorf("its link: %v", err)
		}
		w.want("unknown", "The file is no longer kept.")
		if _, err := w.Open(w.t.Context(), "unknown"); pombo.KindOf(err) != pombo.NotFound {
			t.Errorf("the link of none: %v", err)
		}
		if w.tries() != 2 {
			t.Errorf("%d tries", w.tries())
		}
	}, "a")
}

// Why a file is missed is said once: a job that was begun before that was known
// changes nothing about it.
func TestTheFirstReasonHolds(t *testing.T) {
	in(t, Options{}, func(w *world) {
		w.set(func() { w.fail = pombo.Errorf(pombo.NotFound, "nobody has it") })
		w.want("a", "waiting")
		synctest.Wait()
		w.set(func() { w.fail = pombo.Errorf(pombo.NotFound, "it has expired") })
		w.Manager.mu.Lock()
		w.Manager.want("a", pombo.Lane{Chat: "b"}, true) // what Sent does if it looked before
		w.Manager.mu.Unlock()
		synctest.Wait()
		w.want("a", "The file could not be fetched: nobody has it")
		if w.tries() != 2 || !slices.Equal(w.told(), []string{"a", "b"}) {
			t.Errorf("%d tries, ready %v", w.tries(), w.told())
		}
	}, "a")
}

// Nothing is said to a webhook that a crash could unsay.
func TestMissedIsStoredFirst(t *testing.T) {
	in(t, Options{}, func(w *world) {
		w.set(func() { w.fail, w.refuse = pombo.Errorf(pombo.NotFound, "nobody has it"), 10 })
		w.want("a", "waiting")
		time.Sleep(9 * time.Second)
		synctest.Wait()
		w.want("a", "waiting")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		w.want("a", "The file could not be fetched: nobody has it")
	}, "a")
}

// A delivery that wants what a link has wanted for long has its own time.
func TestDeadlineOfWhoComesLater(t *testing.T) {
	in(t, Options{Deadline: time.Minute}, func(w *world) {
		w.set(func() { w.fail = errDown })
		go func() {
			f, err := w.Open(w.t.Context(), "a")
			if err != nil {
				t.Errorf("the link: %v", err)
				return
			}
			f.Close()
		}()
		time.Sleep(50 * time.Second)
		w.want("a", "waiting")
		time.Sleep(50 * time.Second)
		synctest.Wait()
		w.want("a", "waiting")
		w.set(func() { w.fail = nil })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.want("a", "file")
	}, "a")
}

// Servers that do not answer hold nothing beyond the deadline, however many files
// wait for them.
func TestHangingServers(t *testing.T) {
	var ids []string
	for i := range 3 * maxFetches {
		ids = append(ids, fmt.Sprintf("f%02d", i))
	}
	in(t, Options{Deadline: time.Minute}, func(w *world) {
		w.hold() // for ever
		for _, id := range ids {
			w.want(id, "waiting")
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if w.tries() != maxFetches {
			t.Errorf("%d were fetched at once", w.tries())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, id := range ids {
			w.want(id, "The file could not be fetched: it did not come in time")
		}
	}, ids...)
}

func TestTooLargeToSend(t *testing.T) {
	in(t, Options{LargestSent: 99}, func(w *world) {
		if got := w.sent("a"); !strings.Contains(got, "has 100 bytes") || w.tries() != 0 {
			t.Errorf("sent with %q after %d tries", got, w.tries())
		}
		f, err := w.Open(w.t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}, "a")
}

// Where there is no room, what nobody waits for goes first, the oldest first; what
// deliveries need stays for a while, and new files wait.
func TestLimit(t *testing.T) {
	in(t, Options{Limit: 350, Deadline: time.Minute}, func(w *world) {
		have := func(id string) {
			t.Helper()
			f, err := w.Open(w.t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			// The file's own time is not that of the bubble.
			if err := os.Chtimes(filepath.Join(w.dir, id), time.Time{}, time.Now()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		w.set(func() { w.needed["a"], w.needed["d"] = true, true })
		have("a")
		have("b")
		have("c")
		have("d")
		if got := w.onDisk(); got != "a c d" {
			t.Errorf("there are %s", got)
		}
		w.set(func() { w.needed["c"] = true })
		w.want("e", "waiting")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.sent("e"); !strings.Contains(got, "no room") {
			t.Errorf("with all needed: %s", got)
		}
		time.Sleep(fresh)
		have("f")
		if got := w.onDisk(); got != "c d f" {
			t.Errorf("there are %s", got)
		}
		w.want("a", "waiting") // it is fetched again
		synctest.Wait()
		w.want("a", "file")
		w.set(func() { w.needed["c"], w.needed["d"] = false, false })
		w.add("g", 351)
		if _, err := w.Open(w.t.Context(), "g"); err == nil || !strings.Contains(err.Error(), "all files together may have 350") {
			t.Errorf("one beyond the limit: %v", err)
		}
	}, "a", "b", "c", "d", "e", "f")
}

// What has no row goes, and what was left unfinished.
func TestLeftovers(t *testing.T) {
	in(t, Options{Keep: time.Hour}, func(w *world) {
		w.want("a", "waiting")
		synctest.Wait()
		w.want("a", "file")
		w.stop()
		for _, name := range []string{"stray", "b" + unfinished} {
			if err := os.WriteFile(filepath.Join(w.dir, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.start(Options{Keep: time.Hour})
		if got := w.onDisk(); got != "a" {
			t.Errorf("there are %q", got)
		}
		time.Sleep(time.Hour + sweepEvery)
		synctest.Wait()
		if got := w.onDisk(); got != "" {
			t.Errorf("after its time there are %q", got)
		}
		if _, err := w.Open(w.t.Context(), "a"); pombo.KindOf(err) != pombo.NotFound {
			t.Errorf("after its time: %v", err)
		}
	}, "a")
}

// What a caller describes is fetched for him alone.
func TestStranger(t *testing.T) {
	in(t, Options{}, func(w *world) {
		f, err := w.Stranger(w.t.Context(), pombo.Media{Size: 7})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(f)
		if err != nil || len(text) != 7 || f.Length != 7 {
			t.Errorf("got %q of %d, %v", text, f.Length, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		w.set(func() { w.fail = pombo.Errorf(pombo.Invalid, "it is something else") })
		if _, err := w.Stranger(w.t.Context(), pombo.Media{Size: 7}); pombo.KindOf(err) != pombo.NotFound {
			t.Errorf("what cannot be had: %v", err)
		}
		if got := w.onDisk(); got != "" {
			t.Errorf("there are %q", got)
		}
	})
}
