package evolution

import (
	"encoding/json"
	"slices"

	"pombo"
)

// Answer returns the body of the answer, for the webhook as it was stored.
//
// A flat request gets what the Set Webhook document shows: the request's keys
// in their order and spelling, then enabled, url and events where the server
// decided on them. A nested one gets the row of 2.x, followed by the flags in
// the request's spelling where that differs.
func (s *WebhookSet) Answer(instanceName string, w pombo.Webhook) json.RawMessage {
	if s.nested {
		return raw(s.row(w))
	}
	var echo ordered
	said := func(setting string) bool {
		return slices.ContainsFunc(s.keys, func(k settingKey) bool { return k.setting == setting })
	}
	for _, k := range s.keys {
		echo = append(echo, member{k.spelled, s.setting(w, k.setting)})
	}
	if !said("enabled") {
		echo = append(echo, member{"enabled", w.Enabled})
	}
	if !said("url") {
		echo = append(echo, member{"url", w.URL})
	}
	if !said("events") {
		echo = append(echo, member{"events", listEvents(w)})
	}
	return raw(ordered{{"webhook", ordered{{"instanceName", instanceName}, {"webhook", echo}}}})
}

func (s *WebhookSet) row(w pombo.Webhook) ordered {
	row := webhookRow(w)
	for i := range row {
		if row[i].key == "secret" {
			row[i].value = s.setting(w, "secret")
		}
	}
	for _, k := range s.keys {
		if !row.has(k.spelled) {
			row = append(row, member{k.spelled, s.setting(w, k.setting)})
		}
	}
	return row
}

// setting returns a setting as it is answered: a secret that was made for this
// request is told, once.
func (s *WebhookSet) setting(w pombo.Webhook, setting string) any {
	if c := s.Change.Secret; setting == "secret" && c != nil && *c == pombo.GenerateSecret && len(w.Secrets) > 0 {
		return w.Secrets[0].Key
	}
	return webhookSetting(w, setting)
}

func webhookSetting(w pombo.Webhook, setting string) any {
	switch setting {
	case "enabled":
		return w.Enabled
	case "url":
		return w.URL
	case "events":
		return listEvents(w)
	case "byEvents":
		return w.ByEvents
	case "base64":
		return w.Base64
	case "filter":
		return w.Filter
	case "secret":
		if len(w.Secrets) == 0 {
			return ""
		}
		return pombo.MaskedSecret
	default:
		return headersOf(w)
	}
}

// listEvents returns the events in force, by name: all of them if the webhook
// asks for all, none if it is switched off.
func listEvents(w pombo.Webhook) []pombo.EventName {
	switch {
	case !w.Enabled:
		return []pombo.EventName{}
	case len(w.Events) == 0:
		return pombo.EventNames()
	}
	return w.Events
}

func headersOf(w pombo.Webhook) any {
	if len(w.Headers) == 0 {
		return nil
	}
	return w.Headers
}

// webhookRow is a webhook as 2.x answers it; what 2.x does not know follows, if it
// was set.
func webhookRow(w pombo.Webhook) ordered {
	row := ordered{
		{"id", w.ID},
		{"url", w.URL},
		{"headers", headersOf(w)},
		{"enabled", w.Enabled},
		{"events", listEvents(w)},
		{"webhookByEvents", w.ByEvents},
		{"webhookBase64", w.Base64},
		{"createdAt", timestamp(w.CreatedAt)},
		{"updatedAt", timestamp(w.UpdatedAt)},
		{"instanceId", w.Instance},
	}
	if w.Filter != "" {
		row = append(row, member{"filter", w.Filter})
	}
	if len(w.Secrets) > 0 {
		row = append(row, member{"secret", pombo.MaskedSecret})
	}
	return row
}

// WebhookFound is the answer to GET /webhook/find. A webhook that was never
// set (found is false) is null in 2.x, and one that is switched off in 1.x.
func WebhookFound(d Dialect, w pombo.Webhook, found bool) json.RawMessage {
	if d == V1 {
		return raw(ordered{
			{"enabled", w.Enabled},
			{"url", w.URL},
			{"events", listEvents(w)},
			{"webhook_by_events", w.ByEvents},
			{"webhook_base64", w.Base64},
		})
	}
	if !found {
		return json.RawMessage("null")
	}
	return raw(webhookRow(w))
}
