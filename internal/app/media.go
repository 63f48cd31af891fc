package app

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pombo"
	"pombo/internal/dispatch"
	"pombo/internal/evolution"
	"pombo/internal/media"
)

// mediaFolder is where files are, in the data folder. (The sandbox keeps what is
// uploaded to it in "media".)
const mediaFolder = "files"

// openMedia makes the keeper of files.
func (a *App) openMedia() (err error) {
	cfg := a.o.Config.Media
	a.media, err = media.New(media.Options{
		Store: a.store, Fetch: fetcher{a}, Dir: filepath.Join(a.o.Config.Server.DataDir, mediaFolder),
		Deadline: cfg.Deadline(), Keep: cfg.Keep(), Limit: cfg.Limit(), LargestSent: cfg.LargestSent(),
		Ready:  func(lane pombo.Lane) { a.deliver.Hurry(lane) },
		Logger: a.log.With("part", "media"),
	})
	return err
}

// fetcher passes on to the manager, which needs the keeper of files itself.
type fetcher struct{ a *App }

func (f fetcher) FetchMedia(ctx context.Context, m pombo.Media, into *os.File) (pombo.Media, error) {
	return f.a.manager.FetchMedia(ctx, m, into)
}

// fileNamer names the file of an event: its ID follows from the event's key and a
// secret, so that a message that comes again names the same file, and nobody can
// guess it.
func (a *App) fileNamer() func(instance pombo.InstanceID, key string) (id, url string) {
	secret := []byte(a.store.MediaSecret())
	base := strings.TrimRight(string(a.o.Config.Server.URL), "/")
	return func(instance pombo.InstanceID, key string) (id, url string) {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(instance))
		mac.Write([]byte{0})
		mac.Write([]byte(key))
		id = hex.EncodeToString(mac.Sum(nil)[:16])
		if base != "" {
			url = base + "/media/" + id
		}
		return id, url
	}
}

// askStoreAgain is how long a delivery waits that cannot be put together because the
// store fails.
const askStoreAgain = 2 * time.Second

// carriesFile tells whether the event has a file that the webhook wants with it.
func carriesFile(d pombo.Delivery, w pombo.Webhook) bool {
	return w.Base64 && d.Event.Attachment.ID != "" && d.Event.Attachment.Offset <= len(d.Event.Data)
}

// withInsert returns data with what is inserted at a place.
func withInsert(data []byte, at int, insert evolution.Insert) []byte {
	return slices.Concat(data[:at], insert.Before, insert.After, data[at:])
}

// withFile puts what a delivery carries of its file into its data. For an event
// without one, and a webhook that wants none, data stays as it is.
func (a *App) withFile(d pombo.Delivery, w pombo.Webhook) (data []byte, file *fileBody, err error) {
	data = d.Event.Data
	at := d.Event.Attachment.Offset
	if !carriesFile(d, w) {
		return data, nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	path, size, missed, err := a.media.Sent(ctx, d)
	var waiting *media.Waiting
	switch {
	case errors.As(err, &waiting):
		return nil, nil, &dispatch.NotReady{Until: waiting.Until}
	case err != nil:
		a.log.Warn("a delivery waits, since its file could not be looked up", "delivery", d.ID, "error", err)
		return nil, nil, &dispatch.NotReady{Until: time.Now().Add(askStoreAgain)}
	case missed != "":
		return withInsert(data, at, evolution.InsertMissing(missed)), nil, nil
	}
	insert := evolution.InsertFile()
	return withInsert(data, at, insert), &fileBody{path: path, size: size, at: at + len(insert.Before)}, nil
}

// fileBody is a body with a file in it, as base64, at a place of the text around it.
type fileBody struct {
	text []byte
	at   int
	path string
	size int64
}

// Size implements dispatch.Body.
func (b *fileBody) Size() int64 { return int64(len(b.text)) + evolution.Base64Size(b.size) }

// Open implements dispatch.Body.
func (b *fileBody) Open() (io.ReadCloser, error) {
	f, err := os.Open(b.path)
	if err != nil {
		return nil, fmt.Errorf("opening the file of a message: %w", err)
	}
	return &reading{
		Reader: io.MultiReader(bytes.NewReader(b.text[:b.at]), evolution.Base64(io.LimitReader(f, b.size)), bytes.NewReader(b.text[b.at:])),
		Closer: f,
	}, nil
}

type reading struct {
	io.Reader
	io.Closer
}
