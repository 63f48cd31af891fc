package evolution

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pombo"
)

func TestEnvelope(t *testing.T) {
	in := EnvelopeInput{
		Event: pombo.MessagesUpsert, Instance: "my \"ação\" <1>\n\x7f", Data: json.RawMessage(`{"a":1}`), Destination: "https://a.b/wh?x=1&y=2",
		Time: time.Date(2025, 6, 30, 9, 0, 0, 1_999_999, time.FixedZone("", -3*3600)), Sender: "5511888880000@s.whatsapp.net", ServerURL: "http://localhost:8080", APIKey: "ABC",
	}
	const want = `{"event":"messages.upsert","instance":"my \"ação\" <1>\u000a\u007f","data":{"a":1},"destination":"https://a.b/wh?x=1&y=2","date_time":"2025-06-30T12:00:00.001Z","sender":"5511888880000@s.whatsapp.net","server_url":"http://localhost:8080","apikey":"ABC"}`
	if got, at := Envelope(in); string(got) != want || !strings.HasPrefix(string(got[at:]), `{"a":1}`) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	got, _ := Envelope(EnvelopeInput{Event: pombo.LogoutInstance, Instance: "x", Destination: "https://a.b", Time: made})
	if want := `{"event":"logout.instance","instance":"x","data":null,"destination":"https://a.b","date_time":"2025-06-30T12:00:00.000Z","apikey":null}`; string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func FuzzEnvelopeStrings(f *testing.F) {
	f.Add("a\xffb\u2028\"\\\x00")
	f.Fuzz(func(t *testing.T, s string) {
		var got struct{ Instance string }
		body, _ := Envelope(EnvelopeInput{Instance: s})
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(s)); got.Instance != want { // each byte that is not UTF-8 becomes U+FFFD
			t.Fatalf("%q became %q", s, got.Instance)
		}
	})
}

func BenchmarkEnvelope(b *testing.B) {
	in := EnvelopeInput{Event: pombo.MessagesUpsert, Instance: "my-instance", Data: json.RawMessage(strings.Repeat(" ", 600) + "{}"),
		Destination: "https://a.b/wh", Time: made, Sender: "5511888880000@s.whatsapp.net", ServerURL: "http://localhost:8080", APIKey: "ABC"}
	b.ReportAllocs()
	for b.Loop() {
		Envelope(in)
	}
}

func TestEventURL(t *testing.T) {
	for base, want := range map[string]string{
		"https://a.b":                 "https://a.b/messages-upsert",
		"https://a.b/":                "https://a.b/messages-upsert",
		"https://a.b/wh":              "https://a.b/wh/messages-upsert",
		"https://a.b/wh///":           "https://a.b/wh/messages-upsert",
		"https://a.b/wh?token=a/b?c":  "https://a.b/wh/messages-upsert?token=a/b?c",
		"https://a.b/wh/?token=x#top": "https://a.b/wh/messages-upsert?token=x",
		"https://a.b?x":               "https://a.b/messages-upsert?x",
		"http://u:p@[::1]:80/%2F/":    "http://u:p@[::1]:80/%2F/messages-upsert",
	} {
		if got, err := EventURL(base, true, pombo.MessagesUpsert); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", base, got, err, want)
		}
		if got, err := EventURL(base, false, pombo.MessagesUpsert); err != nil || got != base {
			t.Errorf("%s: %s, %v", base, got, err)
		}
	}
	for e, want := range map[pombo.EventName]string{pombo.GroupUpdate: "groups-update", pombo.GroupParticipantsUpdate: "group-participants-update", pombo.TypebotChangeStatus: "typebot-change-status", pombo.Call: "call"} {
		if got, err := EventURL("https://a.b", true, e); err != nil || got != "https://a.b/"+want {
			t.Errorf("%s: %s, %v", e, got, err)
		}
	}
	if got, err := EventURL("https://a.b", true, "NOPE"); err == nil {
		t.Errorf("an event that does not exist: %s", got)
	}
	if got, err := EventURL("vazio", false, pombo.Call); err == nil {
		t.Errorf("a URL that is none: %s", got)
	}
}

