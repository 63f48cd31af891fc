package evolution

import (
	"cmp"
	"encoding/json"

	"pombo"
)

// clientName stands in the rows of 2.x, where it tells installations that share
// a database apart.
const clientName = "pombo"

// Created is the answer to POST /instance/create, in the dialect of the request
// or, if it does not tell, in d. It fails only if a QR code cannot be drawn.
func (c *CreateInstance) Created(d Dialect, v pombo.InstanceView) (json.RawMessage, error) {
	if c.Dialect != 0 {
		d = c.Dialect
	}
	var o ordered
	if d == V1 {
		o = c.createdV1(v)
	} else {
		o = c.createdV2(v)
	}
	if c.New.QRCode {
		q, err := qrCode(v.QR)
		if err != nil {
			return nil, err
		}
		o = append(o, member{"qrcode", q})
	}
	return raw(o), nil
}

type emptyObject struct{}

func (c *CreateInstance) createdV1(v pombo.InstanceView) ordered {
	return ordered{
		{"instance", ordered{
			{"instanceName", v.Name},
			{"instanceId", v.ID},
			{"integration", v.Integration},
			{"webhook_wa_business", nil},
			{"access_token_wa_business", ""},
			{"status", "created"},
		}},
		{"hash", hashV1(v)},
		{"webhook", c.createdWebhook("webhook", "webhook_by_events", "webhook_base64", "")},
		{"websocket", emptyObject{}},
		{"rabbitmq", emptyObject{}},
		{"sqs", emptyObject{}},
		{"typebot", ordered{{"enabled", false}}},
		{"settings", settingsV1(v.Settings)},
	}
}

// hashV1 is what opens the instance.
func hashV1(v pombo.InstanceView) ordered {
	if v.JWT != "" {
		return ordered{{"jwt", v.JWT}}
	}
	return ordered{{"apikey", v.Token}}
}

func (c *CreateInstance) createdV2(v pombo.InstanceView) ordered {
	return ordered{
		{"instance", ordered{
			{"instanceName", v.Name},
			{"instanceId", v.ID},
			{"integration", v.Integration},
			{"webhookWaBusiness", nil},
			{"accessTokenWaBusiness", ""},
			{"status", v.State},
		}},
		{"hash", cmp.Or(v.JWT, v.Token)},
		{"webhook", c.createdWebhook("webhookUrl", "webhookByEvents", "webhookBase64", "webhookHeaders")},
		{"websocket", emptyObject{}},
		{"rabbitmq", emptyObject{}},
		{"nats", emptyObject{}},
		{"sqs", emptyObject{}},
		{"settings", append(settingsV2(v.Settings), member{"wavoipToken", ""})},
	}
}

// createdWebhook shows the webhook of a new instance under the given keys.
func (c *CreateInstance) createdWebhook(url, byEvents, base64, headers string) ordered {
	if c.New.Webhook == nil {
		return ordered{}
	}
	w := c.New.Webhook.Apply(pombo.Webhook{})
	o := ordered{{url, w.URL}}
	if headers != "" && len(w.Headers) > 0 {
		o = append(o, member{headers, w.Headers})
	}
	return append(o, member{byEvents, w.ByEvents}, member{base64, w.Base64}, member{"events", listEvents(w)})
}

func settingsV1(s pombo.Settings) ordered {
	return ordered{
		{"reject_call", s.RejectCall},
		{"msg_call", s.MsgCall},
		{"groups_ignore", s.GroupsIgnore},
		{"always_online", s.AlwaysOnline},
		{"read_messages", s.ReadMessages},
		{"read_status", s.ReadStatus},
		{"sync_full_history", s.SyncFullHistory},
	}
}

func settingsV2(s pombo.Settings) ordered {
	return ordered{
		{"rejectCall", s.RejectCall},
		{"msgCall", s.MsgCall},
		{"groupsIgnore", s.GroupsIgnore},
		{"alwaysOnline", s.AlwaysOnline},
		{"readMessages", s.ReadMessages},
		{"readStatus", s.ReadStatus},
		{"syncFullHistory", s.SyncFullHistory},
	}
}

// qrCode is what a phone scans, as connect and create answer it. Before the
// first code it is {"count":0}.
func qrCode(q pombo.QR) (ordered, error) {
	if q.Code == "" {
		return ordered{{"count", 0}}, nil
	}
	image, err := QRImage(q.Code)
	if err != nil {
		return nil, err
	}
	return ordered{
		{"pairingCode", nullable(q.PairingCode)},
		{"code", q.Code},
		{"base64", image},
		{"count", q.Count},
	}, nil
}

// ConnectionState is the answer to GET /instance/connectionState, and that to a
// restart in 1.x.
func ConnectionState(v pombo.InstanceView) json.RawMessage { return raw(connectionState(v)) }

func connectionState(v pombo.InstanceView) ordered {
	return ordered{{"instance", ordered{{"instanceName", v.Name}, {"state", v.State}}}}
}

