package sandbox_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mau.fi/libsignal/logger"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"pombo/internal/leaktest"
	"pombo/internal/sandbox"
)

// rootSeed is shared by all servers of these tests: whatsmeow keeps the root key in a package variable.
var rootSeed = []byte("tests")

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		runChild(dir)
		return
	}
	logger.Setup(&quiet) // libsignal makes its logger on first use, without a lock
	s, err := sandbox.New(sandbox.Options{RootKeySeed: rootSeed})
	if err != nil {
		panic(err)
	}
	whatsmeow.WACertPubKey = s.RootKey()
	_ = s.Close()
	leaktest.Main(m,
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
		// whatsmeow never ends the loop that downloads history
		goleak.IgnoreAnyFunction("go.mau.fi/whatsmeow.(*Client).handleHistorySyncNotificationLoop"),
		// whatsmeow leaves its reader behind if a frame comes while it disconnects
		goleak.IgnoreAnyFunction("go.mau.fi/whatsmeow/socket.(*FrameSocket).frameComplete"))
}

// ample is how long tests wait for what must come: longer than any machine takes.
const ample = 2 * time.Minute

// noLog is a logger for libsignal, which prints to the standard output otherwise.
type noLog struct{}

func (noLog) Debug(string, string)   {}
func (noLog) Info(string, string)    {}
func (noLog) Warning(string, string) {}
func (noLog) Error(string, string)   {}
func (noLog) Configure(string)       {}

var quiet logger.Loggable = noLog{}

// network is a sandbox listening on loopback.
type network struct {
	*sandbox.Server
	addr string
	http *httptest.Server
}

func startNetwork(t testing.TB, o sandbox.Options) *network {
	t.Helper()
	o.RootKeySeed = rootSeed
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/sandbox/", s.Control())
	mux.Handle("/", s.Network())
	web := httptest.NewServer(mux)
	n := &network{Server: s, addr: web.Listener.Addr().String(), http: web}
	t.Cleanup(n.stop)
	return n
}

func (n *network) stop() {
	_ = n.Close()
	n.http.Close()
}

// client is a real whatsmeow client on a session store of its own.
type client struct {
	*whatsmeow.Client
	t      testing.TB
	events chan any
	path   string
	db     *sqlstore.Container
	http   *http.Client

	mu   sync.Mutex
	fail func(evt any) bool // true: the handler reports failure
}

func newClient(t testing.TB, n *network) *client {
	t.Helper()
	if raceDetector && os.Getenv("SANDBOX_RACE_WHATSMEOW") == "" {
		t.Skip("whatsmeow races with itself: see race_test.go")
	}
	c := &client{t: t, events: make(chan any, 100_000), path: filepath.Join(t.TempDir(), "session.db")}
	c.open(n)
	t.Cleanup(c.close)
	return c
}

