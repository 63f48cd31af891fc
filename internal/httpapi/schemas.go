package httpapi

import (
	"maps"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"pombo"
)

// This file holds the words of /openapi.json.

func object(required []string, properties map[string]*huma.Schema) *huma.Schema {
	return &huma.Schema{Type: "object", Properties: properties, Required: required}
}

func typed(kind, text string) *huma.Schema { return &huma.Schema{Type: kind, Description: text} }

func titled(title string, s *huma.Schema) *huma.Schema {
	named := *s
	named.Title = title
	return &named
}

// boolean is a boolean that may also come as a string, as the Set Webhook
// document has it.
func boolean(text string) *huma.Schema {
	return &huma.Schema{Description: text, OneOf: []*huma.Schema{{Type: "boolean"}, {Type: "string", Enum: []any{"true", "false"}}}}
}

func list(item *huma.Schema, text string) *huma.Schema {
	return &huma.Schema{Type: "array", Items: item, Description: text}
}

var errorSchema = object([]string{"status", "error", "response"}, map[string]*huma.Schema{
	"status": typed("integer", "The HTTP status."),
	"error":  typed("string", "The name of the HTTP status."),
	"response": object([]string{"message"}, map[string]*huma.Schema{
		"message": {
			Description: "What is wrong and what to do: an array of sentences or of objects; a string with status 401.",
			OneOf:       []*huma.Schema{{Type: "array", Items: &huma.Schema{}}, {Type: "string"}},
		},
	}),
})

func eventsSchema() *huma.Schema {
	var names []any
	for _, n := range pombo.EventNames() {
		names = append(names, string(n))
	}
	names = append(names, "GROUPS_UPDATE")
	s := list(&huma.Schema{Type: "string", Enum: names}, "The events to send. Missing, null or empty: all of them.")
	s.Nullable = true
	return s
}

func webhookSettings() map[string]*huma.Schema {
	return map[string]*huma.Schema{
		"enabled":           boolean("Whether events are sent. Without it: true."),
		"url":               typed("string", "Where events are posted to (http or https); \"\" with enabled false."),
		"events":            eventsSchema(),
		"webhookByEvents":   boolean("Post each event to its own path below the URL, for example /messages-upsert."),
		"webhook_by_events": boolean("Another spelling of webhookByEvents."),
		"byEvents":          boolean("Another spelling of webhookByEvents."),
		"webhookBase64":     boolean("Include media files as base64."),
		"webhook_base64":    boolean("Another spelling of webhookBase64."),
		"base64":            boolean("Another spelling of webhookBase64."),
		"headers": {
			Type: "object", AdditionalProperties: &huma.Schema{Type: "string"},
			Description: "Headers to send with each event. jwt_key is special: it is the secret of a bearer token that is made for each request.",
		},
		"filter": typed("string", "A CEL expression over event, instance, data, sender and date_time; only events for which it is not false are sent. Empty: all."),
		"secret": typed("string", "Signs each request by the Standard Webhooks scheme: whsec_ and the base64 of 24 to 64 bytes, or \"generate\". The one before stays valid for 24 hours; \"\" removes it."),
	}
}

var webhookSetSchema = &huma.Schema{OneOf: []*huma.Schema{
	titled("Flat (1.x): replaces the webhook", object(nil, webhookSettings())),
	titled("Nested (2.x): keys left out keep their values", object([]string{"webhook"}, map[string]*huma.Schema{"webhook": object(nil, webhookSettings())})),
}}

var createSchema = object([]string{"instanceName"}, with(settingsProperties(), map[string]*huma.Schema{
	"instanceName": typed("string", "1 to 100 characters, without \"/\"."),
	"token":        typed("string", "The instance's own key. Without it one is made."),
	"qrcode":       boolean("Begin pairing at once and answer with the code to scan."),
	"number":       typed("string", "The account's number, for a pairing code."),
	"integration":  {Type: "string", Enum: []any{"WHATSAPP-BAILEYS"}},
	"webhook": {OneOf: []*huma.Schema{
		typed("string", "The URL (1.x), with webhook_by_events, webhook_base64 and events beside it."),
		titled("2.x", object([]string{"url"}, webhookSettings())),
	}},
	"webhook_by_events": boolean("With a webhook of 1.x."),
	"webhook_base64":    boolean("With a webhook of 1.x."),
	"events":            eventsSchema(),
}))

