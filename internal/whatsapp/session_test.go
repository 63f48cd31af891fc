package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"pombo"
	"pombo/internal/sandbox"
)

// states are the states that CONNECTION_UPDATE told, with their reasons.
func (w *world) states() string {
	w.t.Helper()
	var out []string
	for _, e := range w.sink.named(pombo.ConnectionUpdate) {
		var data struct {
			State        string
			StatusReason int
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, data.State+" "+strconv.Itoa(data.StatusReason))
	}
	return strings.Join(out, ", ")
}

func TestPairReceiveSend(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	if jid := w.reg.paired(); !strings.HasPrefix(jid, account1+":") {
		t.Errorf("the registry has %q", jid)
	}
	id := w.write("Oi!")
	e := w.event(pombo.MessagesUpsert, id)
	if e.Chat != chat1 || e.Sender != jid1 || !strings.Contains(string(e.Data), `"conversation":"Oi!"`) {
		t.Errorf("got %+v\n%s", e, e.Data)
	}
	w.eventually("the message is confirmed", func() bool { return w.confirmed()[id] })

	sent, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "Olá"})
	if err != nil {
		t.Fatal(err)
	}
	if e := w.event(pombo.SendMessage, sent.ID); string(e.Data) != string(sent.Data) || e.Chat != chat1 {
		t.Errorf("the event has %s, the answer %s", e.Data, sent.Data)
	}
	if w.event(pombo.MessagesUpdate, `"status":"DELIVERY_ACK"`).Chat != chat1 {
		t.Error("the receipt is in another lane")
	}
	got, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: contact1})
	if err != nil || len(got) != 1 || got[0].Text != "Olá" || got[0].ID != sent.ID {
		t.Errorf("the contact has %+v, %v", got, err)
	}
	for _, kind := range []string{"read", "played"} {
		if err := w.box.SendReceipt(w.ctx(), sandbox.ReceiptRequest{ID: sent.ID, Type: kind, Number: contact1}); err != nil {
			t.Fatal(err)
		}
	}
	w.event(pombo.MessagesUpdate, `"status":"READ"`)
	w.event(pombo.MessagesUpdate, `"status":"PLAYED"`)
	if got := w.states(); got != "connecting 200, open 200" {
		t.Errorf("the states told are %s", got)
	}
	w.noViolations()
}

// What the account writes on its phone comes as a message of ours.
func TestFromThePhone(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	r, err := w.box.SendMessage(w.ctx(), sandbox.SendRequest{From: account1, To: contact1, Text: "do celular"})
	if err != nil {
		t.Fatal(err)
	}
	e := w.event(pombo.MessagesUpsert, r.ID)
	if !strings.Contains(string(e.Data), `"fromMe":true`) || !strings.Contains(string(e.Data), `"conversation":"do celular"`) || e.Chat != chat1 {
		t.Errorf("got %s in %s", e.Data, e.Chat)
	}
}

// A contact known by its hidden form and by its number has one lane.
func TestOneLaneForBothForms(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	for _, form := range []string{"pn", "lid"} {
		r, err := w.box.SendMessage(w.ctx(), sandbox.SendRequest{From: contact1, To: account1, Text: "oi", Addressing: form})
		if err != nil {
			t.Fatal(err)
		}
		e := w.event(pombo.MessagesUpsert, r.ID)
		if e.Chat != chat1 || !strings.Contains(string(e.Data), `"remoteJid":"`+chat1+`","remoteJidAlt":"`) {
			t.Errorf("%s: got %s in %s", form, e.Data, e.Chat)
		}
	}
}

func TestReconnects(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.cut()
	id := w.write("depois do corte")
	w.event(pombo.MessagesUpsert, id)
	if got := w.states(); got != "connecting 200, open 200, connecting 428, open 200" {
		t.Errorf("the states told are %s", got)
	}
}

// A WhatsApp that refuses for a while gives one CONNECTION_UPDATE, not one for
// each attempt.
func TestUnavailableForAWhile(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.fault(sandbox.FaultRequest{Kind: sandbox.FaultRefuse, Code: 503, Count: 2})
	w.cut()
	if got := w.states(); got != "connecting 200, open 200, connecting 428, open 200" {
		t.Errorf("the states told are %s", got)
	}
}

