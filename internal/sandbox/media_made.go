package sandbox

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"sync"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// mediaKind is how phones send one kind of file.
type mediaKind struct {
	keys     whatsmeow.MediaType
	mimetype string
	message  func(r *MediaRequest, f sealedMedia) *waE2E.Message
}

var mediaKinds = map[string]mediaKind{
	"image":    {whatsmeow.MediaImage, "image/jpeg", imageMessage},
	"video":    {whatsmeow.MediaVideo, "video/mp4", videoMessage},
	"gif":      {whatsmeow.MediaVideo, "video/mp4", videoMessage},
	"audio":    {whatsmeow.MediaAudio, "audio/mpeg", audioMessage},
	"voice":    {whatsmeow.MediaAudio, "audio/ogg; codecs=opus", audioMessage},
	"document": {whatsmeow.MediaDocument, "application/octet-stream", documentMessage},
	"sticker":  {whatsmeow.MediaImage, "image/webp", stickerMessage},
}

func imageMessage(r *MediaRequest, f sealedMedia) *waE2E.Message {
	return viewOnce(r, &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
		URL: proto.String(f.file.url()), DirectPath: proto.String(f.file.path()), MediaKey: f.key, FileSHA256: f.hash,
		FileEncSHA256: f.encHash, FileLength: &f.length, MediaKeyTimestamp: proto.Int64(f.file.At.Unix()),
		Mimetype: &r.Mimetype, Caption: textOrNil(r.Caption), Width: proto.Uint32(64), Height: proto.Uint32(64),
		JPEGThumbnail: thumbnail(), ViewOnce: trueOrNil(r.ViewOnce),
	}})
}

func videoMessage(r *MediaRequest, f sealedMedia) *waE2E.Message {
	return viewOnce(r, &waE2E.Message{VideoMessage: &waE2E.VideoMessage{
		URL: proto.String(f.file.url()), DirectPath: proto.String(f.file.path()), MediaKey: f.key, FileSHA256: f.hash,
		FileEncSHA256: f.encHash, FileLength: &f.length, MediaKeyTimestamp: proto.Int64(f.file.At.Unix()),
		Mimetype: &r.Mimetype, Caption: textOrNil(r.Caption), Seconds: proto.Uint32(max(r.Seconds, 1)),
		Width: proto.Uint32(64), Height: proto.Uint32(64), JPEGThumbnail: thumbnail(),
		GifPlayback: trueOrNil(r.Kind == "gif"), ViewOnce: trueOrNil(r.ViewOnce),
	}})
}

func audioMessage(r *MediaRequest, f sealedMedia) *waE2E.Message {
	return viewOnce(r, &waE2E.Message{AudioMessage: &waE2E.AudioMessage{
		URL: proto.String(f.file.url()), DirectPath: proto.String(f.file.path()), MediaKey: f.key, FileSHA256: f.hash,
		FileEncSHA256: f.encHash, FileLength: &f.length, MediaKeyTimestamp: proto.Int64(f.file.At.Unix()),
		Mimetype: &r.Mimetype, Seconds: proto.Uint32(max(r.Seconds, 1)), PTT: proto.Bool(r.Kind == "voice"),
		ViewOnce: trueOrNil(r.ViewOnce),
	}})
}

func documentMessage(r *MediaRequest, f sealedMedia) *waE2E.Message {
	name := r.FileName
	if name == "" {
		name = "document"
	}
	m := &waE2E.Message{DocumentMessage: &waE2E.DocumentMessage{
		URL: proto.String(f.file.url()), DirectPath: proto.String(f.file.path()), MediaKey: f.key, FileSHA256: f.hash,
		FileEncSHA256: f.encHash, FileLength: &f.length, MediaKeyTimestamp: proto.Int64(f.file.At.Unix()),
		Mimetype: &r.Mimetype, Caption: textOrNil(r.Caption), FileName: &name, Title: &name,
	}}
	if r.Caption != "" { // phones wrap these
		m = &waE2E.Message{DocumentWithCaptionMessage: &waE2E.FutureProofMessage{Message: m}}
	}
	return m
}

func stickerMessage(r *MediaRequest, f sealedMedia) *waE2E.Message {
	return &waE2E.Message{StickerMessage: &waE2E.StickerMessage{
		URL: proto.String(f.file.url()), DirectPath: proto.String(f.file.path()), MediaKey: f.key, FileSHA256: f.hash,
		FileEncSHA256: f.encHash, FileLength: &f.length, MediaKeyTimestamp: proto.Int64(f.file.At.Unix()),
		Mimetype: &r.Mimetype, Width: proto.Uint32(512), Height: proto.Uint32(512), IsAnimated: proto.Bool(false),
	}}
}

// viewOnce puts a message into the envelope of those that are shown once, if it is to be one.
func viewOnce(r *MediaRequest, m *waE2E.Message) *waE2E.Message {
	if !r.ViewOnce {
		return m
	}
	return &waE2E.Message{ViewOnceMessageV2: &waE2E.FutureProofMessage{Message: m}}
}

func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func trueOrNil(value bool) *bool {
	if !value {
		return nil
	}
	return &value
}

// madeUp gives a file of so many bytes, always the same for a kind and size. Images and stickers start with a whole
// small picture, which programs show whatever comes after it. Size 0 is the picture alone, or a KiB.
func madeUp(kind string, size int64) io.Reader {
	var start []byte
	switch kind {
	case "image":
		start = picture(64)
	case "sticker":
		start = webp()
	case "voice":
		start = []byte("OggS")
	case "audio":
		start = []byte("ID3")
	}
	if size == 0 {
		size = max(int64(len(start)), 1024)
		if kind == "image" || kind == "sticker" {
			size = int64(len(start))
		}
	}
	noise := rand.NewChaCha8([32]byte([]byte("the sandbox makes up a media file")[:32]))
	return io.LimitReader(io.MultiReader(bytes.NewReader(start), noise), size)
}

// picture is a small JPEG of so many pixels square.
func picture(pixels int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, pixels, pixels))
	for y := range pixels {
		for x := range pixels {
			img.Set(x, y, color.RGBA{R: uint8(4 * x), G: uint8(4 * y), B: 160, A: 255})
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil { // a buffer takes everything
		return nil
	}
	return out.Bytes()
}

// thumbnail is what images and videos carry in the message itself.
var thumbnail = sync.OnceValue(func() []byte { return picture(16) })

// webp is a picture of one pixel.
func webp() []byte {
	raw, err := base64.StdEncoding.DecodeString("UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAwA0JaQAA3AA/vuUAAA=")
	if err != nil {
		return nil
	}
	return raw
}
