package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image/png"
	"slices"
	"strings"
	"testing"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// qrcode is what a phone scans, as answers and events have it.
type qrcode struct{ Code, Base64, PairingCode string }

// A webhook that is set at creation is told everything from the creation on: the
// code that connecting answers with is the one of the event, and a picture.
func TestPromiseFromTheFirstEvent(t *testing.T) {
	p := newPromise(t)
	var created struct{ Instance struct{ InstanceID string } }
	p.gateway.Must("POST", "/instance/create", map[string]any{
		"instanceName": shop, "integration": "WHATSAPP-BAILEYS", "webhook": map[string]any{"url": p.receiver.URL, "events": []string{}},
	}, &created)
	var answer qrcode
	p.gateway.Must("GET", "/instance/connect/"+shop, nil, &answer)
	if got := p.gateway.State(shop); got != "connecting" {
		t.Errorf("while a code is shown it is %s", got)
	}
	if _, err := p.network.Scan(t.Context(), sandbox.ScanRequest{Code: answer.Code, Number: phone}); err != nil {
		t.Fatal(err)
	}
	p.told(shop, "connecting 200", "open 200")
	pombotest.WaitState(t, p.gateway.Client, shop, "open")

	want := []string{"instance.create", "status.instance", "connection.update", "qrcode.updated", "connection.update"}
	posts := p.receiver.Accepted()
	if got := names(posts, shop); !slices.Equal(got, want) {
		t.Fatalf("told %v, want %v", got, want)
	}
	if got, want := string(posts[0].Data), `{"instanceName":"shop","instanceId":"`+created.Instance.InstanceID+`"}`; got != want {
		t.Errorf("INSTANCE_CREATE tells %s, want %s", got, want)
	}
	if got, want := string(posts[1].Data), `{"instance":"shop","status":"created"}`; got != want {
		t.Errorf("STATUS_INSTANCE tells %s, want %s", got, want)
	}
	var told struct{ QRCode qrcode }
	if err := json.Unmarshal(posts[3].Data, &told); err != nil || told.QRCode != answer {
		t.Errorf("QRCODE_UPDATED tells %+v, connecting answered %+v", told.QRCode, answer)
	}
	picture, ok := strings.CutPrefix(answer.Base64, "data:image/png;base64,")
	file, err := base64.StdEncoding.DecodeString(picture)
	if !ok || err != nil {
		t.Fatalf("the picture is %.40q…, %v", answer.Base64, err)
	}
	if img, err := png.Decode(bytes.NewReader(file)); err != nil || img.Bounds().Dx() < 100 || img.Bounds().Dx() != img.Bounds().Dy() {
		t.Errorf("the picture is %v, %v", img, err)
	}
}

// An instance that is logged out, by the API or on the phone, while it runs or
// while it is stopped, tells so once and can be paired again.
func TestPromiseLogout(t *testing.T) {
	p := newPromise(t)
	p.pair(p.receiver.URL)
	onPhone := func(t *testing.T) {
		removed, err := p.network.Logout(t.Context(), sandbox.LogoutRequest{Number: phone})
		if err != nil || len(removed.Removed) != 1 {
			t.Fatalf("the phone unlinked %v, %v", removed.Removed, err)
		}
	}
	for _, c := range []struct {
		name   string
		logout func(t *testing.T)
	}{
		{"by the API", func(*testing.T) { p.gateway.Must("DELETE", "/instance/logout/"+shop, nil, nil) }},
		{"on the phone", onPhone},
		{"on the phone while stopped", func(t *testing.T) {
			p.gateway.Stop()
			onPhone(t)
			p.gateway.Start()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := len(p.receiver.Accepted())
			c.logout(t)
			var told []string
			p.receiver.Until(t, "the end of the connection", func([]pombotest.Post) bool {
				posts := p.receiver.Accepted()[seen:]
				told = told[:0]
				for _, name := range names(posts, shop) {
					if strings.Contains(name, "instance") || strings.HasPrefix(name, "connection") {
						told = append(told, name) // those of the instance's own lane; chats have theirs
					}
				}
				return slices.ContainsFunc(posts, func(post pombotest.Post) bool {
					return strings.Contains(string(post.Data), `"state":"close","statusReason":401`)
				})
			})
			if n := max(len(told)-3, 0); !slices.Equal(told[n:], []string{"status.instance", "logout.instance", "connection.update"}) {
				t.Errorf("told %v", told)
			}
			checkLoggedOut(t, p)
			pombotest.Scan(t, p.gateway.Client, p.network.Server, shop, phone)
			p.arrives(p.receiver, p.network.Write(contact, phone, c.name))
		})
	}
	p.network.CheckRules(t)
}