func TestRestartKeepsThePairing(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.stop()
	if state, _ := w.session.Snapshot(); state != pombo.StateClose {
		t.Errorf("closed, it is %s", state)
	}
	id := w.write("enquanto isso")
	w.start()
	if state, _ := w.connect(""); state != pombo.StateOpen {
		t.Errorf("connected, it is %s", state)
	}
	w.event(pombo.MessagesUpsert, id)
	// The same session can be closed and opened again.
	w.stop()
	if state, _ := w.connect(""); state != pombo.StateOpen {
		t.Errorf("connected again, it is %s", state)
	}
	if err := w.session.Connect(w.ctx(), ""); err != nil {
		t.Errorf("connecting twice: %v", err)
	}
	if state, _ := w.wait(); state != pombo.StateOpen {
		t.Errorf("after a second connect it is %s", state)
	}
}

// loggedOut checks what a logout leaves.
func (w *world) loggedOut(reason int) {
	w.t.Helper()
	w.until(pombo.StateClose)
	w.event(pombo.StatusInstance, `"status":"closed"`)
	w.event(pombo.LogoutInstance, "null")
	w.event(pombo.ConnectionUpdate, `"state":"close","statusReason":`+strconv.Itoa(reason))
	w.eventually("the registry knows", func() bool { return w.reg.paired() == "" })
	for name, want := range map[pombo.EventName]int{pombo.StatusInstance: 1, pombo.LogoutInstance: 1} {
		if got := len(w.sink.named(name)); got != want {
			w.t.Errorf("%d %s, want %d", got, name, want)
		}
	}
	if d, err := w.devices.GetAllDevices(w.ctx()); err != nil || len(d) != 0 {
		w.t.Errorf("%d devices are left, %v", len(d), err)
	}
	w.reg.mu.Lock()
	defer w.reg.mu.Unlock()
	if len(w.reg.out) != 1 || w.reg.out[0].Code != reason || !json.Valid([]byte(w.reg.out[0].Object)) {
		w.t.Errorf("the registry was told %+v", w.reg.out)
	}
}

func TestLogoutFromThePhone(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	if _, err := w.box.Logout(w.ctx(), sandbox.LogoutRequest{Number: account1}); err != nil {
		t.Fatal(err)
	}
	w.loggedOut(401)
	if _, _, err := w.session.Wait(w.ctx()); pombo.KindOf(err) != pombo.Conflict {
		t.Errorf("waiting afterwards: %v", err)
	}
	w.pairAgain()
}

// pairAgain shows that the session is as good as new.
func (w *world) pairAgain() {
	w.t.Helper()
	w.pair()
	id := w.write("de volta")
	w.event(pombo.MessagesUpsert, id)
}

func TestLogout(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	if err := w.session.Logout(w.ctx()); err != nil {
		t.Fatal(err)
	}
	w.loggedOut(401)
	state, err := w.box.State(w.ctx())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range state.Accounts {
		if a.Number == account1 && len(a.Devices) > 0 {
			t.Errorf("WhatsApp still has %+v", a.Devices)
		}
	}
	if err := w.session.Logout(w.ctx()); pombo.KindOf(err) != pombo.Invalid {
		t.Errorf("logging out twice: %v", err)
	}
	w.pairAgain()
}

// A closed session connects to unlink its device.
func TestLogoutWhileClosed(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.stop()
	w.start()
	if err := w.session.Logout(w.ctx()); err != nil {
		t.Fatal(err)
	}
	w.loggedOut(401)
}

// If WhatsApp cannot be told, the device is forgotten all the same.
func TestLogoutWithoutWhatsApp(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.stop()
	w.fault(sandbox.FaultRequest{Kind: sandbox.FaultRefuse, Code: 503})
	ctx, cancel := context.WithTimeout(w.ctx(), 300*time.Millisecond)
	defer cancel()
	err := w.session.Logout(ctx)
	if pombo.KindOf(err) != pombo.Unavailable || !strings.Contains(err.Error(), "Linked devices") {
		t.Errorf("got %v", err)
	}
	w.loggedOut(401)
}

