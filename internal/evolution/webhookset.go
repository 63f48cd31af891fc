package evolution

import (
	"fmt"
	"slices"

	"pombo"
)

// The spellings of a webhook's flags, the one of 2.x rows first.
var (
	byEventsSpellings = []string{"webhookByEvents", "webhook_by_events", "byEvents"}
	base64Spellings   = []string{"webhookBase64", "webhook_base64", "base64"}
)

// WebhookSet is a request to set an instance's webhook (POST /webhook/set).
type WebhookSet struct {
	// Change is what to apply to the webhook. Whether the result makes sense is
	// for ValidateWebhook to say.
	Change pombo.WebhookChange
	// Warnings are sentences about keys that were not understood.
	Warnings []string

	nested bool
	keys   []settingKey // the keys of the request, in order
}

// settingKey is a key of a webhook's settings as the request spelled it.
type settingKey struct {
	setting string // "enabled", "url", "events", "byEvents", "base64", "headers", "filter" or "secret"
	spelled string
}

// DecodeWebhookSet reads the body of POST /webhook/set in each of its four
// forms: flat or within "webhook", with the flags spelled webhook_by_events,
// webhookByEvents or byEvents. Errors are of kind Invalid.
//
// The flat form is that of 1.x: it replaces the webhook. The nested form is
// that of 2.x: what it leaves out stays.
func DecodeWebhookSet(body []byte) (*WebhookSet, error) {
	return decodeWebhookSet(body, false)
}

// DecodeWebhookChange reads the body of PUT /webhook/change: as that of POST
// /webhook/set, save that in either form keys left out keep their values.
func DecodeWebhookChange(body []byte) (*WebhookSet, error) {
	return decodeWebhookSet(body, true)
}

func decodeWebhookSet(body []byte, partial bool) (*WebhookSet, error) {
	top, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	set := &WebhookSet{}
	o := newObject("", top)
	if inner, ok := top.get("webhook"); ok {
		set.nested = true
		if o, err = nestedWebhook(o, inner); err != nil {
			return nil, err
		}
	}
	c, keys, err := readWebhook(o)
	if err != nil {
		return nil, err
	}
	c.Reset = !set.nested && !partial
	c.EmptyWhenDisabled = c.Reset
	set.Change, set.keys = c, keys
	if !c.Reset && len(keys) == 0 {
		return nil, pombo.Errorf(pombo.Invalid, "the webhook has none of the keys enabled, url, events, webhookByEvents, webhookBase64, headers, filter, secret%s", firstOf(o.unknown()))
	}
	if err := checkChange(c, o.path); err != nil {
		return nil, err
	}
	set.Warnings = append(set.Warnings, o.unknown()...)
	if set.nested {
		set.Warnings = append(set.Warnings, besideWebhook(top)...)
	}
	return set, nil
}

// besideWebhook describes the keys that stand beside "webhook" in the nested
// form, where they say nothing.
func besideWebhook(top *value) []string {
	settings := slices.Concat([]string{"enabled", "url", "events", "headers"}, byEventsSpellings, base64Spellings)
	outer := newObject("", top)
	outer.ignore(append(settings, "webhook", "instanceName", "instance")...)
	warnings := outer.unknown()
	for _, key := range top.keys {
		if slices.Contains(settings, key) {
			warnings = append(warnings, fmt.Sprintf("key %q beside \"webhook\" ignored, did you mean \"webhook.%s\"?", key, key))
		}
	}
	return warnings
}

func firstOf(warnings []string) string {
	if len(warnings) == 0 {
		return ""
	}
	return " (" + warnings[0] + ")"
}

func nestedWebhook(o *object, inner *value) (*object, error) {
	f := field{path: "webhook", key: "webhook", v: inner}
	if inner.kind == stringValue {
		return nil, pombo.Errorf(pombo.Invalid, `webhook is %s: put the address under the key "url"`, inner.describe())
	}
	if inner.kind != objectValue {
		return nil, f.wrong(`an object with the keys enabled, url, events, …; or leave "webhook" out and send these keys themselves`)
	}
	return newObject("webhook.", inner), nil
}

// readWebhook reads the settings of a webhook from o.
func readWebhook(o *object) (c pombo.WebhookChange, keys []settingKey, err error) {
	// What a row carries besides, so that it can be sent back after a change.
	o.ignore("id", "createdAt", "updatedAt", "instanceId", "instanceName", "instance", "position", "secretUntil")
	read := func(setting string, spellings []string, assign func(field) error) {
		if err != nil {
			return
		}
		var f field
		if f, err = o.field(spellings...); err != nil || f.v == nil {
			return
		}
		keys = append(keys, settingKey{setting, f.key})
		err = assign(f)
	}
	read("enabled", []string{"enabled"}, func(f field) (e error) { c.Enabled, e = f.bool(); return e })
	read("url", []string{"url"}, func(f field) (e error) { c.URL, e = f.string(); return e })
	read("byEvents", byEventsSpellings, func(f field) (e error) { c.ByEvents, e = f.bool(); return e })
	read("base64", base64Spellings, func(f field) (e error) { c.Base64, e = f.bool(); return e })
	read("headers", []string{"headers"}, func(f field) (e error) { c.Headers, e = readHeaders(f); return e })
	read("events", []string{"events"}, func(f field) (e error) { c.Events, e = readEvents(f); return e })
	read("filter", []string{"filter"}, func(f field) (e error) { c.Filter, e = f.string(); return e })
	read("secret", []string{"secret"}, func(f field) (e error) { c.Secret, e = readSecret(f); return e })
	slices.SortStableFunc(keys, func(a, b settingKey) int {
		return slices.Index(o.v.keys, a.spelled) - slices.Index(o.v.keys, b.spelled)
	})
	return c, keys, err
}

// readSecret reads what a webhook's requests are signed with: a secret, "generate",
// or "" for none. What GET /webhook/find shows in its place changes nothing.
func readSecret(f field) (*string, error) {
	s, err := f.string()
	if err != nil {
		// The error must not quote what may be a secret.
		return nil, pombo.Errorf(pombo.Invalid, "%s must be a string: a secret that begins with %q, or %q", f.path, pombo.SecretPrefix, pombo.GenerateSecret)
	}
	switch {
	case s == nil || *s == pombo.MaskedSecret:
		return nil, nil
	case *s == "" || *s == pombo.GenerateSecret:
		return s, nil
	}
	return s, pombo.ValidateSecret(*s)
}

// checkChange checks the URL of a change, as far as it can be judged without
// knowing the webhook that it changes. A webhook that is switched off may have
// any: n8n's node sends "vazio".
func checkChange(c pombo.WebhookChange, path string) error {
	switch {
	case c.Enabled != nil && !*c.Enabled:
		return nil
	case c.URL != nil:
		return checkURL(path+"url", *c.URL)
	case c.Reset:
		return checkURL(path+"url", "")
	}
	return nil
}
