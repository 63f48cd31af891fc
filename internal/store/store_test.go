package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.mau.fi/libsignal/logger"

	"pombo"
	"pombo/internal/leaktest"
	"pombo/internal/store"
	"pombo/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(crashFile); file != "" {
		appendUntilKilled(file)
		return
	}
	// libsignal makes its logger on first use, without a lock; package whatsapp, which
	// is not here, sees to that in the gateway.
	var none logger.Loggable = noLog{}
	logger.Setup(&none)
	leaktest.Main(m)
}

type noLog struct{}

func (noLog) Debug(string, string)   {}
func (noLog) Info(string, string)    {}
func (noLog) Warning(string, string) {}
func (noLog) Error(string, string)   {}
func (noLog) Configure(string)       {}

func newFile(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "pombo.db") }

func TestSQLite(t *testing.T) {
	storetest.Exercise(t, func(t *testing.T) string { return newFile(t) })
}

func TestPostgres(t *testing.T) {
	storetest.Exercise(t, func(t *testing.T) string { return storetest.Postgres(t) })
}

// each runs a test on both databases.
func each(t *testing.T, run func(t *testing.T, uri string)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); run(t, newFile(t)) })
	t.Run("Postgres", func(t *testing.T) { t.Parallel(); run(t, storetest.Postgres(t)) })
}

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	if o.LockWait == 0 {
		o.LockWait = time.Minute // a server that is busy is late to see that a connection was closed
	}
	s, err := store.Open(context.Background(), o)
	if err != nil {
		t.Fatalf("opening the database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context that ends before the test binary's own limit.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// hooked creates an instance with a webhook for all events.
func hooked(t testing.TB, s *store.Store, name string) (pombo.Instance, pombo.Webhook) {
	t.Helper()
	i := pombo.Instance{ID: pombo.InstanceID(uuid.NewString()), Name: name, Token: "t"}
	w := pombo.Webhook{URL: "http://n8n:5678/webhook", Enabled: true}
	must(t, s.CreateInstance(within(t), i, &w))
	return i, w
}

func event(i pombo.Instance, key string) pombo.Event {
	return pombo.Event{
		Instance: i.ID, Name: pombo.MessagesUpsert, Key: key, Chat: "5511988887777@s.whatsapp.net",
		Sender: "5511999990000@s.whatsapp.net", Time: time.Now(), Data: message,
	}
}

// message is of the size that a text message has.
var message = json.RawMessage(`{"key":{"remoteJid":"5511988887777@s.whatsapp.net","fromMe":false,"id":"3EB0C767D26A1D4E5F6A01"},` +
	`"pushName":"Maria","message":{"conversation":"` + strings.Repeat("Bom dia! ", 20) + `"},"messageType":"conversation",` +
	`"messageTimestamp":1715949045,"instanceId":"5b2f3f6e-0000-4000-8000-000000000001","source":"android"}`)

// parcel makes operations wait and go into one transaction: it holds the
// committer until all are in line.
func parcel(t *testing.T, s *store.Store, hold *atomic.Pointer[chan struct{}], ops ...func() error) []error {
	t.Helper()
	gate := make(chan struct{})
	hold.Store(&gate)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Do(within(t), `SELECT 1`); err != nil {
			t.Errorf("the first operation: %v", err)
		}
	})
	errs := make([]error, len(ops))
	waitUntil(t, func() bool { return hold.Load() == nil })
	for k, op := range ops {
		wg.Go(func() { errs[k] = op() })
		waitUntil(t, func() bool { return s.Waiting() > k })
	}
	close(gate)
	wg.Wait()
	return errs
}

// holder is an Options.Fault that holds the committer once for parcel.
func holder(hold *atomic.Pointer[chan struct{}]) func(string) error {
	return func(op string) error {
		if gate := hold.Load(); gate != nil && op == "do" {
			hold.Store(nil)
			<-*gate
		}
		return nil
	}
}

func waitUntil(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := within(t)
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("what was waited for did not happen")
		}
	}
}

