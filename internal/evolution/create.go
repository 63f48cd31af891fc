package evolution

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"pombo"
)

// integrationWeb is the one integration that is served, by the name that
// clients know a WhatsApp Web session by.
const integrationWeb = "WHATSAPP-BAILEYS"

// otherSinks begins the names of what the original can be told at creation and
// Pombo does not serve.
var otherSinks = regexp.MustCompile(`^(rabbitmq|websocket|sqs|nats|kafka|pusher|chatwoot|typebot|proxy|wavoip|businessId$|mobile$|openai|dify|flowise|n8n$|evoai)`)

// CreateInstance is a request to create an instance (POST /instance/create).
type CreateInstance struct {
	New pombo.NewInstance
	// Dialect is the one that the request's keys tell, or 0 if it holds none that
	// only one of them has.
	Dialect  Dialect
	Warnings []string
}

// DecodeCreateInstance reads the body of POST /instance/create in both
// dialects. A webhook given at creation is enabled, whatever it says, as in the
// original; a URL that is empty means no webhook. Errors are of kind Invalid.
func DecodeCreateInstance(body []byte) (*CreateInstance, error) {
	top, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	r := &createReader{out: &CreateInstance{}, o: newObject("", top)}
	for _, read := range []func() error{r.name, r.token, r.number, r.integration, r.qrcode, r.settings, r.webhook} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	r.sinks()
	r.out.Warnings = append(r.out.Warnings, r.o.unknown()...)
	return r.out, nil
}

type createReader struct {
	out *CreateInstance
	o   *object
}

// tells notes that a key belongs to one dialect. The first such key decides.
func (r *createReader) tells(d Dialect) {
	if r.out.Dialect == 0 {
		r.out.Dialect = d
	}
}

func (r *createReader) name() error {
	f, err := r.o.field("instanceName")
	if err != nil {
		return err
	}
	if r.out.New.Name, err = f.text(); err != nil {
		return err
	}
	return pombo.ValidateInstanceName(r.out.New.Name)
}

func (r *createReader) token() error {
	f, err := r.o.field("token")
	if err != nil {
		return err
	}
	if r.out.New.Token, err = f.text(); err != nil {
		return err
	}
	if t := r.out.New.Token; len(t) > 255 || strings.ContainsFunc(t, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return pombo.Errorf(pombo.Invalid, "token must have at most 255 characters, all of them ASCII and none a space: it is sent in the header apikey")
	}
	return nil
}

func (r *createReader) number() error {
	f, err := r.o.field("number")
	if err != nil {
		return err
	}
	n, err := f.text()
	if err != nil || n == "" {
		return err
	}
	r.out.New.Number, err = PairingNumber(n)
	return err
}

// PairingNumber returns the digits of the number that an instance is to be
// paired with, or an Invalid error. The number is an account's own, so the
// rules for other people's (CreateJID) don't apply.
func PairingNumber(n string) (string, error) {
	user, _, _ := strings.Cut(n, "@")
	user, _, _ = strings.Cut(user, ":")
	digits := strings.NewReplacer("+", "", " ", "", "-", "", "(", "", ")", "", ".", "").Replace(user)
	if notDigit.MatchString(digits) || len(digits) < 5 || len(digits) > 15 {
		return "", pombo.Errorf(pombo.Invalid, "number %q is not a phone number: give the account's own, with its country code, such as \"5511999990000\"", clip(n, 60))
	}
	return digits, nil
}

func (r *createReader) integration() error {
	f, err := r.o.field("integration", "Integration")
	if err != nil {
		return err
	}
	s, err := f.text()
	if err != nil {
		return err
	}
	switch s {
	case "", integrationWeb:
		r.out.New.Integration = integrationWeb
		return nil
	case "WHATSAPP-BUSINESS", "EVOLUTION":
		return pombo.Errorf(pombo.Invalid, "Invalid integration: %q is not served here, only WhatsApp Web sessions are; send %q or leave the key out", s, integrationWeb)
	}
	return pombo.Errorf(pombo.Invalid, "Invalid integration: %q is unknown; send %q or leave the key out", clip(s, 60), integrationWeb)
}

func (r *createReader) qrcode() error {
	f, err := r.o.field("qrcode")
	if err != nil {
		return err
	}
	b, err := f.bool()
	r.out.New.QRCode = b != nil && *b
	return err
}

// settings reads the instance's habits, which stand at the top level or within
// "settings", where the answer has them.
func (r *createReader) settings() error {
	if err := r.settingsOf(r.o); err != nil {
		return err
	}
	f, err := r.o.field("settings")
	if err != nil {
		return err
	}
	inner, err := f.object()
	if err != nil || inner == nil {
		return err
	}
	if err := r.settingsOf(inner); err != nil {
		return err
	}
	inner.ignore("wavoipToken")
	r.out.Warnings = append(r.out.Warnings, inner.unknown()...)
	return nil
}