func TestAttemptHeader(t *testing.T) {
	w := pombo.Webhook{Headers: map[string]string{"jwt_key": "secret", "authorization": "Basic x", "X-Own": "1", "content-type": "text/x"}}
	now := time.Now()
	h, err := AttemptHeader(w, "msg_1", now)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"X-Own": "1", "Content-Type": "text/x", "Webhook-Id": "msg_1", "User-Agent": "Pombo/" + pombo.Version, "Accept": "application/json, text/plain, */*", "jwt_key": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(strings.Join(flatten(h), " "), "secret") {
		t.Errorf("the secret is sent: %v", h)
	}
	text, isBearer := strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	if !isBearer {
		t.Fatalf("Authorization %q", h.Get("Authorization"))
	}
	claims := jwt.MapClaims{}
	token, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return []byte("secret"), nil }, jwt.WithValidMethods([]string{"HS256"}))
	if err != nil || token.Header["typ"] != "JWT" {
		t.Fatalf("token %v, %v", token, err)
	}
	if claims["iat"] != float64(now.Unix()) || claims["exp"] != float64(now.Unix()+600) || claims["app"] != "evolution" || claims["action"] != "webhook" || len(claims) != 4 {
		t.Errorf("claims %v", claims)
	}
	h, err = AttemptHeader(pombo.Webhook{Headers: map[string]string{"authorization": "Basic x"}}, "", now)
	if err != nil || h.Get("Authorization") != "Basic x" || h.Get("Content-Type") != "application/json" || h.Values("Webhook-Id") != nil {
		t.Errorf("%v, %v", h, err)
	}
}

func flatten(h http.Header) (all []string) {
	for name, values := range h {
		all = append(all, name)
		all = append(all, values...)
	}
	return all
}

func TestPayloads(t *testing.T) {
	i := pombo.Instance{ID: "id-1", Name: "my-instance"}
	d := pombo.Disconnection{Code: 401, Object: DisconnectionObject(401, made), At: made}
	for _, test := range []struct{ name, got, want string }{
		{"INSTANCE_CREATE", string(InstanceCreated(i)), `{"instanceName":"my-instance","instanceId":"id-1"}`},
		{"INSTANCE_DELETE", string(InstanceDeleted(i)), `{"instanceName":"my-instance","instanceId":"id-1"}`},
		{"STATUS_INSTANCE created", string(StatusInstance("my-instance", StatusCreated, pombo.Disconnection{})), `{"instance":"my-instance","status":"created"}`},
		{"STATUS_INSTANCE closed", string(StatusInstance("my-instance", StatusClosed, d)),
			`{"instance":"my-instance","status":"closed","disconnectionAt":"2025-06-30T12:00:00.000Z","disconnectionReasonCode":401,"disconnectionObject":"{\"error\":{\"data\":null,\"isBoom\":true,\"isServer\":false,\"output\":{\"statusCode\":401,\"payload\":{},\"headers\":{}}},\"date\":\"2025-06-30T12:00:00.000Z\"}"}`},
		{"CONNECTION_UPDATE connecting", string(ConnectionUpdate(Connection{Instance: "my-instance", State: pombo.StateConnecting})), `{"instance":"my-instance","state":"connecting","statusReason":200}`},
		{"CONNECTION_UPDATE open", string(ConnectionUpdate(Connection{Instance: "my-instance", State: pombo.StateOpen, JID: "5511888880000:3@s.whatsapp.net", ProfileName: "Me"})),
			`{"instance":"my-instance","wuid":"5511888880000@s.whatsapp.net","profileName":"Me","profilePictureUrl":null,"state":"open","statusReason":200}`},
		{"CONNECTION_UPDATE refused", string(ConnectionUpdate(Connection{Instance: "my-instance", State: StateRefused, StatusReason: 428})), `{"instance":"my-instance","state":"refused","statusReason":428}`},
		{"QRCODE_UPDATED at the limit", string(QRCodeLimitReached()), `{"message":"QR code limit reached, please login again","statusCode":500}`},
		{"APPLICATION_STARTUP", string(ApplicationStartup(i, "1.2.3")), `{"instance":"my-instance","instanceId":"id-1","version":"1.2.3"}`},
		{"LOGOUT_INSTANCE", string(LogoutInstance()), `null`},
		{"REMOVE_INSTANCE", string(RemoveInstance()), `null`},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, test.got, test.want)
		}
	}
	q, err := QRCodeUpdated("my-instance", pombo.QR{Code: "2@a,b", Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, image := cutImage(string(q))
	if want := `{"qrcode":{"instance":"my-instance","pairingCode":null,"code":"2@a,b","base64":""}}`; got != want {
		t.Errorf("QRCODE_UPDATED: %s\nwant %s", got, want)
	}
	checkImage(t, image)
	if _, err := QRCodeUpdated("x", pombo.QR{Code: strings.Repeat("x", 5000)}); err == nil {
		t.Error("a code too long was drawn")
	}
}

func TestBareJID(t *testing.T) {
	for jid, want := range map[string]string{"1:3@s.whatsapp.net": "1@s.whatsapp.net", "1@lid": "1@lid", "": "", "x": "x"} {
		if got := BareJID(jid); got != want {
			t.Errorf("%q: %q, want %q", jid, got, want)
		}
	}
}