// Of the operations of one transaction, one that the database refuses fails
// alone.
func TestOwnFault(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		var hold atomic.Pointer[chan struct{}]
		var reported atomic.Int32
		s := open(t, store.Options{URI: uri, Fault: holder(&hold), OnAppend: func(ds []pombo.Delivery) { reported.Add(int32(len(ds))) }})
		i, w := hooked(t, s, "i")
		ctx := within(t)
		if lite(s) {
			must(t, s.Do(ctx, `CREATE TRIGGER refuse BEFORE UPDATE ON pombo_delivery WHEN NEW.state = 'nonsense' BEGIN SELECT RAISE(ABORT, 'refused'); END`))
		}
		// A result that Settle would have refused.
		s.QueueSettle(pombo.Attempt{Delivery: 1, Number: 1, State: "nonsense"})
		errs := parcel(t, s, &hold,
			func() error { return s.Append(ctx, event(i, "a")) },
			func() error { return s.Do(ctx, `INSERT INTO pombo_meta (key, value) VALUES ('uid', 'again')`) },
			func() error { return s.Append(ctx, event(i, "b")) },
			func() error { return s.CreateInstance(ctx, pombo.Instance{ID: "x", Name: "i"}, nil) },
			func() error { return s.Append(ctx, event(i, "c")) },
		)
		for k, err := range errs {
			switch k {
			case 1:
				if err == nil || errors.Is(err, store.ErrUnavailable) {
					t.Errorf("a refused statement: %v", err)
				}
			case 3:
				if pombo.KindOf(err) != pombo.Forbidden {
					t.Errorf("a taken name: %v", err)
				}
			default:
				if err != nil {
					t.Errorf("operation %d: %v", k, err)
				}
			}
		}
		ds, err := s.Pending(ctx, w.ID, 0, 10)
		must(t, err)
		if len(ds) != 3 || reported.Load() != 3 {
			t.Errorf("%d pending, %d reported, want 3", len(ds), reported.Load())
		}
		must(t, s.Ping(ctx))
	})
}

// What is appended and switched off in the same transaction is never reported.
func TestAppendAndDisableTogether(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		var hold atomic.Pointer[chan struct{}]
		var mu sync.Mutex
		var reported []string
		s := open(t, store.Options{URI: uri, Fault: holder(&hold), OnAppend: func(ds []pombo.Delivery) {
			mu.Lock()
			defer mu.Unlock()
			for _, d := range ds {
				reported = append(reported, d.Event.Key)
			}
		}})
		i, w := hooked(t, s, "i")
		j, v := hooked(t, s, "j")
		ctx := within(t)
		off := w
		off.Enabled = false
		for _, err := range parcel(t, s, &hold,
			func() error { return s.Append(ctx, event(i, "i1"), event(j, "j1")) },
			func() error { _, err := s.PutWebhook(ctx, off); return err },
			func() error { return s.Append(ctx, event(i, "i2"), event(j, "j2")) },
			func() error { return s.GiveUp(ctx, j.ID) },
			func() error { return s.DeleteInstance(ctx, j.ID, event(j, "last")) },
			func() error { return s.Append(ctx, event(j, "j3")) },
		) {
			must(t, err)
		}
		if fmt.Sprint(reported) != "[last]" {
			t.Errorf("reported %q, want the last event only", reported)
		}
		for id, want := range map[string]int{w.ID: 0, v.ID: 1} {
			if ds, err := s.Pending(ctx, id, 0, 10); err != nil || len(ds) != want {
				t.Errorf("%d pending, %v; want %d", len(ds), err, want)
			}
		}
	})
}