func (r *createReader) settingsOf(o *object) error {
	c, err := readSettings(o, r.tellsBySpelling)
	r.out.New.Settings = c.Apply(r.out.New.Settings)
	return err
}

func (r *createReader) tellsBySpelling(f field, camel string) {
	if d := spelling(f, camel); d != 0 {
		r.tells(d)
	}
}

// webhook reads the webhook: in 1.x a URL with its settings beside it, in 2.x
// an object.
func (r *createReader) webhook() error {
	f, err := r.o.field("webhook", "webhookUrl")
	if err != nil {
		return err
	}
	if f.given() && f.v.kind == objectValue {
		r.tells(V2)
		return r.change(newObject(f.path+".", f.v), "url")
	}
	if f.given() && f.v.kind != stringValue {
		return f.wrong(`a URL (a string), or an object {"url": …, "events": […]}`)
	}
	if f.key == "webhook" && f.given() {
		r.tells(V1)
	}
	return r.change(r.o, f.key)
}

// change reads the settings of a webhook from o, with the URL under urlKey.
func (r *createReader) change(o *object, urlKey string) error {
	urlField := field{path: o.path + "url"}
	if v, ok := o.v.get(urlKey); ok {
		urlField = field{path: o.path + urlKey, key: urlKey, v: v}
	}
	address, err := urlField.text()
	if err != nil {
		return err
	}
	settings, keys, err := r.webhookSettings(o)
	if err != nil {
		return err
	}
	if o != r.o {
		r.out.Warnings = append(r.out.Warnings, o.unknown()...)
	}
	if address == "" {
		return r.noWebhook(o, urlField, keys)
	}
	if err := checkURL(urlField.path, address); err != nil {
		return err
	}
	on := true
	if settings.Enabled != nil && !*settings.Enabled {
		r.out.Warnings = append(r.out.Warnings, fmt.Sprintf("key %q ignored: a webhook given at creation is enabled", o.path+"enabled"))
	}
	settings.Enabled, settings.URL = &on, &address
	r.out.New.Webhook = &settings
	return nil
}

// webhookSettings reads what a webhook has beside its URL.
func (r *createReader) webhookSettings(o *object) (c pombo.WebhookChange, keys []string, err error) {
	nested := o != r.o
	read := func(spellings []string, assign func(field) error) {
		if err != nil {
			return
		}
		var f field
		if f, err = o.field(spellings...); err != nil || f.v == nil {
			return
		}
		if strings.HasPrefix(f.key, "webhook_") {
			r.tells(V1)
		}
		keys = append(keys, f.key)
		err = assign(f)
	}
	if nested {
		o.ignore("url")
		o.tips = append(o.tips, "url")
		read([]string{"enabled"}, func(f field) (e error) { c.Enabled, e = f.bool(); return e })
		read([]string{"headers"}, func(f field) (e error) { c.Headers, e = readHeaders(f); return e })
		read([]string{"filter"}, func(f field) (e error) { c.Filter, e = f.string(); return e })
		read([]string{"secret"}, func(f field) (e error) { c.Secret, e = readGivenSecret(f); return e })
	}
	read(byEventsSpellings, func(f field) (e error) { c.ByEvents, e = f.bool(); return e })
	read(base64Spellings, func(f field) (e error) { c.Base64, e = f.bool(); return e })
	read([]string{"events", "webhookEvents"}, func(f field) (e error) { c.Events, e = readEvents(f); return e })
	return c, keys, err
}

// readGivenSecret is readSecret without "generate": the answer to a creation has
// no place for what was made.
func readGivenSecret(f field) (*string, error) {
	s, err := readSecret(f)
	if err == nil && s != nil && *s == pombo.GenerateSecret {
		return nil, pombo.Errorf(pombo.Invalid, "%s: give the secret itself here, or have one made by POST /webhook/set", f.path)
	}
	return s, err
}

// noWebhook is what settings without a URL come to: nothing, if the URL was
// left empty on purpose or nothing else was said either.
func (r *createReader) noWebhook(o *object, urlField field, keys []string) error {
	if len(keys) == 0 || urlField.v != nil {
		return nil
	}
	if o != r.o {
		return checkURL(urlField.path, "")
	}
	for _, key := range keys {
		r.out.Warnings = append(r.out.Warnings, fmt.Sprintf("key %q ignored, since there is no \"webhook\"", key))
	}
	return nil
}

// sinks notes the settings of what Pombo does not serve.
func (r *createReader) sinks() {
	for i, key := range r.o.v.keys {
		if slices.Contains(r.o.known, key) || !otherSinks.MatchString(key) {
			continue
		}
		r.o.ignore(key)
		switch v := r.o.v.list[i]; {
		case v.kind == nullValue, v.kind == boolValue && !v.bool, v.kind == stringValue && v.text == "":
		default:
			r.out.Warnings = append(r.out.Warnings, fmt.Sprintf("key %q ignored: Pombo does not serve it", clip(key, 60)))
		}
	}
}
