package whatsapp

import (
	"strings"
	"testing"
	"time"

	"pombo"
	"pombo/internal/sandbox"
)

// Codes follow one another, over connections, to the limit.
func TestQRLimit(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.options.QRLimit = 8 // WhatsApp gives six per connection
		w.timing.qrFirst, w.timing.qrNext = 5*time.Millisecond, 5*time.Millisecond
	})
	if err := w.session.Connect(w.ctx(), ""); err != nil {
		t.Fatal(err)
	}
	w.until(pombo.StateClose)
	shown := map[string]bool{}
	for _, e := range w.sink.named(pombo.QRCodeUpdated) {
		shown[string(e.Data)] = true
	}
	if len(shown) != 9 || !shown[`{"message":"QR code limit reached, please login again","statusCode":500}`] {
		t.Errorf("%d different QRCODE_UPDATED, want 8 codes and the limit", len(shown))
	}
	if got := w.states(); got != "connecting 200, refused 428" {
		t.Errorf("the states told are %s", got)
	}
	if _, _, err := w.session.Wait(w.ctx()); pombo.KindOf(err) != pombo.Conflict {
		t.Errorf("waiting told %v", err)
	}
	w.net.timing.qrFirst = time.Hour // nobody looks at it now
	if _, qr := w.connect(""); qr.Count != 1 {
		t.Errorf("asked again, the count is %d", qr.Count)
	}
}

func TestPairingCode(t *testing.T) {
	w := newWorld(t, nil)
	_, qr := w.connect(account1)
	if len(qr.PairingCode) != 8 || qr.Code == "" || qr.Count != 1 {
		t.Fatalf("got %+v", qr)
	}
	w.event(pombo.QRCodeUpdated, `"pairingCode":"`+qr.PairingCode+`"`)
	if _, err := w.box.Scan(w.ctx(), sandbox.ScanRequest{PairingCode: qr.PairingCode, Number: account1}); err != nil {
		t.Fatal(err)
	}
	w.until(pombo.StateOpen)
	if !strings.HasPrefix(w.reg.paired(), account1) {
		t.Errorf("the registry has %q", w.reg.paired())
	}
}

// A number that is given while codes are shown brings its pairing code, with the
// same QR code.
func TestPairingCodeLater(t *testing.T) {
	w := newWorld(t, nil)
	_, before := w.connect("")
	_, after := w.connect(account1)
	if before.PairingCode != "" || len(after.PairingCode) != 8 || after.Code != before.Code || after.Count != 1 {
		t.Errorf("got %+v, then %+v", before, after)
	}
}

// A number that is none costs the pairing code, not the pairing.
func TestPairingCodeForNoNumber(t *testing.T) {
	w := newWorld(t, nil)
	if _, qr := w.connect("0123"); qr.Code == "" || qr.PairingCode != "" {
		t.Errorf("got %+v", qr)
	}
}

// The registry hears of the device before it is saved, and while it cannot
// record it nothing is.
func TestRegistryFirst(t *testing.T) {
	w := newWorld(t, func(w *world) { w.timing.patience = 20 * time.Millisecond })
	w.reg.mu.Lock()
	w.reg.fail = errBroken
	w.reg.mu.Unlock()
	_, qr := w.connect("")
	if _, err := w.box.Scan(w.ctx(), sandbox.ScanRequest{Code: qr.Code, Number: account1}); err == nil {
		t.Error("the phone was told that it linked a device")
	}
	if d, err := w.devices.GetAllDevices(w.ctx()); err != nil || len(d) != 0 {
		t.Errorf("%d devices were saved, %v", len(d), err)
	}
	w.reg.mu.Lock()
	w.reg.fail = nil
	w.reg.mu.Unlock()
	w.eventually("another code is shown", func() bool { _, now := w.session.Snapshot(); return now.Code != "" && now.Code != qr.Code })
	w.pairAgain()
}
