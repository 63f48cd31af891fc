package whatsapp

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"pombo"
	"pombo/internal/leaktest"
	"pombo/internal/sandbox"
)

// rootSeed is shared by all networks of these tests: whatsmeow keeps the root key
// in a package variable.
var rootSeed = []byte("whatsapp tests")

func TestMain(m *testing.M) {
	s, err := sandbox.New(sandbox.Options{RootKeySeed: rootSeed, Quiet: true})
	if err != nil {
		panic(err)
	}
	whatsmeow.WACertPubKey = s.RootKey()
	_ = s.Close()
	leaktest.Main(m, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

// ample is how long tests wait for what must come: longer than any machine takes.
const ample = 2 * time.Minute

const (
	account1 = "5511988880000" // the account that is paired
	contact1 = "5511977770001" // somebody who writes to it
	jid1     = account1 + "@s.whatsapp.net"
	chat1    = contact1 + "@s.whatsapp.net"
)

// world is a sandbox, the gateway's side of it, and what the gateway keeps.
type world struct {
	t       *testing.T
	box     *sandbox.Server
	addr    string
	devices *sqlstore.Container
	sink    *sink
	sent    *sentStore
	reg     *registry
	options Options
	timing  timing
	inst    pombo.Instance
	net     *Network
	session *Session
}

func newWorld(t *testing.T, change func(*world)) *world {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{RootKeySeed: rootSeed, Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(box.Network())
	t.Cleanup(func() { _ = box.Close(); web.Close() })
	w := &world{
		t: t, box: box, addr: web.Listener.Addr().String(), devices: openDevices(t),
		sink: newSink(), sent: &sentStore{kept: map[string]pombo.SentMessage{}}, reg: &registry{},
		inst: pombo.Instance{ID: "7b1f6c1e-0000-4000-8000-000000000001", Name: "loja"},
	}
	w.timing = defaultTiming()
	w.timing.retryMin, w.timing.retryMax = time.Millisecond, 10*time.Millisecond
	w.timing.backoffMin, w.timing.backoffMax = time.Millisecond, 20*time.Millisecond
	w.timing.grace = 100 * time.Millisecond
	// Nothing is given up because the machine has no time.
	w.timing.dial, w.timing.login, w.timing.pairCode = ample, ample, ample
	w.timing.qrFirst, w.timing.qrNext = time.Hour, time.Hour
	if change != nil {
		change(w)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

// start begins a gateway on what is kept, as a process does; stop ends it.
func (w *world) start() {
	w.t.Helper()
	root := w.box.RootKey()
	o := w.options
	o.Devices, o.Sink, o.Sent, o.Polls, o.Registry = w.devices, w.sink, w.sent, w.sent, w.reg
	o.History = &noHistory{}
	o.Transport, o.RootKey = sandbox.Transport(w.addr), &root
	if os.Getenv("WHATSAPP_DEBUG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug - 8}))
	}
	n, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	n.timing = w.timing
	w.net = n
	inst := w.inst
	w.reg.mu.Lock()
	inst.JID, inst.LID = w.reg.jid, w.reg.lid
	w.reg.mu.Unlock()
	w.session = n.Session(inst)
}

func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), ample)
	defer cancel()
	if err := w.session.Close(ctx); err != nil {
		w.t.Errorf("closing the session: %v", err)
	}
	if c, ok := w.net.transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), ample)
	w.t.Cleanup(cancel)
	return ctx
}

// connect begins and waits for a code or for open.
func (w *world) connect(number string) (pombo.ConnectionState, pombo.QR) {
	w.t.Helper()
	if err := w.session.Connect(w.ctx(), number); err != nil {
		w.t.Fatal(err)
	}
	return w.wait()
}

func (w *world) wait() (pombo.ConnectionState, pombo.QR) {
	w.t.Helper()
	state, qr, err := w.session.Wait(w.ctx())
	if err != nil {
		w.t.Fatalf("waiting: %v (state %s)", err, state)
	}
	return state, qr
}

// until waits for a state of the session.
func (w *world) until(want pombo.ConnectionState) {
	w.t.Helper()
	ctx := w.ctx()
	for {
		w.session.mu.Lock()
		state, changed := w.session.snap.now(), w.session.changed
		w.session.mu.Unlock()
		if state == want {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			w.t.Fatalf("the state is %s, want %s", state, want)
		}
	}
}

// pair links the session to the account.
func (w *world) pair() {
	w.t.Helper()
	state, qr := w.connect("")
	if state != pombo.StateConnecting || qr.Code == "" {
		w.t.Fatalf("got %s %+v, want a code to scan", state, qr)
	}
	if _, err := w.box.Scan(w.ctx(), sandbox.ScanRequest{Code: qr.Code, Number: account1, Name: "Loja"}); err != nil {
		w.t.Fatal(err)
	}
	w.until(pombo.StateOpen)
	if _, err := w.box.AddContact(w.ctx(), sandbox.ContactRequest{Number: contact1, Name: "Ana"}); err != nil {
		w.t.Fatal(err)
	}
}

