package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"

	"pombo"
	"pombo/internal/evolution"
	"pombo/internal/translate"
)

// FetchMedia writes the file of a message, decrypted, to into, which is empty. If
// WhatsApp no longer has it, the phone is asked to upload it again; the m that is
// returned says where it is then. Messages of errors fit behind "The file could not
// be fetched: ". Errors: NotFound and Invalid are final, Unavailable is not.
func (s *Session) FetchMedia(ctx context.Context, m pombo.Media, into *os.File) (pombo.Media, error) {
	l, err := s.live()
	if err != nil {
		return m, pombo.Errorf(pombo.Unavailable, "the instance is not connected")
	}
	ctx, cancel := l.lend(ctx)
	defer cancel()
	if path, ok := s.uploads.take(m); ok {
		m.URL, m.DirectPath = "", path
	}
	err = l.downloadFile(ctx, m, into)
	if !gone(err) {
		return m, downloadError(err)
	}
	if m.Message == "" || len(m.Key) == 0 {
		return m, pombo.Errorf(pombo.NotFound, "WhatsApp no longer has it, and there is nobody to ask for it")
	}
	path, err := l.askPhone(ctx, m)
	if err != nil {
		return m, err
	}
	m.URL, m.DirectPath = "", path
	err = l.downloadFile(ctx, m, into)
	if gone(err) {
		return m, pombo.Errorf(pombo.Unavailable, "WhatsApp does not have what the phone uploaded")
	}
	return m, downloadError(err)
}

// gone tells whether WhatsApp says that there is no such file any more.
func gone(err error) bool {
	return errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith403) || errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith404) ||
		errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith410)
}

// slack is what a file may have on its way beyond what its message says: padding, a
// MAC. unknownSize is what it may have if the message says nothing.
const (
	slack       = 64 << 10
	unknownSize = 100 << 20
)

var errTooLong = errors.New("there is more of it than its message says")

func (l *line) downloadFile(ctx context.Context, m pombo.Media, into *os.File) error {
	if err := into.Truncate(0); err != nil {
		return fmt.Errorf("emptying a file: %w", err)
	}
	if _, err := into.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("emptying a file: %w", err)
	}
	limit := m.Size + slack
	if m.Size == 0 {
		limit = unknownSize
	}
	err := l.client.DownloadToFile(ctx, reference{m}, newBounded(into, limit))
	if errors.Is(err, whatsmeow.ErrFileLengthMismatch) || errors.Is(err, whatsmeow.ErrInvalidMediaSHA256) {
		// It is what the sender encrypted with the message's key, and complete; these
		// are found at the end. Other clients show it.
		l.log.Debug("a file is not quite what its message says", "message", m.Message, "err", err)
		return nil
	}
	return err
}

// downloadError says what went wrong without the address, which opens the file.
func downloadError(err error) error {
	var status whatsmeow.DownloadHTTPError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, whatsmeow.ErrNoURLPresent), errors.Is(err, whatsmeow.ErrUnknownMediaType):
		return pombo.Errorf(pombo.Invalid, "the message does not say where on WhatsApp it is")
	case errors.Is(err, whatsmeow.ErrInvalidMediaHMAC), errors.Is(err, whatsmeow.ErrInvalidMediaEncSHA256),
		errors.Is(err, whatsmeow.ErrTooShortFile), errors.Is(err, errTooLong):
		return pombo.Errorf(pombo.Invalid, "what WhatsApp has is not what the message says")
	case errors.As(err, &status):
		return pombo.Errorf(pombo.Unavailable, "WhatsApp's media server answered %d", status.StatusCode)
	}
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("writing a file: %w", err)
	}
	return pombo.Errorf(pombo.Unavailable, "WhatsApp's media server could not be reached")
}

// reference is a file as whatsmeow wants it described. The sender of the message
// chose the addresses in it, so only those are used that lead to WhatsApp.
type reference struct{ m pombo.Media }

// GetURL returns "" for what is not an address of WhatsApp's own.
func (r reference) GetURL() string {
	u, err := url.Parse(r.m.URL)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" ||
		!strings.HasSuffix(u.Hostname(), ".whatsapp.net") || u.Hostname() == "web.whatsapp.net" {
		return ""
	}
	return r.m.URL
}

// GetDirectPath returns "" for what would change the host that it is appended to.
func (r reference) GetDirectPath() string {
	if !strings.HasPrefix(r.m.DirectPath, "/") {
		return ""
	}
	return r.m.DirectPath
}

func (r reference) GetMediaKey() []byte      { return r.m.Key }
func (r reference) GetFileSHA256() []byte    { return r.m.SHA256 }
func (r reference) GetFileEncSHA256() []byte { return r.m.EncSHA256 }
func (r reference) GetFileLength() uint64    { return uint64(r.m.Size) }

// GetMediaType implements whatsmeow.MediaTypeable.
func (r reference) GetMediaType() whatsmeow.MediaType {
	switch r.m.Type {
	case "imageMessage", "stickerMessage":
		return whatsmeow.MediaImage
	case "videoMessage", "ptvMessage":
		return whatsmeow.MediaVideo
	case "audioMessage":
		return whatsmeow.MediaAudio
	case "documentMessage":
		return whatsmeow.MediaDocument
	}
	return ""
}

// bounded is a file that takes only so many bytes. whatsmeow would take whatever
// comes, and set aside whatever is announced. It has the methods that whatsmeow
// wants and no others, by which more could get into the file.
type bounded struct {
	io.ReadSeeker
	io.ReaderAt
	file  *os.File
	limit int64
}

func newBounded(f *os.File, limit int64) *bounded {
	return &bounded{ReadSeeker: f, ReaderAt: f, file: f, limit: limit}
}

// Write refuses what is beyond the limit.
func (b *bounded) Write(p []byte) (int, error) {
	at, err := b.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if at+int64(len(p)) > b.limit {
		return 0, errTooLong
	}
	return b.file.Write(p)
}

// WriteAt refuses what is beyond the limit.
func (b *bounded) WriteAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > b.limit {
		return 0, errTooLong
	}
	return b.file.WriteAt(p, at)
}

// Truncate changes the file's length.
func (b *bounded) Truncate(size int64) error { return b.file.Truncate(size) }

// Stat describes the file.
func (b *bounded) Stat() (os.FileInfo, error) { return b.file.Stat() }

// MediaOf finds the file of a message that a caller gave. Errors: Invalid.
func (s *Session) MediaOf(r pombo.MediaRequest) (pombo.Media, error) {
	var m waE2E.Message
	if err := translate.DecodeJSON(r.Message, &m); err != nil {
		return pombo.Media{}, pombo.Errorf(pombo.Invalid, "message.message is not a message: %w", err)
	}
	found := translate.Media(&m)
	if found == nil {
		var fields map[string]json.RawMessage
		if json.Unmarshal(r.Message, &fields) == nil && len(fields) == 1 && fields["messageContextInfo"] != nil {
			return pombo.Media{}, pombo.Errorf(pombo.Invalid, "The message is messageContextInfo")
		}
		return pombo.Media{}, pombo.Errorf(pombo.Invalid, "The message is not of the media type")
	}
	found.Instance, found.Message, found.FromMe = s.id, r.Key.ID, r.Key.FromMe
	found.Chat, found.Sender = r.Key.RemoteJID, r.Key.Participant
	if jid, err := evolution.CreateJID(r.Key.RemoteJID); err == nil {
		found.Chat = jid
	}
	found.Group = strings.HasSuffix(found.Chat, "@g.us")
	return *found, nil
}