func TestLogoutWhilePairing(t *testing.T) {
	w := newWorld(t, nil)
	w.connect("")
	if err := w.session.Logout(w.ctx()); err != nil {
		t.Fatal(err)
	}
	if state, qr := w.session.Snapshot(); state != pombo.StateClose || qr.Code != "" {
		t.Errorf("got %s %+v", state, qr)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		code   int
		logout bool
		state  string
	}{
		"logged out": {401, true, "close 401"},
		"locked":     {403, true, "close 403"},
		"banned":     {406, true, "close 406"},
		"for a time": {402, false, "close 402"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.pair()
			w.stop()
			w.fault(sandbox.FaultRequest{Kind: sandbox.FaultRefuse, Code: c.code})
			if err := w.session.Connect(w.ctx(), ""); err != nil {
				t.Fatal(err)
			}
			w.until(pombo.StateClose)
			if _, _, err := w.session.Wait(w.ctx()); pombo.KindOf(err) != pombo.Conflict {
				t.Errorf("waiting told %v", err)
			}
			w.event(pombo.ConnectionUpdate, `"statusReason":`+strconv.Itoa(c.code))
			if c.logout {
				w.loggedOut(c.code)
			} else if w.reg.paired() == "" {
				t.Error("the device was forgotten")
			}
		})
	}
}

// Another process with the same device: stop, and say so.
func TestReplaced(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.fault(sandbox.FaultRequest{Kind: sandbox.FaultReplaced})
	w.until(pombo.StateClose)
	w.event(pombo.ConnectionUpdate, `"state":"close","statusReason":440`)
	if w.reg.paired() == "" {
		t.Error("the device was forgotten")
	}
	if state, _ := w.connect(""); state != pombo.StateOpen {
		t.Errorf("asked to connect again, it is %s", state)
	}
}

// A device that is missing makes the instance one without a phone.
func TestMissingDevice(t *testing.T) {
	w := newWorld(t, nil)
	w.reg.jid = account1 + ":3@s.whatsapp.net"
	w.start()
	if err := w.session.Connect(w.ctx(), ""); err != nil {
		t.Fatal(err)
	}
	w.loggedOut(401)
	w.pairAgain()
}

func TestNotConnected(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.session.SendText(w.ctx(), pombo.Text{Number: contact1, Text: "x"})
	if pombo.KindOf(err) != pombo.Invalid || !strings.Contains(err.Error(), `The "loja" instance is not connected`) {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	w.stop()
	w.fault(sandbox.FaultRequest{Kind: sandbox.FaultRefuse, Code: 503})
	if err := w.session.Connect(w.ctx(), ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.ctx(), 20*time.Millisecond)
	defer cancel()
	if state, _, err := w.session.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || state != pombo.StateConnecting {
		t.Errorf("got %s, %v", state, err)
	}
}

// A server that takes the connection and says nothing, as a proxy does whose
// network is gone, does not hold up whoever closes the session; one that ends the
// connection so is tried again at once, not after whatsmeow's 20 s.
func TestCloseDuringHandshake(t *testing.T) {
	taken := make(chan func(), 100) // each ends its connection
	mute := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		taken <- func() { _ = c.CloseNow() }
		for err == nil {
			_, _, err = c.Read(r.Context())
		}
		_ = c.CloseNow()
	}))
	defer mute.Close()
	w := newWorld(t, func(w *world) { w.addr = mute.Listener.Addr().String() })
	for _, mode := range []string{"closed here", "closed there", "closed here"} {
		if err := w.session.Connect(w.ctx(), ""); err != nil {
			t.Fatal(err)
		}
		hangUp := <-taken
		if mode == "closed there" {
			for range 3 {
				hangUp()
				select {
				case hangUp = <-taken:
				case <-time.After(15 * time.Second):
					t.Fatal("waited in vain for the next try")
				}
			}
		}
		start := time.Now()
		w.stop()
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("%s: closing took %s", mode, took)
		}
	}
}

// A device that WhatsApp has logged out is left as it is until its session ends: who
// sends meanwhile looks at it.
func TestDeviceIsKept(t *testing.T) {
	w := newWorld(t, nil)
	w.pair()
	l, err := w.session.live()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.client.Store.Delete(w.ctx()); !errors.Is(err, errKept) || l.client.Store.GetJID() != l.own {
		t.Errorf("got %v, and the device is %s", err, l.client.Store.GetJID())
	}
	if d, err := w.devices.GetAllDevices(w.ctx()); err != nil || len(d) != 1 {
		t.Errorf("%d devices are left, %v", len(d), err)
	}
}