// settingsProperties are the habits of an instance, in both spellings.
func settingsProperties() map[string]*huma.Schema {
	p := map[string]*huma.Schema{}
	for _, s := range []struct{ camel, snake, text string }{
		{"rejectCall", "reject_call", "Reject calls, and answer the caller with msgCall if that is set."},
		{"groupsIgnore", "groups_ignore", "Send no events of groups."},
		{"alwaysOnline", "always_online", "Be shown as online, and let the phone be silent."},
		{"readMessages", "read_messages", "Mark each message that comes as read."},
		{"readStatus", "read_status", "Send events of the status broadcast, and mark what is there as seen."},
		{"syncFullHistory", "sync_full_history", "Ask the phone for the whole history when it is linked."},
	} {
		p[s.camel] = boolean(s.text)
		p[s.snake] = boolean("Another spelling of " + s.camel + ".")
	}
	p["msgCall"] = typed("string", "The message to a caller that was rejected; \"\" for none.")
	p["msg_call"] = typed("string", "Another spelling of msgCall.")
	return p
}

// with returns p with more properties.
func with(p, more map[string]*huma.Schema) map[string]*huma.Schema {
	maps.Copy(p, more)
	return p
}

func textOptions() map[string]*huma.Schema {
	return map[string]*huma.Schema{
		"delay":       typed("integer", "Milliseconds to show \"composing\" before sending."),
		"linkPreview": boolean("Whether a link gets a preview."),
		"quoted": object([]string{"key"}, map[string]*huma.Schema{
			"key": object([]string{"id"}, map[string]*huma.Schema{
				"id": typed("string", "The ID of the message to answer."), "remoteJid": typed("string", ""), "fromMe": boolean(""), "participant": typed("string", ""),
			}),
			"message": typed("object", "The message itself, if it is at hand."),
		}),
	}
}

func sendTextV1() *huma.Schema {
	options := textOptions()
	options["mentions"] = object(nil, map[string]*huma.Schema{
		"everyOne": boolean("Mention all of a group."), "mentioned": list(typed("string", ""), "Numbers or JIDs to mention."),
	})
	return object([]string{"number", "textMessage"}, map[string]*huma.Schema{
		"number":      typed("string", "A phone number with its country code, or a JID."),
		"textMessage": object([]string{"text"}, map[string]*huma.Schema{"text": typed("string", "")}),
		"options":     object(nil, options),
	})
}

func sendTextV2() *huma.Schema {
	p := textOptions()
	p["number"] = typed("string", "A phone number with its country code, or a JID.")
	p["text"] = typed("string", "")
	p["mentionsEveryOne"] = boolean("Mention all of a group.")
	p["mentioned"] = list(typed("string", ""), "Numbers or JIDs to mention.")
	return object([]string{"number", "text"}, p)
}

const (
	documentExample = `{"enabled":true,"url":"https://example.com/webhook","webhookByEvents":false,"events":["QRCODE_UPDATED","MESSAGES_UPSERT","MESSAGES_UPDATE","SEND_MESSAGE","CONNECTION_UPDATE"]}`
	createExample   = `{"instanceName":"my-instance","qrcode":true,"webhook":{"url":"https://example.com/webhook","events":["MESSAGES_UPSERT"]}}`
	settingsExample = `{"rejectCall":true,"msgCall":"Por favor, escreva.","groupsIgnore":true,"alwaysOnline":false,"readMessages":false,"readStatus":false,"syncFullHistory":false}`
	textExample     = `{"number":"5511999990000","text":"Olá!"}`
)