// checkLoggedOut checks what is said of shop after a logout.
func checkLoggedOut(t *testing.T, p *promise) {
	t.Helper()
	pombotest.WaitState(t, p.gateway.Client, shop, "close")
	rows := p.get("/instance/fetchInstances?instanceName=" + shop)
	for _, part := range []string{`"connectionStatus":"close"`, `"ownerJid":null`, `"disconnectionReasonCode":401`} {
		if !strings.Contains(rows, part) {
			t.Errorf("there is no %s in %s", part, rows)
		}
	}
	if message := p.gateway.Refused("DELETE", "/instance/logout/"+shop, nil, 400); !strings.Contains(message, "not connected") {
		t.Errorf("a second logout is refused with %s", message)
	}
	state, err := p.network.State(t.Context())
	if err != nil || len(state.Accounts) != 0 {
		t.Errorf("the phone still lists %+v, %v", state.Accounts, err)
	}
}

// A phone can be linked by the eight characters that stand beside the QR code
// once a number is given, at creation or later.
func TestPromisePairingByCode(t *testing.T) {
	p := newPromise(t)
	const other = "5511988880001"
	var created struct{ QRCode qrcode }
	p.gateway.Must("POST", "/instance/create", map[string]any{"instanceName": "other", "qrcode": true, "number": other}, &created)
	pombotest.Create(t, p.gateway.Client, shop, p.receiver.URL)
	p.gateway.Must("GET", "/instance/connect/"+shop, nil, nil) // a code to scan, first
	var later qrcode
	p.gateway.Must("GET", "/instance/connect/"+shop+"?number="+phone, nil, &later)
	for _, c := range []struct{ name, number, code string }{{"other", other, created.QRCode.PairingCode}, {shop, phone, later.PairingCode}} {
		if len(c.code) != 8 {
			t.Errorf("the pairing code of %s is %q", c.name, c.code)
			continue
		}
		if _, err := p.network.Scan(t.Context(), sandbox.ScanRequest{PairingCode: c.code, Number: c.number}); err != nil {
			t.Errorf("typing the code of %s: %v", c.name, err)
			continue
		}
		pombotest.WaitState(t, p.gateway.Client, c.name, "open")
	}
	p.receiver.Wait(t, "qrcode.updated", func(post pombotest.Post) bool {
		return strings.Contains(string(post.Data), `"pairingCode":"`+later.PairingCode+`"`)
	})
	p.network.CheckRules(t)
}

// After QRCODE_LIMIT codes that nobody scanned, over however many connections, the
// instance is closed; connecting begins anew.
func TestPromiseQRCodeLimit(t *testing.T) {
	p := newPromise(t, "QRCODE_LIMIT=2")
	p.gateway.Must("POST", "/instance/create", map[string]any{
		"instanceName": shop, "webhook": map[string]any{"url": p.receiver.URL, "events": []string{"QRCODE_UPDATED", "CONNECTION_UPDATE"}},
	}, nil)
	count := func() (n int) {
		t.Helper()
		var answer struct{ Count int }
		p.gateway.Must("GET", "/instance/connect/"+shop, nil, &answer)
		return answer.Count
	}
	if n := count(); n != 1 {
		t.Errorf("the first code is number %d", n)
	}
	again := func() { // each connection begins with another code
		p.network.Down()
		p.network.Up()
	}
	shown := func(n int) {
		t.Helper()
		p.receiver.Until(t, "the next code", func([]pombotest.Post) bool { return len(p.receiver.Named("qrcode.updated")) == n })
	}
	again()
	shown(2)
	again()
	shown(3)
	pombotest.WaitState(t, p.gateway.Client, shop, "close")
	last := p.receiver.Named("qrcode.updated")[2]
	if !strings.Contains(string(last.Data), "QR code limit reached") {
		t.Errorf("after two codes came %s", last.Data)
	}
	p.told(shop, "connecting 200", "refused 428")
	if n := count(); n != 1 {
		t.Errorf("asked again, the code is number %d", n)
	}
}