// open makes a new whatsmeow.Client on the session store.
func (c *client) open(n *network) {
	c.t.Helper()
	ctx := context.Background()
	dsn := "file:" + c.path + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(OFF)"
	var logger waLog.Logger = waLog.Noop
	if os.Getenv("SANDBOX_DEBUG") != "" {
		logger = waLog.Stdout("Client", "DEBUG", false)
	}
	raw, err := sql.Open("sqlite", dsn)
	if err != nil {
		c.t.Fatal(err)
	}
	db := sqlstore.NewWithDB(raw, "sqlite3", logger)
	if err = db.Upgrade(ctx); err != nil {
		c.t.Fatal(err)
	}
	device, err := db.GetFirstDevice(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	c.db = db
	c.Client = whatsmeow.NewClient(device, logger)
	c.SynchronousAck = true
	c.EnableDecryptedEventBuffer = true
	c.http = &http.Client{Transport: sandbox.Transport(n.addr)}
	c.SetWebsocketHTTPClient(c.http)
	c.SetPreLoginHTTPClient(c.http)
	c.SetMediaHTTPClient(c.http)
	c.AddEventHandlerWithSuccessStatus(func(evt any) bool {
		if m, ok := evt.(*events.Message); ok && m.Info.Category == "peer" {
			return true // the own phone's, with which the client deals itself
		}
		c.mu.Lock()
		fail := c.fail
		c.mu.Unlock()
		if fail != nil && fail(evt) {
			return false
		}
		c.events <- evt
		return true
	})
}

func (c *client) close() {
	c.Disconnect()
	c.http.CloseIdleConnections()
	_ = c.db.Close()
}

func (c *client) connect() {
	c.t.Helper()
	if err := c.Connect(); err != nil {
		c.t.Fatal(err)
	}
}

// wait returns the next event of type T for which match holds (nil: any), and drops the others.
func wait[T any](c *client, match func(T) bool) T {
	c.t.Helper()
	timeout := time.NewTimer(ample)
	defer timeout.Stop()
	for {
		select {
		case evt := <-c.events:
			if found, ok := evt.(T); ok && (match == nil || match(found)) {
				return found
			}
		case <-timeout.C:
			var zero T
			c.t.Fatalf("no %T came", zero)
		}
	}
}

// pair links the client to the phone with this number and waits until it is connected.
func (c *client) pair(n *network, number string) {
	c.t.Helper()
	c.connect()
	qr := wait[*events.QR](c, nil)
	result, err := n.Scan(context.Background(), sandbox.ScanRequest{Code: qr.Codes[0], Number: number})
	if err != nil {
		c.t.Fatal(err)
	}
	wait[*events.PairSuccess](c, nil)
	wait[*events.Connected](c, nil)
	wait(c, func(e *events.AppStateSyncComplete) bool { return e.Name == appstate.WAPatchRegularLow }) // the last one
	if got := c.Store.ID.String(); got != result.JID {
		c.t.Fatalf("paired as %s, the sandbox says %s", got, result.JID)
	}
}

// startPaired is a network with a client of bot.
func startPaired(t testing.TB) (*network, *client) {
	t.Helper()
	n := startNetwork(t, sandbox.Options{})
	c := newClient(t, n)
	c.pair(n, bot)
	return n, c
}

// startTwo is a network with a client of each number.
func startTwo(t testing.TB, first, second string) (n *network, one, two *client) {
	t.Helper()
	n = startNetwork(t, sandbox.Options{})
	one, two = newClient(t, n), newClient(t, n)
	one.pair(n, first)
	two.pair(n, second)
	return n, one, two
}

func pn(number string) types.JID { return types.NewJID(number, types.DefaultUserServer) }

// mustObey fails the test if a client broke a rule.
func (n *network) mustObey(t *testing.T) {
	t.Helper()
	violations, err := n.Violations(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Errorf("violation %s by %s: %s", v.Kind, v.Device, v.Detail)
	}
}

// eventually waits until ok holds. What it watches is the sandbox's own state, which has no events.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.NewTimer(ample)
	defer timeout.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-timeout.C:
			t.Fatalf("still not so: %s", what)
		}
	}
}

func (n *network) send(t *testing.T, r sandbox.SendRequest) string {
	t.Helper()
	result, err := n.SendMessage(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return result.ID
}

func (n *network) confirmed(t *testing.T, number string) []sandbox.Confirmation {
	t.Helper()
	list, err := n.Confirmed(context.Background(), number)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

const (
	bot     = "5511900000001"
	contact = "5511900000002"
)

func (n *network) messages(t *testing.T, number, direction string) []sandbox.Message {
	t.Helper()
	list, err := n.Messages(context.Background(), sandbox.MessagesRequest{Number: number, Direction: direction})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func textMessage(text string) *waE2E.Message { return &waE2E.Message{Conversation: &text} }

// settle waits until the client has handled, and confirmed, all that was sent to it: it handles stanzas one after the
// other, and this sends one more.
func (n *network) settle(t *testing.T, c *client) {
	t.Helper()
	result, err := n.SendPresence(context.Background(), sandbox.PresenceRequest{From: contact, To: bot, State: "composing"})
	if err != nil || result.Devices != 1 {
		t.Fatalf("settling: %v, %v", result, err)
	}
	wait[*events.ChatPresence](c, nil)
}

// forgetSyncKeys takes the keys of the app state out of the client's store.
func (c *client) forgetSyncKeys() {
	c.t.Helper()
	raw, err := sql.Open("sqlite", "file:"+c.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	if _, err = raw.Exec("DELETE FROM whatsmeow_app_state_sync_keys"); err != nil {
		c.t.Fatal(err)
	}
}

// seesRead waits until the contact sees that c has read the first message that it sent.
func (n *network) seesRead(t *testing.T, c *client) {
	t.Helper()
	eventually(t, "the contact sees that it was read", func() bool {
		sent := n.messages(t, contact, "sent")
		return slices.ContainsFunc(sent[0].Receipts, func(r sandbox.Receipt) bool {
			return r.Type == "read" && r.Device == c.Store.ID.String()
		})
	})
}
