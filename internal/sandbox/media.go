package sandbox

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// MediaRequest lets a phone send a file. Without Content, one of Size bytes is made up.
type MediaRequest struct {
	From string `json:"from"` // as in SendRequest
	To   string `json:"to"`
	// Kind is image, video, gif, audio, voice, document or sticker.
	Kind     string `json:"kind"`
	Content  string `json:"content,omitempty"`  // the file in base64
	Size     int64  `json:"size,omitempty"`     // bytes, at most 2 GiB; what is made up is always the same for a size
	Mimetype string `json:"mimetype,omitempty"` // the usual one of the kind, if empty
	Caption  string `json:"caption,omitempty"`  // of image, video, gif and document
	FileName string `json:"fileName,omitempty"` // of a document
	Seconds  uint32 `json:"seconds,omitempty"`  // of video, gif, audio and voice
	ViewOnce bool   `json:"viewOnce,omitempty"`

	ID         string `json:"id,omitempty"` // as in SendRequest
	PushName   string `json:"pushName,omitempty"`
	Addressing string `json:"addressing,omitempty"`
}

// SendMedia lets a phone encrypt a file, upload it and send it, as SendMessage does with a text. It holds some KiB of
// the file at a time. Errors: Invalid.
func (s *Server) SendMedia(ctx context.Context, r MediaRequest) (SendResult, error) {
	k, ok := mediaKinds[r.Kind]
	if !ok {
		return SendResult{}, errorf(Invalid, "\"kind\" is %q: it is one of image, video, gif, audio, voice, document, sticker", r.Kind)
	}
	if err := checkNumber("from", normalizeNumber(r.From)); err != nil {
		return SendResult{}, err
	}
	plain, err := r.plain()
	if err != nil {
		return SendResult{}, err
	}
	sealed, err := s.seal(plain, k.keys, normalizeNumber(r.From))
	if err != nil {
		return SendResult{}, err
	}
	s.update(func(t *batch) { s.addMedia(t, sealed.file) })
	if r.Mimetype == "" {
		r.Mimetype = k.mimetype
	}
	raw, err := protojson.Marshal(k.message(&r, sealed))
	if err != nil {
		return SendResult{}, errorf(Invalid, "The message cannot be encoded: %v", err)
	}
	return s.SendMessage(ctx, SendRequest{
		From: r.From, To: r.To, Message: raw, ID: r.ID, PushName: r.PushName, Addressing: r.Addressing,
	})
}

// plain is the file to send.
func (r *MediaRequest) plain() (io.Reader, error) {
	switch {
	case r.Content != "" && r.Size != 0:
		return nil, errorf(Invalid, "Give either \"content\" or \"size\", not both")
	case r.Size < 0 || r.Size > maxMediaFile-1024:
		return nil, errorf(Invalid, "\"size\" is %d: it is between 1 and %d bytes", r.Size, maxMediaFile-1024)
	case r.Content != "":
		raw, err := base64.StdEncoding.DecodeString(r.Content)
		if err != nil {
			return nil, errorf(Invalid, "\"content\" is not base64: %v", err)
		}
		return bytes.NewReader(raw), nil
	}
	return madeUp(r.Kind, r.Size), nil
}

// MediaFile is a file that came with a message, decrypted. Close it.
type MediaFile struct {
	io.ReadCloser
	Mimetype string
	FileName string // of a document
	Size     int64  // in bytes
}

// Media returns the file of a message that a phone received or sent, as the phone shows it: downloaded, checked and
// decrypted. number says which phone, if the id alone does not. Errors: Invalid, NotFound; Conflict if the file cannot
// be had, or is not what the message says, which is also a violation.
func (s *Server) Media(ctx context.Context, id, number string) (*MediaFile, error) {
	var body waE2E.Message
	var found *mediaFile
	var sender string
	s.mu.Lock()
	m, err := s.findMessage(id, number)
	if err == nil {
		if err = proto.Unmarshal(m.Body, &body); err != nil {
			err = fmt.Errorf("decoding a message: %w", err)
		}
		sender = s.messageSender(m)
	}
	part := downloadable(&body)
	if err == nil && part != nil {
		if found = s.mediaOf(part); found != nil {
			copied := *found
			found = &copied
		}
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case part == nil:
		return nil, errorf(NotFound, "Message %s has no file", id)
	case found == nil:
		err = errorf(Conflict, "The media servers have no file under the path in message %s", id)
	case found.Gone != 0:
		return nil, errorf(Conflict, "The file of message %s cannot be downloaded: the media servers answer %d", id, found.Gone)
	default:
		var file *MediaFile
		if file, err = s.openPlain(found, part); err == nil {
			return file, nil
		}
		err = errorf(Conflict, "The file of message %s cannot be read: %v", id, err)
	}
	waitErr := s.updateWait(ctx, func(t *batch) { s.recordViolation(t, ViolationBadMedia, sender, err.Error()) })
	if waitErr != nil {
		return nil, waitErr
	}
	return nil, err
}

