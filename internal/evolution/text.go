package evolution

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"pombo"
)

// maxDelay bounds how long a message may be held back while "composing" is
// shown: the caller waits for its answer all the time.
const maxDelay = 5 * time.Minute

// SendText is a request to send a text message (POST /message/sendText).
type SendText struct {
	Text pombo.Text
	// Dialect is the one of the request, which the answer follows.
	Dialect  Dialect
	Warnings []string
}

// DecodeSendText reads the body of POST /message/sendText in both forms:
// {"number","textMessage":{"text"},"options":{…}} of 1.x, and {"number","text",
// …} of 2.x, with the options of either in the place of either. Errors are of
// kind Invalid.
func DecodeSendText(body []byte) (*SendText, error) {
	top, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	r := &textReader{out: &SendText{Dialect: V2}, o: newObject("", top)}
	r.number()
	r.content()
	r.options(r.o)
	if f := r.field(r.o, "options"); f.v != nil && r.err == nil {
		var options *object
		if options, r.err = f.object(); options != nil {
			r.options(options)
			r.warn(options)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	r.o.ignore("instanceName", "instance")
	r.out.Warnings = append(r.o.unknown(), r.out.Warnings...)
	return r.out, nil
}

// Answer returns the body of the answer for a message that was sent.
func (s *SendText) Answer(sent pombo.Sent) json.RawMessage {
	if s.Dialect == V1 && len(sent.DataV1) > 0 {
		return sent.DataV1
	}
	return sent.Data
}

// textReader reads a text message; after an error it does nothing more.
type textReader struct {
	out *SendText
	o   *object
	err error
}

func (r *textReader) field(o *object, spellings ...string) field {
	if r.err != nil {
		return field{}
	}
	var f field
	f, r.err = o.field(spellings...)
	return f
}

func (r *textReader) warn(o *object) { r.out.Warnings = append(r.out.Warnings, o.unknown()...) }

func (r *textReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = pombo.Errorf(pombo.Invalid, format, args...)
	}
}

func (r *textReader) number() {
	f := r.field(r.o, "number")
	if r.err == nil {
		r.out.Text.Number, r.err = f.text()
	}
	if r.err != nil {
		return
	}
	if strings.TrimSpace(r.out.Text.Number) == "" {
		r.fail("number is missing or empty: give the phone number, with its country code, or the JID to write to")
		return
	}
	_, r.err = CreateJID(r.out.Text.Number)
}

// content reads the text itself, which tells the dialect.
func (r *textReader) content() {
	f := r.field(r.o, "text")
	v1 := r.field(r.o, "textMessage")
	if r.err != nil {
		return
	}
	if !f.given() && v1.given() {
		var m *object
		if m, r.err = v1.object(); r.err != nil {
			return
		}
		r.out.Dialect = V1
		f = r.field(m, "text")
		r.warn(m)
	}
	if r.err == nil {
		r.out.Text.Text, r.err = f.text()
	}
	if r.err == nil && strings.TrimSpace(r.out.Text.Text) == "" {
		r.fail(`Text is required: %s is missing or empty; send {"number": …, "text": …} or {"number": …, "textMessage": {"text": …}}`, f.path)
	}
}

// options reads the options of a message from o. What was read before stays
// where o is silent.
func (r *textReader) options(o *object) {
	t := &r.out.Text
	delay := r.field(o, "delay")
	preview := r.field(o, "linkPreview")
	quoted := r.field(o, "quoted")
	mentions := r.field(o, "mentions")
	o.ignore("presence", "encoding", "options")
	if r.err != nil {
		return
	}
	var ms *int64
	if ms, r.err = delay.integer(0, maxDelay.Milliseconds(), "milliseconds"); ms != nil {
		t.Delay = time.Duration(*ms) * time.Millisecond
	}
	if r.err != nil {
		return
	}
	var b *bool
	if b, r.err = preview.bool(); b != nil {
		t.LinkPreview = b
	}
	r.quoted(quoted)
	r.mentions(o)
	if r.err != nil || !mentions.given() {
		return
	}
	var m *object
	if m, r.err = mentions.object(); m != nil {
		r.mentions(m)
		r.warn(m)
	}
}

func (r *textReader) mentions(o *object) {
	everyone := r.field(o, "mentionsEveryOne", "everyOne", "mentionsEveryone", "everyone")
	list := r.field(o, "mentioned")
	if r.err != nil {
		return
	}
	var b *bool
	if b, r.err = everyone.bool(); b != nil {
		r.out.Text.MentionEveryone = *b
	}
	if r.err != nil {
		return
	}
	var items []field
	if items, r.err = list.items("phone numbers or JIDs"); r.err != nil {
		return
	}
	for _, item := range items {
		if _, err := CreateJID(item.v.text); err != nil {
			r.fail("%s: %w", item.path, err)
			return
		}
		if !slices.Contains(r.out.Text.Mentioned, item.v.text) {
			r.out.Text.Mentioned = append(r.out.Text.Mentioned, item.v.text)
		}
	}
}

// quoted reads the message that is answered. People send the whole message as
// their webhook got it, so other keys are no surprise.
func (r *textReader) quoted(f field) {
	if r.err != nil || !f.given() {
		return
	}
	var o, key *object
	if o, r.err = f.object(); r.err != nil {
		return
	}
	keyField, message := r.field(o, "key"), r.field(o, "message")
	if r.err == nil {
		key, r.err = keyField.object()
	}
	if key == nil {
		r.fail(`%s.key is missing: name the message to answer, as in {"key": {"id": "3A…"}}`, f.path)
		return
	}
	q := &pombo.Quoted{}
	read := func(dst *string, spelling string) {
		s := r.field(key, spelling)
		if r.err == nil {
			*dst, r.err = s.text()
		}
	}
	read(&q.ID, "id")
	read(&q.RemoteJID, "remoteJid")
	read(&q.Participant, "participant")
	fromMe := r.field(key, "fromMe")
	if r.err == nil {
		q.FromMe, r.err = fromMe.bool()
	}
	if r.err != nil {
		return
	}
	if q.ID == "" {
		r.fail("%skey.id is missing or empty: give the ID of the message to answer", f.path+".")
		return
	}
	if message.given() {
		if _, r.err = message.object(); r.err != nil {
			return
		}
		if len(message.v.keys) > 0 {
			q.Message = message.v.raw
		}
	}
	r.out.Text.Quoted = q
}
