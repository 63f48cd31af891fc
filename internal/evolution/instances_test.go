package evolution

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"strings"
	"testing"

	"pombo"
)

// cutImage takes the value of "base64" out of an answer.
func cutImage(answer string) (rest, image string) {
	before, after, ok := strings.Cut(answer, `"base64":"`)
	if !ok {
		return answer, ""
	}
	image, after, _ = strings.Cut(after, `"`)
	return before + `"base64":""` + after, image
}

// checkImage checks that a data URL holds a square PNG with the quiet zone that
// scanners need.
func checkImage(t *testing.T, image string) {
	t.Helper()
	data, ok := strings.CutPrefix(image, "data:image/png;base64,")
	if !ok {
		t.Fatalf("image %.40q", image)
	}
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if s := img.Bounds().Size(); s.X != s.Y || s.X < 100 {
		t.Errorf("the image is %v", s)
	}
	for i := range 4 * qrScale {
		if r, _, _, _ := img.At(i, i).RGBA(); r != 0xffff {
			t.Fatalf("pixel %d of the border is not white", i)
		}
	}
	if r, _, _, _ := img.At(4*qrScale, 4*qrScale).RGBA(); r != 0 {
		t.Error("the corner of the code is not black")
	}
}

func TestConnectAnswers(t *testing.T) {
	v := shown
	check := func(name, want string) {
		t.Helper()
		answer, err := Connected(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := cutImage(string(answer)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	check("no code yet", `{"instance":{"instanceName":"my-instance","state":"connecting"},"count":0}`)
	v.QR = pombo.QR{Code: "2@abc", Count: 3}
	check("a code", `{"pairingCode":null,"code":"2@abc","base64":"","count":3}`)
	v.State, v.JID = pombo.StateOpen, "5511999990000:3@s.whatsapp.net"
	check("open, whatever code there was", `{"instance":{"instanceName":"my-instance","state":"open"}}`)
	v.State, v.QR = pombo.StateConnecting, pombo.QR{}
	check("paired and on its way", `{"instance":{"instanceName":"my-instance","state":"connecting"}}`)

	v.QR.Code, v.JID = strings.Repeat("x", 5000), ""
	if _, err := Connected(v); err == nil {
		t.Error("a code too long for any QR code was drawn")
	}
}

func TestRows(t *testing.T) {
	v := shown
	const fresh = `[{"id":"7b1f6c1e-0000-4000-8000-000000000001","name":"my-instance","connectionStatus":"connecting","ownerJid":null,"profileName":null,"profilePicUrl":null,"integration":"WHATSAPP-BAILEYS","number":null,"businessId":null,"token":"TOKEN","clientName":"pombo","disconnectionReasonCode":null,"disconnectionObject":null,"disconnectionAt":null,"createdAt":"2025-06-30T12:00:00.000Z","updatedAt":"2025-06-30T15:00:01.500Z","Chatwoot":null,"Proxy":null,"Rabbitmq":null,"Nats":null,"Sqs":null,"Websocket":null,"Setting":{"id":"7b1f6c1e-0000-4000-8000-000000000001","rejectCall":false,"msgCall":"","groupsIgnore":false,"alwaysOnline":false,"readMessages":false,"readStatus":false,"syncFullHistory":false,"wavoipToken":"","createdAt":"2025-06-30T12:00:00.000Z","updatedAt":"2025-06-30T15:00:01.500Z","instanceId":"7b1f6c1e-0000-4000-8000-000000000001"},"_count":{"Message":0,"Contact":0,"Chat":0}}]`
	if got := string(Rows([]pombo.InstanceView{v})); got != fresh {
		t.Errorf("rows\n%s\nwant\n%s", got, fresh)
	}
	v.JID, v.ProfileName, v.ProfilePictureURL, v.Number = "5511999990000:3@s.whatsapp.net", "Me & Co", "https://pps/x", "5511999990000"
	v.Disconnection = pombo.Disconnection{Code: 401, Object: "{}", At: changed}
	got := string(Rows([]pombo.InstanceView{v}))
	for _, want := range []string{
		`"ownerJid":"5511999990000@s.whatsapp.net","profileName":"Me & Co","profilePicUrl":"https://pps/x"`, `"number":"5511999990000"`,
		`"disconnectionReasonCode":401,"disconnectionObject":"{}","disconnectionAt":"2025-06-30T15:00:01.500Z"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("row %s lacks %s", got, want)
		}
	}
	if got := string(Rows(nil)); got != "[]" {
		t.Errorf("no rows: %s", got)
	}
}

func TestRowsV1(t *testing.T) {
	v := shown
	views := []pombo.InstanceView{v}
	if got, want := string(RowsV1(views, false, Exposure{})), `[{"instance":{"instanceName":"my-instance","instanceId":"7b1f6c1e-0000-4000-8000-000000000001","status":"connecting"}}]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	v.State, v.JID = pombo.StateOpen, "5511999990000:3@s.whatsapp.net"
	views[0] = v
	got := string(RowsV1(views, true, Exposure{Keys: true, ServerURL: "http://localhost:8080"}))
	const want = `{"instance":{"instanceName":"my-instance","instanceId":"7b1f6c1e-0000-4000-8000-000000000001","owner":"5511999990000@s.whatsapp.net","profileName":"not loaded","profilePictureUrl":null,"profileStatus":"","status":"open","serverUrl":"http://localhost:8080","apikey":"TOKEN","integration":{"integration":"WHATSAPP-BAILEYS","token":"TOKEN","webhook_wa_business":null}}}`
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := string(RowsV1(nil, true, Exposure{})); got != "[]" {
		t.Errorf("no rows: %s", got)
	}
}

func TestSmallAnswers(t *testing.T) {
	for got, want := range map[string]string{
		string(ConnectionState(shown)):           `{"instance":{"instanceName":"my-instance","state":"connecting"}}`,
		string(Success("Instance logged out")):   `{"status":"SUCCESS","error":false,"response":{"message":"Instance logged out"}}`,
		string(CredentialsValid()):               `{"status":200,"message":"Credentials are valid","facebookAppId":"","facebookConfigId":"","facebookUserToken":""}`,
		string(Welcome("1.2.3", "http://h", "")): `{"status":200,"message":"Welcome to Pombo, which speaks the Evolution API. It is working!","version":"1.2.3","clientName":"pombo","documentation":"http://h/openapi.json","whatsappWebVersion":null}`,
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestErrorBody(t *testing.T) {
	detailed := pombo.Errorf(pombo.Invalid, "not on WhatsApp")
	detailed.Detail = []any{map[string]any{"exists": false}}
	undetailed := pombo.Errorf(pombo.Invalid, "odd")
	undetailed.Detail = func() {}
	tests := []struct {
		status int
		err    error
		want   string
	}{
		{400, pombo.Errorf(pombo.Invalid, "a <b> & \"c\""), `{"status":400,"error":"Bad Request","response":{"message":["a <b> & \"c\""]}}`},
		{400, detailed, `{"status":400,"error":"Bad Request","response":{"message":[{"exists":false}]}}`},
		{400, undetailed, `{"status":400,"error":"Bad Request","response":{"message":["odd"]}}`},
		{401, pombo.Errorf(pombo.Unauthorized, "x"), `{"status":401,"error":"Unauthorized","response":{"message":"Unauthorized"}}`},
		{404, NoRoute("GET", "/x?y"), `{"status":404,"error":"Not Found","response":{"message":["Cannot GET /x?y"]}}`},
		{500, errSecret{}, `{"status":500,"error":"Internal Server Error","response":{"message":["Internal server error: the server's log tells more"]}}`},
	}
	for _, test := range tests {
		if got := string(ErrorBody(test.status, test.err)); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

type errSecret struct{}

func (errSecret) Error() string { return "secret" }