var (
	describeWelcome = operation{id: "welcome", tag: "server", summary: "Tell the version", status: http.StatusOK, answer: "A greeting and versions."}
	describeHealth  = operation{id: "health", tag: "server", summary: "Tell whether the server works", status: http.StatusOK, answer: "It does.", errors: []int{http.StatusServiceUnavailable}}
	describeOpenAPI = operation{id: "openapi", tag: "server", summary: "Describe the API", status: http.StatusOK, answer: "This document."}
	describeVerify  = operation{id: "verifyCredentials", tag: "server", summary: "Check the global key", status: http.StatusOK, answer: "The key is right."}

	describeCreate = operation{
		id: "createInstance", tag: "instance", summary: "Create an instance", body: createSchema, example: createExample,
		status: http.StatusCreated, answer: "The instance with its key, and a code to scan if qrcode is true; in the dialect of the request.",
		errors: []int{http.StatusForbidden},
	}
	describeFetch = operation{
		id: "fetchInstances", tag: "instance", summary: "List instances", text: "With an instance's own key, the list holds that instance only.",
		query:  []string{"instanceName: Only the one of this name.", "instanceId: Only the one with this ID.", "number: Only those of this phone number."},
		status: http.StatusOK, answer: "An array of rows (2.x), or of {instance} (1.x; a single object if filtered).", errors: []int{http.StatusNotFound},
	}
	describeConnect = operation{
		id: "connect", tag: "instance", summary: "Connect an instance, or get the code to pair it", query: []string{"number: The account's number, for a pairing code."},
		status: http.StatusOK, answer: "{pairingCode, code, base64, count} while a code waits to be scanned, otherwise {instance: {instanceName, state}}.",
		errors: []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}
	describeState = operation{
		id: "connectionState", tag: "instance", summary: "Tell the state of the connection",
		status: http.StatusOK, answer: "{instance: {instanceName, state}}, the state being open, connecting or close.",
	}
	describeRestartV1 = operation{id: "restartV1", tag: "instance", summary: "Restart the connection (1.x)", status: http.StatusOK, answer: "{instance: {instanceName, state}}."}
	describeRestartV2 = operation{id: "restartV2", tag: "instance", summary: "Restart the connection (2.x)", status: http.StatusOK, answer: "As connect."}
	describeLogout    = operation{id: "logout", tag: "instance", summary: "Unlink the phone", status: http.StatusOK, answer: "Success.", errors: []int{http.StatusBadRequest}}
	describeDelete    = operation{id: "deleteInstance", tag: "instance", summary: "Delete an instance", status: http.StatusOK, answer: "Success."}

	describeRefreshToken = operation{
		id: "refreshToken", tag: "instance", summary: "Exchange a JWT for a new one", body: object([]string{"oldToken"}, map[string]*huma.Schema{"oldToken": typed("string", "The instance's latest token; it may have expired.")}), example: `{"oldToken":"eyJhbGciOiJIUzI1NiJ9.e30.x"}`,
		text:   "Only with AUTHENTICATION_TYPE=jwt. The instance's webhook is told the new token (NEW_JWT_TOKEN).",
		status: http.StatusCreated, answer: "{jwt, instanceName}.", errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}

	describeSetWebhook = operation{
		id: "setWebhook", tag: "webhook", summary: "Set the webhook", body: webhookSetSchema, example: documentExample,
		text:   "In force for the next event.",
		status: http.StatusCreated, answer: "The webhook, in the form of the request.",
	}
	describeFindWebhook = operation{id: "findWebhook", tag: "webhook", summary: "Show the webhook", status: http.StatusOK, answer: "The webhook, or null (2.x) if none was set."}

	describeSetSettings = operation{
		id: "setSettings", tag: "settings", summary: "Change the settings", body: object(nil, settingsProperties()), example: settingsExample,
		text:   "In force at once; syncFullHistory when a phone is linked next. Settings that are left out keep their values (the original refuses such a body); one is needed.",
		status: http.StatusCreated, answer: "{settings: {instanceName, settings}}: all settings, in the spelling of the request.",
	}
	describeFindSettings = operation{id: "findSettings", tag: "settings", summary: "Show the settings", status: http.StatusOK, answer: "The settings, in the spelling of the dialect."}

	describeSendText = operation{
		id: "sendText", tag: "message", summary: "Send a text message", body: &huma.Schema{OneOf: []*huma.Schema{titled("2.x", sendTextV2()), titled("1.x", sendTextV1())}}, example: textExample,
		status: http.StatusCreated, answer: "The message, in the dialect of the request.", errors: []int{http.StatusServiceUnavailable},
	}
)