// A webhook with a long backlog is switched off at once; that its deliveries are
// dead shows everywhere before it is written down row by row, which takes place
// beside other work and goes on after a restart.
func TestDisableBacklog(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		const rows = 7_000
		var hold atomic.Bool
		fault := func(op string) error {
			if op == "housekeeping" && hold.Load() {
				return errors.New("not now")
			}
			return nil
		}
		s := open(t, store.Options{URI: uri, Fault: fault})
		i, w := hooked(t, s, "i")
		fillPending(t, s, i, w, rows)
		ctx := within(t)
		ds, err := s.Pending(ctx, w.ID, 0, rows+1)
		must(t, err)
		if len(ds) != rows {
			t.Fatalf("%d pending, want %d", len(ds), rows)
		}
		hold.Store(true)
		w.Enabled = false
		_, err = s.PutWebhook(ctx, w)
		must(t, err)
		w.Enabled = true
		_, err = s.PutWebhook(ctx, w)
		must(t, err)
		must(t, s.Append(ctx, event(i, "new")))
		must(t, s.Settle(ctx, pombo.Attempt{Delivery: ds[3].ID, Number: 1, State: pombo.Delivered}))
		must(t, s.PutSent(ctx, pombo.SentMessage{Instance: i.ID, ID: "barrier"}))
		check := func() {
			t.Helper()
			left, err := s.Pending(ctx, w.ID, 0, rows)
			must(t, err)
			if len(left) != 1 || left[0].Event.Key != "new" {
				t.Errorf("%d pending, want the new one only", len(left))
			}
			lane, err := s.PendingInLane(ctx, w.ID, ds[7].Lane(), 0, rows)
			must(t, err)
			if len(lane) != 0 {
				t.Errorf("%d pending in a lane", len(lane))
			}
			for _, k := range []int{0, 3, rows - 1} {
				d, _, err := s.Delivery(ctx, ds[k].ID)
				must(t, err)
				if d.State != pombo.Dead || d.Reason != pombo.Disabled {
					t.Errorf("delivery %d is %s %s", d.ID, d.State, d.Reason)
				}
			}
		}
		written := func() (n int) {
			t.Helper()
			must(t, s.Reads().QueryRowContext(ctx, `SELECT COUNT(*) FROM pombo_delivery WHERE state = 'dead'`).Scan(&n))
			return n
		}
		check()
		if n := written(); n != 1 {
			t.Errorf("%d written down while housekeeping is held, want 1", n)
		}
		must(t, s.Close())
		hold.Store(false)
		s = open(t, store.Options{URI: uri, Fault: fault})
		waitUntil(t, func() bool { return written() == rows })
		waitUntil(t, func() bool {
			var marks int
			must(t, s.Reads().QueryRowContext(ctx, `SELECT COUNT(*) FROM pombo_webhook WHERE dead_through > 0`).Scan(&marks))
			return marks == 0
		})
		check()
		d, err := s.Attempts(ctx, ds[3].ID)
		must(t, err)
		if len(d) != 1 {
			t.Errorf("%d attempts recorded, want 1", len(d))
		}
	})
}

func TestCleanSent(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		ctx := within(t)
		now := time.Now()
		put := func(instance string, n int, at time.Time) {
			t.Helper()
			must(t, s.PutSent(ctx, pombo.SentMessage{Instance: pombo.InstanceID(instance), ID: fmt.Sprint(n), Message: []byte{1}, At: at}))
		}
		for n := range 20 {
			put("old", n, now.Add(-store.SentAge-time.Minute))
			put("many", n, now.Add(time.Duration(n-100)*time.Minute))
			put("few", n%5, now)
		}
		// Larger than one step.
		must(t, s.Do(ctx, bulkSent(uri), now.Add(-2*store.SentAge).UnixMilli()))
		must(t, s.CleanSent(ctx, now, 7))
		for _, c := range []struct {
			instance string
			n        int
			kept     bool
		}{{"old", 0, false}, {"old", 19, false}, {"many", 12, false}, {"many", 13, true}, {"many", 19, true}, {"few", 0, true}, {"few", 4, true}, {"bulk", 1200, false}} {
			_, ok, err := s.Sent(ctx, pombo.InstanceID(c.instance), fmt.Sprint(c.n))
			must(t, err)
			if ok != c.kept {
				t.Errorf("%s %d: kept %v, want %v", c.instance, c.n, ok, c.kept)
			}
		}
	})
}