// openPlain checks a file against its message and opens it for reading.
func (s *Server) openPlain(f *mediaFile, part downloadablePart) (*MediaFile, error) {
	file, err := s.openMedia(f)
	if err != nil {
		return nil, err
	}
	keys := expandMediaKey(part.GetMediaKey(), whatsmeow.GetMediaType(part))
	encHash, hash, length, err := checkSealed(file, f.Size, keys)
	switch {
	case err != nil:
	case !bytes.Equal(encHash, part.GetFileEncSHA256()):
		err = fmt.Errorf("the message says that its encrypted SHA-256 is %s, but it is %s", hex.EncodeToString(part.GetFileEncSHA256()), hex.EncodeToString(encHash))
	case !bytes.Equal(hash, part.GetFileSHA256()):
		err = fmt.Errorf("the message says that its SHA-256 is %s, but it is %s", hex.EncodeToString(part.GetFileSHA256()), hex.EncodeToString(hash))
	case length != part.GetFileLength():
		err = fmt.Errorf("the message says that it has %d bytes, but it has %d", part.GetFileLength(), length)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	out := &MediaFile{
		ReadCloser: &plainFile{unsealed(file, f.Size, keys), file}, Mimetype: part.GetMimetype(), Size: int64(length),
	}
	if document, ok := part.(*waE2E.DocumentMessage); ok {
		out.FileName = document.GetFileName()
	}
	return out, nil
}

// downloadablePart is the part of a message that refers to a file.
type downloadablePart interface {
	whatsmeow.DownloadableMessage
	GetURL() string
	GetMimetype() string
	GetFileLength() uint64
}

// downloadable returns the part of a message that refers to a file, or nil.
func downloadable(m *waE2E.Message) downloadablePart {
	m = unwrap(m)
	switch {
	case m.ImageMessage != nil:
		return m.ImageMessage
	case m.VideoMessage != nil:
		return m.VideoMessage
	case m.PtvMessage != nil:
		return m.PtvMessage
	case m.AudioMessage != nil:
		return m.AudioMessage
	case m.DocumentMessage != nil:
		return m.DocumentMessage
	case m.StickerMessage != nil:
		return m.StickerMessage
	case m.GetProtocolMessage().GetHistorySyncNotification().GetDirectPath() != "":
		return historyFile{m.ProtocolMessage.HistorySyncNotification}
	}
	return nil
}

// historyFile is the file of a part of the history: it has no address of its own.
type historyFile struct{ *waE2E.HistorySyncNotification }

func (historyFile) GetURL() string { return "" }

func (historyFile) GetMimetype() string { return "application/octet-stream" }

// mediaOf returns the file that a message refers to, or nil. Called with s.mu held.
func (s *Server) mediaOf(part downloadablePart) *mediaFile {
	if f := s.media.byID[mediaID(part.GetDirectPath())]; f != nil {
		return f
	}
	return s.media.byID[mediaID(part.GetURL())]
}

// findMessage finds a message that a phone received or, if there is none, that a number sent. Called with s.mu held.
func (s *Server) findMessage(id, number string) (*message, error) {
	_, m, err := s.findReceived(id, number)
	if err == nil || KindOf(err) == Conflict {
		return m, err
	}
	for _, n := range slices.Sorted(maps.Keys(s.world.users)) {
		if number != "" && n != normalizeNumber(number) {
			continue
		}
		if m = s.world.users[n].sentByID[id]; m != nil && !m.Peer {
			return m, nil
		}
	}
	return nil, errorf(NotFound, "No phone received or sent a message %s", id)
}

// messageSender is the JID of the device that sent a message, for people to read.
func (s *Server) messageSender(m *message) string {
	if u := s.world.users[m.From]; u != nil {
		return u.pn(m.FromDevice).String()
	}
	return m.From
}
