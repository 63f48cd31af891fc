package evolution

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"strconv"
	"strings"

	"pombo"
)

// GetMedia is a request for the file of a message
// (chat/getBase64FromMediaMessage).
type GetMedia struct {
	pombo.MediaRequest
	Warnings []string
}

// DecodeGetMedia reads the body of chat/getBase64FromMediaMessage: {"message":
// {"key":{"id"}}}, or {"message": a whole message as a webhook gets it}, and
// convertToMp4, which has no effect. Errors are of kind Invalid.
func DecodeGetMedia(body []byte) (*GetMedia, error) {
	r, err := newChatReader(body)
	if err != nil {
		return nil, err
	}
	const example = `as in {"message": {"key": {"id": "3A…"}}}`
	out := &GetMedia{}
	convert := r.field(r.o, "convertToMp4")
	message := r.field(r.o, "message")
	if r.err == nil && !message.given() {
		r.fail("message is missing: name the message, %s", example)
	}
	if r.err != nil {
		return nil, r.err
	}
	mp4, err := convert.bool()
	if err != nil {
		return nil, err
	}
	if mp4 != nil && *mp4 {
		r.warnings = append(r.warnings, "convertToMp4 has no effect: the file is given as it came")
	}
	o, err := message.object()
	if err != nil {
		return nil, err
	}
	if key := r.field(o, "key"); key.given() {
		if out.Key, err = mediaKey(key); err != nil {
			return nil, err
		}
	}
	if content := r.field(o, "message"); content.given() {
		if _, err := content.object(); err != nil {
			return nil, err
		}
		out.Message = content.v.raw
	}
	if r.err == nil && out.Key.ID == "" && out.Message == nil {
		r.fail("message.key.id is missing: give the ID of the message, %s, or the whole message as the webhook got it", example)
	}
	out.Warnings, err = r.done()
	return out, err
}

// mediaKey reads as much of a message's key as is there: its id is enough.
func mediaKey(f field) (key pombo.MessageKey, err error) {
	o, err := f.object()
	if err != nil {
		return key, err
	}
	for name, into := range map[string]*string{"id": &key.ID, "remoteJid": &key.RemoteJID, "participant": &key.Participant} {
		member, err := o.field(name)
		if err != nil {
			return key, err
		}
		if *into, err = member.text(); err != nil {
			return key, err
		}
	}
	fromMe, err := o.field("fromMe")
	if err != nil {
		return key, err
	}
	b, err := fromMe.bool()
	if b != nil {
		key.FromMe = *b
	}
	return key, err
}

// MediaAnswer returns the answer to chat/getBase64FromMediaMessage but for the file
// itself, whose base64 belongs between head and tail.
func MediaAnswer(d Dialect, m pombo.Media) (head, tail []byte) {
	name := m.FileName
	if name == "" && d != V1 {
		name = m.Message + extension(m.Mimetype)
	}
	row := ordered{{"mediaType", m.Type}}
	if name != "" {
		row = append(row, member{"fileName", name})
	}
	if m.Caption != "" {
		row = append(row, member{"caption", m.Caption})
	}
	size := ordered{}
	if m.Size > 0 {
		size = append(size, member{"fileLength", strconv.FormatInt(m.Size, 10)}) // as in messages: a text
	}
	if m.Height > 0 || m.Width > 0 {
		size = append(size, member{"height", m.Height}, member{"width", m.Width})
	}
	row = append(row, member{"size", size}, member{"mimetype", m.Mimetype})
	head = raw(row)
	head = append(head[:len(head)-1:len(head)-1], `,"base64":"`...)
	if d == V1 {
		return head, []byte(`"}`)
	}
	return head, []byte(`","buffer":null}`)
}

// extensions are those of the types that WhatsApp's own clients send; for others
// the system's list is asked.
var extensions = map[string]string{
	"image/jpeg": ".jpeg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif", "video/mp4": ".mp4",
	"video/3gpp": ".3gp", "audio/ogg": ".oga", "audio/mpeg": ".mp3", "audio/mp4": ".m4a", "application/pdf": ".pdf",
}

// extension returns what a file of a MIME type is called, with the dot; "" if that
// is not known.
func extension(mimetype string) string {
	kind, _, err := mime.ParseMediaType(mimetype)
	if err != nil {
		return ""
	}
	if ext, ok := extensions[strings.ToLower(kind)]; ok {
		return ext
	}
	if all, err := mime.ExtensionsByType(kind); err == nil && len(all) > 0 {
		return all[0]
	}
	return ""
}

// Insert is where the file goes into an event's data, and what stands there with
// it, or in its place.
type Insert struct {
	Before, After []byte
}

// InsertFile is what stands around the base64 of a file at the end of data.message.
func InsertFile() Insert { return Insert{Before: []byte(`,"base64":"`), After: []byte(`"`)} }

// InsertMissing is what stands in place of a file; why is a sentence.
func InsertMissing(why string) Insert {
	return Insert{Before: appendString([]byte(`,"mediaError":`), why)}
}

// Base64Size is how many bytes a file of so many bytes has as base64.
func Base64Size(size int64) int64 { return (size + 2) / 3 * 4 }

// Base64 reads a file as base64, some KiB at a time.
func Base64(file io.Reader) io.Reader { return &encoder{file: file} }

type encoder struct {
	file io.Reader
	raw  [24 << 10]byte // a multiple of three
	text [32 << 10]byte
	left []byte // of text
	err  error
}

// Read implements io.Reader.
func (e *encoder) Read(into []byte) (int, error) {
	if len(e.left) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		n, err := io.ReadFull(e.file, e.raw[:])
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		e.err = err
		base64.StdEncoding.Encode(e.text[:], e.raw[:n])
		e.left = e.text[:base64.StdEncoding.EncodedLen(n)]
		if n == 0 {
			return 0, e.err
		}
	}
	n := copy(into, e.left)
	e.left = e.left[n:]
	return n, nil
}
