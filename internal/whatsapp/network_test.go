package whatsapp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

// The queue of whatsmeow is not exported; queueOf depends on its name.
func TestQueueLength(t *testing.T) {
	d := &store.Device{}
	c := whatsmeow.NewClient(d, nil)
	if got := queueOf(c)(); got != 0 {
		t.Errorf("an empty queue has %d", got)
	}
	c.DangerousInternals().HandleFrame(context.Background(), frame(t)) //nolint:staticcheck // there is no other way to it
	if got := queueOf(c)(); got != 1 {
		t.Errorf("the queue has %d, want 1: the field has another name, or another kind", got)
	}
}

// frame is a stanza as it comes off the wire.
func frame(t *testing.T) []byte {
	t.Helper()
	b, err := waBinary.Marshal(waBinary.Node{Tag: "message"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPayload(t *testing.T) {
	n, err := New(Options{Version: "2.3000.123", PhoneClient: "Loja", PhoneName: "firefox", Transport: http.DefaultTransport})
	if err != nil {
		t.Fatal(err)
	}
	if n.Version() != "2.3000.123" {
		t.Errorf("the version is %s", n.Version())
	}
	d := openDevices(t).NewDevice()
	p := n.payload(d, true)
	if v := p.GetUserAgent().GetAppVersion(); v.GetPrimary() != 2 || v.GetSecondary() != 3000 || v.GetTertiary() != 123 {
		t.Errorf("it announces %v", v)
	}
	var props waCompanionReg.DeviceProps
	if err := proto.Unmarshal(p.GetDevicePairingData().GetDeviceProps(), &props); err != nil {
		t.Fatal(err)
	}
	if props.GetOs() != "Loja" || props.GetPlatformType() != waCompanionReg.DeviceProps_FIREFOX || !props.GetRequireFullSync() {
		t.Errorf("it shows %v", &props)
	}
	d.ID = &types.JID{User: "1", Device: 2, Server: types.DefaultUserServer}
	if v := n.payload(d, false).GetUserAgent().GetAppVersion(); v.GetTertiary() != 123 {
		t.Errorf("logging in, it announces %v", v)
	}
	if store.GetWAVersion().String() == n.Version() {
		t.Error("the package variable was changed: connections of other sessions read it")
	}
	for _, bad := range []string{"2.3000", "x", "0.0.0"} {
		if _, err := New(Options{Version: bad}); err == nil {
			t.Errorf("the version %q was taken", bad)
		}
	}
	if _, err := New(Options{Patience: time.Hour}); err == nil {
		t.Error("a patience beyond whatsmeow's was taken")
	}
}

func testVersions(t *testing.T, dir string, answer func() (store.WAVersionContainer, error)) *versions {
	t.Helper()
	v, err := newVersions("", dir, true, http.DefaultTransport, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v.lookUp = func(context.Context) (store.WAVersionContainer, error) { return answer() }
	return v
}

func TestVersions(t *testing.T) {
	dir := t.TempDir()
	var calls atomic.Int32
	newer := store.WAVersionContainer{2, 3000, 4_000_000_000}
	v := testVersions(t, dir, func() (store.WAVersionContainer, error) { calls.Add(1); return newer, nil })
	v.refresh(context.Background())
	v.refresh(context.Background()) // right after: not asked again
	if v.get() != newer || calls.Load() != 1 {
		t.Errorf("got %v after %d look-ups", v.get(), calls.Load())
	}
	// The next start knows it though the look-up fails.
	v = testVersions(t, dir, func() (store.WAVersionContainer, error) { return store.WAVersionContainer{}, errors.New("no network") })
	v.refresh(context.Background())
	if v.get() != newer {
		t.Errorf("after a failed look-up: %v", v.get())
	}
	// A file that is older than the binary, or broken, is of no use.
	for _, text := range []string{"2.3000.1\n", "nonsense"} {
		if err := os.WriteFile(filepath.Join(dir, versionFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if v = testVersions(t, dir, nil); v.get() != store.GetWAVersion() {
			t.Errorf("with %q kept: %v", text, v.get())
		}
	}
}

// Stanzas are never logged, long lines are cut, and lines below the least level left out.
func TestLogHidesStanzas(t *testing.T) {
	var out bytes.Buffer
	log := newWALogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 8})), slog.LevelWarn)
	log.Infof("a line below the least level")
	log.Sub("Recv").Debugf("%s", "<message secret/>")
	log.Sub("Send").Debugf("%s", "<message secret/>")
	log.Warnf("Node handling took long for %s", strings.Repeat("x", 2000))
	if strings.Contains(out.String(), "secret") || strings.Contains(out.String(), "below") || out.Len() > 1000 || !strings.Contains(out.String(), "Node handling") {
		t.Errorf("got %s", out.String())
	}
}

// pipe is a socket whose other side the test plays.
type pipe struct {
	in     chan []byte
	closed chan struct{}
	wrote  bytes.Buffer
}

func (p *pipe) Read(b []byte) (int, error) {
	select {
	case data := <-p.in:
		return copy(b, data), nil
	case <-p.closed:
		return 0, io.EOF
	}
}
func (p *pipe) Write(b []byte) (int, error) { return p.wrote.Write(b) }
func (p *pipe) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

type pipeTransport struct{ p *pipe }

func (t pipeTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: t.p}, nil
}

func openGate(t *testing.T) (*gate, *pipe, io.ReadWriteCloser) {
	t.Helper()
	g, p := newGate(), &pipe{in: make(chan []byte, 1), closed: make(chan struct{})}
	resp, err := g.client(pipeTransport{p}).Get("http://whatsapp") //nolint:bodyclose // the body is the pipe, which the test closes
	if err != nil {
		t.Fatal(err)
	}
	return g, p, resp.Body.(io.ReadWriteCloser)
}

// Nothing leaves once the gate is shut, and the end is told before the reader
// hears of it.
func TestGate(t *testing.T) {
	g, p, conn := openGate(t)
	if _, err := conn.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	p.in <- []byte("x")
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	detached := false
	g.detach = func(<-chan struct{}) { detached = true }
	if !g.close() {
		t.Error("the gate did not know its socket")
	}
	if _, err := conn.Write([]byte("after")); !errors.Is(err, errShut) || p.wrote.String() != "before" {
		t.Errorf("got %v, and %q went out", err, p.wrote.String())
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || !detached {
		t.Errorf("reading gave %v; detached: %v", err, detached)
	}
	<-g.ended
	if _, err := g.client(pipeTransport{p}).Get("http://whatsapp"); err == nil { //nolint:bodyclose // there is none
		t.Error("a gate that is shut let a new socket through")
	}
	if newGate().close() {
		t.Error("a gate without a socket said that there is a reader")
	}
}

// Nothing leaves a gate that is shut before an answer came either, but the client,
// which waits for the answer, is not told by an error: it gets an empty one.
func TestGateWithoutAnswer(t *testing.T) {
	g, p, conn := openGate(t)
	g.close()
	if n, err := conn.Write([]byte("hello")); n != 5 || err != nil || p.wrote.Len() != 0 {
		t.Errorf("got %d, %v, and %q went out", n, err, p.wrote.String())
	}
	room := make([]byte, 4096)
	if n, err := conn.Read(room); err != nil || string(room[:n]) != noAnswer {
		t.Errorf("reading gave %q, %v", room[:n], err)
	}
	if _, err := conn.Read(room); err == nil {
		t.Error("the end was not told")
	}
	<-g.ended
}

// A long queue slows reading down; one that is nearly full ends the line.
func TestGateHoldsBack(t *testing.T) { synctest.Test(t, testGateHoldsBack) }

func testGateHoldsBack(t *testing.T) {
	g, p, conn := openGate(t)
	var queued, full atomic.Int32
	g.queued = func() int { return int(queued.Load()) }
	g.full = func() { full.Add(1) }
	read := func() time.Duration {
		p.in <- []byte("x")
		start := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	queued.Store(queueHigh)
	if took := read(); took != 0 {
		t.Errorf("a short queue held a read for %s", took)
	}
	queued.Store(queueHigh + 1)
	if took := read(); took < slowRead || full.Load() != 0 {
		t.Errorf("a long queue held a read for %s, full %d", took, full.Load())
	}
	queued.Store(queueFull + 1)
	if read(); full.Load() != 1 {
		t.Error("a full queue went unnoticed")
	}
	_ = conn.Close()
}