// fault makes the network do something wrong to the account.
func (w *world) fault(r sandbox.FaultRequest) {
	w.t.Helper()
	r.Number = account1
	if _, err := w.box.SetFault(w.ctx(), r); err != nil {
		w.t.Fatal(err)
	}
}

// cut ends the connection and waits until there is another.
func (w *world) cut() {
	w.t.Helper()
	l, err := w.session.live()
	if err != nil {
		w.t.Fatal(err)
	}
	w.fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop})
	select {
	case <-l.over:
	case <-w.ctx().Done():
		w.t.Fatal("the connection did not end")
	}
	w.until(pombo.StateOpen)
}

// write lets the contact write to the account.
func (w *world) write(text string) string {
	w.t.Helper()
	r, err := w.box.SendMessage(w.ctx(), sandbox.SendRequest{From: contact1, To: account1, Text: text, PushName: "Ana"})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.ID
}

// confirmed tells which messages the account's devices have confirmed.
func (w *world) confirmed() map[string]bool {
	w.t.Helper()
	list, err := w.box.Confirmed(w.ctx(), account1)
	if err != nil {
		w.t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, c := range list {
		ids[c.ID] = true
	}
	return ids
}

// eventually waits for what only the sandbox can tell.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(ample)
	for !ok() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			w.t.Fatalf("it never came to be that %s", what)
		}
	}
}

func openDevices(t *testing.T) *sqlstore.Container {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "devices.db") +
		"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=foreign_keys(1)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	c := sqlstore.NewWithDB(db, "sqlite3", nil)
	if err := c.Upgrade(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var errBroken = errors.New("broken on purpose")

// sink keeps events in memory, ignoring those that it has, as the store does.
type sink struct {
	mu      sync.Mutex
	events  []pombo.Event
	have    map[string]bool
	fail    func([]pombo.Event) error // asked before each append
	changed chan struct{}
	failed  int
}

func newSink() *sink { return &sink{have: map[string]bool{}, changed: make(chan struct{})} }

func (s *sink) Append(ctx context.Context, events ...pombo.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		close(s.changed)
		s.changed = make(chan struct{})
	}()
	if s.fail != nil {
		if err := s.fail(events); err != nil {
			s.failed++
			return err
		}
	}
	for _, e := range events {
		if !json.Valid(e.Data) || e.Key == "" || e.Instance == "" || e.Time.IsZero() {
			return errors.New("a malformed event: " + string(e.Data))
		}
		k := string(e.Instance) + "/" + string(e.Name) + "/" + e.Key
		if !s.have[k] {
			s.have[k] = true
			s.events = append(s.events, e)
		}
	}
	return nil
}

func (s *sink) setFail(fail func([]pombo.Event) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *sink) named(name pombo.EventName) []pombo.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []pombo.Event
	for _, e := range s.events {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

// wait returns the first event of that name whose data contains text.
func (w *world) event(name pombo.EventName, text string) pombo.Event {
	w.t.Helper()
	timeout := time.After(ample)
	for {
		w.sink.mu.Lock()
		changed := w.sink.changed
		for _, e := range w.sink.events {
			if e.Name == name && strings.Contains(string(e.Data), text) {
				w.sink.mu.Unlock()
				return e
			}
		}
		w.sink.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			w.t.Fatalf("no %s with %q came", name, text)
		}
	}
}

type sentStore struct {
	mu   sync.Mutex
	kept map[string]pombo.SentMessage
	fail error
	read func(id string) // called when a message was read
}

func (s *sentStore) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *sentStore) PutSent(_ context.Context, m pombo.SentMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.kept[m.ID] = m
	return nil
}

func (s *sentStore) Sent(_ context.Context, _ pombo.InstanceID, id string) (pombo.SentMessage, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.kept[id]
	if s.fail == nil && s.read != nil {
		s.read(id)
	}
	return m, ok, s.fail
}

func (s *sentStore) PutPoll(context.Context, pombo.Poll) error { return nil }

func (s *sentStore) Polls(context.Context, pombo.InstanceID, string) ([]pombo.Poll, error) {
	return nil, nil
}

func mustJID(t *testing.T, s string) types.JID {
	t.Helper()
	jid, err := types.ParseJID(s)
	if err != nil {
		t.Fatal(err)
	}
	return jid
}

type registry struct {
	mu       sync.Mutex
	jid, lid string
	name     string
	out      []pombo.Disconnection
	fail     error
}

func (r *registry) Paired(_ context.Context, _ pombo.InstanceID, jid, lid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.jid, r.lid = jid, lid
	return nil
}

func (r *registry) Profile(_ context.Context, _ pombo.InstanceID, name, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name = name
	return nil
}

func (r *registry) LoggedOut(_ context.Context, _ pombo.InstanceID, d pombo.Disconnection) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jid, r.lid = "", ""
	r.out = append(r.out, d)
	return nil
}

func (r *registry) paired() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.jid
}