// Connected is the answer to GET /instance/connect, and that to a restart in
// 2.x: the code to scan while there is one, otherwise the state, followed by
// "count" while a code is still awaited. It fails only if the code cannot be
// drawn.
func Connected(v pombo.InstanceView) (json.RawMessage, error) {
	if v.State == pombo.StateOpen || v.QR.Code == "" && v.Paired() {
		return ConnectionState(v), nil
	}
	q, err := qrCode(v.QR)
	if err != nil {
		return nil, err
	}
	if v.QR.Code == "" {
		q = append(connectionState(v), q...)
	}
	return raw(q), nil
}

// Success is the answer to a logout or a deletion, with a sentence about it.
func Success(message string) json.RawMessage {
	return raw(ordered{{"status", "SUCCESS"}, {"error", false}, {"response", ordered{{"message", message}}}})
}

// Rows is the answer to GET /instance/fetchInstances in 2.x. Values that are
// not known are null; no key is ever left out.
func Rows(views []pombo.InstanceView) json.RawMessage {
	rows := make([]ordered, 0, len(views))
	for _, v := range views {
		rows = append(rows, row(v))
	}
	return raw(rows)
}

func row(v pombo.InstanceView) ordered {
	var owner, code, at any
	if v.JID != "" {
		owner = BareJID(v.JID)
	}
	if v.Disconnection.Code != 0 {
		code = v.Disconnection.Code
	}
	if !v.Disconnection.At.IsZero() {
		at = timestamp(v.Disconnection.At)
	}
	created, updated := timestamp(v.CreatedAt), timestamp(v.UpdatedAt)
	setting := append(ordered{{"id", v.ID}}, settingsV2(v.Settings)...)
	setting = append(setting, member{"wavoipToken", ""}, member{"createdAt", created}, member{"updatedAt", updated}, member{"instanceId", v.ID})
	return ordered{
		{"id", v.ID},
		{"name", v.Name},
		{"connectionStatus", v.State},
		{"ownerJid", owner},
		{"profileName", nullable(v.ProfileName)},
		{"profilePicUrl", nullable(v.ProfilePictureURL)},
		{"integration", v.Integration},
		{"number", nullable(v.Number)},
		{"businessId", nil},
		{"token", v.Token},
		{"clientName", clientName},
		{"disconnectionReasonCode", code},
		{"disconnectionObject", nullable(v.Disconnection.Object)},
		{"disconnectionAt", at},
		{"createdAt", created},
		{"updatedAt", updated},
		{"Chatwoot", nil},
		{"Proxy", nil},
		{"Rabbitmq", nil},
		{"Nats", nil},
		{"Sqs", nil},
		{"Websocket", nil},
		{"Setting", setting},
		{"_count", ordered{{"Message", 0}, {"Contact", 0}, {"Chat", 0}}},
	}
}

// Exposure says what 1.x shows of an instance beside its state.
type Exposure struct {
	Keys      bool   // tell serverUrl, apikey and integration
	ServerURL string // as serverUrl
}

// RowsV1 is the answer to GET /instance/fetchInstances in 1.x: an array of
// {"instance":{…}} or, if single, the first of them by itself.
func RowsV1(views []pombo.InstanceView, single bool, e Exposure) json.RawMessage {
	rows := make([]ordered, 0, len(views))
	for _, v := range views {
		rows = append(rows, ordered{{"instance", rowV1(v, e)}})
	}
	if single && len(rows) > 0 {
		return raw(rows[0])
	}
	return raw(rows)
}

func rowV1(v pombo.InstanceView, e Exposure) ordered {
	o := ordered{{"instanceName", v.Name}, {"instanceId", v.ID}}
	if v.State == pombo.StateOpen {
		name := v.ProfileName
		if name == "" {
			name = "not loaded"
		}
		o = append(o,
			member{"owner", BareJID(v.JID)},
			member{"profileName", name},
			member{"profilePictureUrl", nullable(v.ProfilePictureURL)},
			member{"profileStatus", ""})
	}
	o = append(o, member{"status", v.State})
	if e.Keys {
		integration := ordered{{"integration", v.Integration}}
		if v.Number != "" {
			integration = append(integration, member{"number", v.Number})
		}
		integration = append(integration, member{"token", v.Token}, member{"webhook_wa_business", nil})
		o = append(o, member{"serverUrl", e.ServerURL}, member{"apikey", v.Token}, member{"integration", integration})
	}
	return o
}

// Welcome is the answer to GET /: clients look for "Evolution API" in the
// message and for a version. webVersion is the version of WhatsApp Web that
// sessions announce; "" is told as null.
func Welcome(version, serverURL, webVersion string) json.RawMessage {
	return raw(ordered{
		{"status", 200},
		{"message", "Welcome to Pombo, which speaks the Evolution API. It is working!"},
		{"version", version},
		{"clientName", clientName},
		{"documentation", serverURL + "/openapi.json"},
		{"whatsappWebVersion", nullable(webVersion)},
	})
}

// CredentialsValid is the answer to POST /verify-creds. The keys are those of
// an integration that is not served, and empty.
func CredentialsValid() json.RawMessage {
	return raw(ordered{
		{"status", 200},
		{"message", "Credentials are valid"},
		{"facebookAppId", ""},
		{"facebookConfigId", ""},
		{"facebookUserToken", ""},
	})
}