func TestCleanPolls(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		ctx := within(t)
		now := time.Now()
		for n := range 10 {
			must(t, s.PutPoll(ctx, pombo.Poll{Instance: "old", ID: fmt.Sprint(n), At: now.Add(-store.PollAge - time.Minute)}))
			must(t, s.PutPoll(ctx, pombo.Poll{Instance: "many", ID: fmt.Sprint(n), At: now.Add(time.Duration(n-100) * time.Minute)}))
		}
		must(t, s.CleanPolls(ctx, now, 4))
		for id, want := range map[string]int{"old/0": 0, "old/9": 0, "many/5": 0, "many/6": 1, "many/9": 1} {
			instance, n, _ := strings.Cut(id, "/")
			got, err := s.Polls(ctx, pombo.InstanceID(instance), n)
			must(t, err)
			if len(got) != want {
				t.Errorf("%s: %d are kept, want %d", id, len(got), want)
			}
		}
	})
}

func bulkSent(uri string) string {
	return `INSERT INTO pombo_sent (instance_id, id, chat, message, sent_at)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
		SELECT 'bulk', CAST(i AS TEXT), '', CAST('x' AS ` + map[bool]string{true: "BLOB", false: "bytea"}[strings.HasPrefix(uri, "sqlite")] + `), $1 FROM n`
}

// A database that a newer Pombo wrote is refused, and not touched.
func TestNewerSchema(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		must(t, s.Do(within(t), `UPDATE pombo_version SET version = version + 1000, compat = version + 1000`))
		must(t, s.Close())
		_, err := store.Open(within(t), store.Options{URI: uri, LockWait: time.Minute})
		if err == nil || !strings.Contains(err.Error(), "newer version of Pombo") {
			t.Errorf("opening it: %v", err)
		}
	})
}

func TestURI(t *testing.T) {
	for uri, want := range map[string]string{
		"":                           "must begin with",
		"pombo.db":                   "must begin with",
		"mysql://u:s3cret@h/db":      "not supported",
		"mongodb://u:s3cret@h":       "not supported",
		"mongodb+srv://u:s3cret@h":   "not supported",
		"oracle://u:s3cret@h":        "must begin with",
		"sqlite:":                    "path of a file",
		"sqlite::memory:":            "path of a file",
		"sqlite:/data/":              "path of a file",
		"postgresql://u:s3cret/x@h/": "percent-encoded",
	} {
		_, err := store.Open(within(t), store.Options{URI: uri})
		if err == nil || !strings.Contains(err.Error(), want) || pombo.KindOf(err) != pombo.Invalid {
			t.Errorf("opening %q: %v", uri, err)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// No secret of a webhook or an instance is ever logged.
func TestSecretsAreNotLogged(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		var out strings.Builder
		var mu sync.Mutex
		var broken atomic.Bool
		s := open(t, store.Options{
			URI:    uri,
			Logger: slog.New(slog.NewTextHandler(writerFunc(func(p []byte) { mu.Lock(); out.Write(p); mu.Unlock() }), &slog.HandlerOptions{Level: slog.LevelDebug})),
			Fault: func(op string) error {
				if broken.Load() {
					return errors.New("disk full")
				}
				return nil
			},
		})
		i, w := hooked(t, s, "i")
		w.Headers = map[string]string{"Authorization": "s3cret"}
		i.Token = "s3cret"
		broken.Store(true)
		_, err := s.PutWebhook(within(t), w)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v", err)
		}
		broken.Store(false)
		_, err = s.PutWebhook(within(t), w)
		must(t, err)
		must(t, s.UpdateInstance(within(t), i))
		must(t, s.Do(within(t), `UPDATE pombo_webhook SET headers = '"s3cret"'`))
		if _, err = s.Webhooks(within(t)); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if out.Len() == 0 || strings.Contains(out.String(), "s3cret") {
			t.Errorf("log: %s", out.String())
		}
	})
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }
