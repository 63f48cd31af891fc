package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pombo"
)

const (
	globalKey = "GLOBAL-KEY"
	anaKey    = "ANA-KEY"
	bobKey    = "BOB-KEY"
)

var made = time.Date(2025, 6, 30, 12, 0, 0, 0, time.UTC)

// fake is the gateway behind the API: it keeps what it is told, and fails as
// the real one does.
type fake struct {
	views    []pombo.InstanceView
	webhooks map[string]pombo.Webhook
	sent     []pombo.Text
	calls    []string // "connect ana 5511999990000", …
	fail     error    // if set, each call that does something fails with it
	panics   any      // if set, each call that does something panics with it
	complain *testing.T
}

func newFake() *fake {
	view := func(id, name, token string) pombo.InstanceView {
		return pombo.InstanceView{
			Instance: pombo.Instance{ID: pombo.InstanceID(id), Name: name, Token: token, Integration: "WHATSAPP-BAILEYS", CreatedAt: made, UpdatedAt: made},
			State:    pombo.StateClose,
		}
	}
	f := &fake{webhooks: map[string]pombo.Webhook{}}
	f.views = append(f.views, view("id-ana", "ana", anaKey), view("id-bob", "bob", bobKey))
	f.views[0].State, f.views[0].JID = pombo.StateOpen, "5511999990000:3@s.whatsapp.net"
	return f
}

func (f *fake) do(format string, args ...any) error {
	f.calls = append(f.calls, strings.TrimSpace(fmt.Sprintf(format, args...)))
	if f.panics != nil {
		panic(f.panics)
	}
	return f.fail
}

func (f *fake) Get(name string) (pombo.InstanceView, error) {
	for _, v := range f.views {
		if v.Name == name {
			return v, nil
		}
	}
	return pombo.InstanceView{}, pombo.Errorf(pombo.NotFound, "The \"%s\" instance does not exist", name)
}

func (f *fake) List() []pombo.InstanceView { return slices.Clone(f.views) }

func (f *fake) Create(_ context.Context, n pombo.NewInstance) (pombo.InstanceView, error) {
	if err := f.do("create %s", n.Name); err != nil {
		return pombo.InstanceView{}, err
	}
	if _, err := f.Get(n.Name); err == nil {
		return pombo.InstanceView{}, pombo.Errorf(pombo.Forbidden, "This name %q is already in use.", n.Name)
	}
	v := pombo.InstanceView{Instance: pombo.Instance{ID: "id-new", Name: n.Name, Token: n.Token, Integration: n.Integration, Settings: n.Settings, CreatedAt: made, UpdatedAt: made}, State: pombo.StateClose}
	if n.QRCode {
		v.State, v.QR = pombo.StateConnecting, pombo.QR{Code: "2@a,b,c", Count: 1}
	}
	f.views = append(f.views, v)
	return v, nil
}

func (f *fake) Connect(_ context.Context, name, number string) (pombo.InstanceView, error) {
	if err := f.do("connect %s %s", name, number); err != nil {
		return pombo.InstanceView{}, err
	}
	v, err := f.Get(name)
	if v.State == pombo.StateClose {
		v.State, v.QR = pombo.StateConnecting, pombo.QR{Code: "2@a,b,c", Count: 1}
	}
	return v, err
}

func (f *fake) Restart(_ context.Context, name string) (pombo.InstanceView, error) {
	if err := f.do("restart %s", name); err != nil {
		return pombo.InstanceView{}, err
	}
	return f.Get(name)
}

func (f *fake) Logout(_ context.Context, name string) error { return f.do("logout %s", name) }
func (f *fake) Delete(_ context.Context, name string) error { return f.do("delete %s", name) }

func (f *fake) SetWebhook(_ context.Context, name string, c pombo.WebhookChange) (pombo.Webhook, error) {
	if err := f.do("webhook %s", name); err != nil {
		return pombo.Webhook{}, err
	}
	v, err := f.Get(name)
	if err != nil {
		return pombo.Webhook{}, err
	}
	w := c.Apply(f.webhooks[name])
	w.ID, w.Instance, w.CreatedAt, w.UpdatedAt = "hook-"+name, v.ID, made, made
	f.webhooks[name] = w
	return w, nil
}

func (f *fake) Webhook(_ context.Context, name string) (pombo.Webhook, bool, error) {
	w, ok := f.webhooks[name]
	return w, ok, nil
}

func (f *fake) SendText(_ context.Context, name string, t pombo.Text) (pombo.Sent, error) {
	if err := f.do("send %s", name); err != nil {
		return pombo.Sent{}, err
	}
	f.sent = append(f.sent, t)
	return pombo.Sent{Data: []byte(`{"v":2}`), DataV1: []byte(`{"v":1}`)}, nil
}

func (f *fake) SetSettings(_ context.Context, name string, c pombo.SettingsChange) (pombo.Settings, error) {
	if err := f.do("settings %s", name); err != nil {
		return pombo.Settings{}, err
	}
	for i := range f.views {
		if f.views[i].Name == name {
			f.views[i].Settings = c.Apply(f.views[i].Settings)
			return f.views[i].Settings, nil
		}
	}
	return pombo.Settings{}, pombo.Errorf(pombo.NotFound, "The %q instance does not exist", name)
}

func (f *fake) MarkRead(_ context.Context, name string, keys []pombo.MessageKey) error {
	return f.do("read %s %v", name, keys)
}

func (f *fake) ShowPresence(_ context.Context, name string, t pombo.Typing) error {
	return f.do("presence %s %v", name, t)
}

func (f *fake) EditText(_ context.Context, name string, e pombo.Edit) (pombo.Sent, error) {
	return pombo.Sent{Data: []byte(`{"edited":true}`)}, f.do("edit %s %v", name, e)
}

func (f *fake) DeleteMessage(_ context.Context, name string, key pombo.MessageKey) (pombo.Sent, error) {
	return pombo.Sent{Data: []byte(`{"deleted":true}`)}, f.do("revoke %s %v", name, key)
}

func (f *fake) CheckNumbers(_ context.Context, name string, numbers []string) ([]pombo.NumberCheck, error) {
	return []pombo.NumberCheck{{Number: numbers[0], JID: "1@s.whatsapp.net", Exists: true, LID: "2@lid"}}, f.do("numbers %s %v", name, numbers)
}

func (f *fake) Picture(_ context.Context, name, number string) (jid, url string, err error) {
	return number + "@s.whatsapp.net", "", f.do("picture %s %s", name, number)
}

func (f *fake) OpenMedia(ctx context.Context, id string) (*pombo.MediaFile, error) {
	if id == "slow" {
		return fakeFile(), f.slow(ctx)
	}
	return fakeFile(), f.do("open media %s", id)
}

func (f *fake) MessageMedia(ctx context.Context, name string, r pombo.MediaRequest) (*pombo.MediaFile, error) {
	if r.Key.ID == "slow" {
		return fakeFile(), f.slow(ctx)
	}
	return fakeFile(), f.do("media %s %s", name, r.Key.ID)
}

// slow takes longer than a server of tests allows for reading a request.
func (f *fake) slow(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(4 * slowRead):
		return nil
	}
}

const slowRead = 50 * time.Millisecond

func fakeFile() *pombo.MediaFile {
	return &pombo.MediaFile{
		ReadSeekCloser: struct {
			io.ReadSeeker
			io.Closer
		}{strings.NewReader("abcd"), io.NopCloser(nil)},
		Media: pombo.Media{Type: "imageMessage", Mimetype: "image/png", Message: "3A"}, Length: 4,
	}
}

// api is the API over a fake gateway.
type api struct {
	t *testing.T
	*fake
	handler http.Handler
}

func newAPI(t *testing.T, change ...func(*Options)) *api {
	f := newFake()
	f.complain = t
	o := Options{Instances: f, Connections: f, Webhooks: f, Messages: f, Settings: f, Chats: f, Lookups: f, Media: f, WebhookLists: f, Deliveries: shelf{f}, GlobalKey: globalKey, Version: "1.2.3"}
	for _, c := range change {
		c(&o)
	}
	return &api{t, f, New(o)}
}

// response is an answer that was read.
type response struct {
	status int
	header http.Header
	body   string
}

// request makes a request with a key, and checks what is true of every answer.
func (a *api) request(method, target, key, body string, header ...string) response {
	a.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if key != "" {
		r.Header.Set("apikey", key)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	res := w.Result()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if method != http.MethodOptions {
		if ct := res.Header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
			a.t.Errorf("%s %s: content type %q", method, target, ct)
		}
		if !json.Valid(b) && (len(b) > 0 || res.StatusCode != http.StatusCreated) { // a 201 of 1.x may say nothing
			a.t.Errorf("%s %s: body %q is not JSON", method, target, b)
		}
	}
	return response{res.StatusCode, res.Header, string(b)}
}

// expect makes a request with the global key and compares the answer.
func (a *api) expect(method, target, body string, status int, want string) response {
	a.t.Helper()
	return a.expectWith(globalKey, method, target, body, status, want)
}

func (a *api) expectWith(key, method, target, body string, status int, want string) response {
	a.t.Helper()
	res := a.request(method, target, key, body)
	if res.status != status || res.body != want {
		a.t.Errorf("%s %s: %d\n%s\nwant %d\n%s", method, target, res.status, res.body, status, want)
	}
	return res
}

// failure is the body of an error with one sentence.
func failure(status int, message string) string {
	return string(mustJSON(struct {
		Status   int            `json:"status"`
		Error    string         `json:"error"`
		Response map[string]any `json:"response"`
	}{status, http.StatusText(status), map[string]any{"message": []string{message}}}))
}

const unauthorized = `{"status":401,"error":"Unauthorized","response":{"message":"Unauthorized"}}`
