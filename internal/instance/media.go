package instance

import (
	"context"
	"os"

	"pombo"
)

// Fetcher is the part of a session that gets files.
type Fetcher interface {
	FetchMedia(ctx context.Context, m pombo.Media, into *os.File) (pombo.Media, error)
	MediaOf(r pombo.MediaRequest) (pombo.Media, error)
}

// Files keeps the files of messages.
type Files interface {
	// Open opens the file with this ID.
	Open(ctx context.Context, id string) (*pombo.MediaFile, error)
	// OfMessage opens the file of a message; ok is false if none is known.
	OfMessage(ctx context.Context, id pombo.InstanceID, message string) (f *pombo.MediaFile, ok bool, err error)
	// Stranger fetches a file for this call alone.
	Stranger(ctx context.Context, m pombo.Media) (*pombo.MediaFile, error)
}

func (e *entry) fetcher() (Fetcher, error) {
	if f, ok := e.session.(Fetcher); ok {
		return f, nil
	}
	return nil, pombo.Errorf(pombo.Invalid, "The %q instance cannot fetch files", e.instance().Name)
}

// FetchMedia writes the file of a message of an instance to into.
func (m *Manager) FetchMedia(ctx context.Context, file pombo.Media, into *os.File) (pombo.Media, error) {
	m.mu.RLock()
	e := m.byID[file.Instance]
	m.mu.RUnlock()
	if e == nil {
		return file, pombo.Errorf(pombo.NotFound, "its instance is deleted")
	}
	f, err := e.fetcher()
	if err != nil {
		return file, err
	}
	return f.FetchMedia(ctx, file, into)
}

// MessageMedia opens the file of a message that came to the instance called name
// lately, or that the caller gave whole.
func (m *Manager) MessageMedia(ctx context.Context, name string, r pombo.MediaRequest) (*pombo.MediaFile, error) {
	e, err := m.entry(name)
	if err != nil {
		return nil, err
	}
	if r.Key.ID != "" {
		f, ok, err := m.o.Files.OfMessage(ctx, e.instance().ID, r.Key.ID)
		if err != nil || ok {
			return f, refused(err)
		}
	}
	if len(r.Message) == 0 {
		err := pombo.Errorf(pombo.Invalid, "Message not found")
		err.Detail = []string{
			"Message not found",
			"Files are known of messages that came in the last days (POMBO_MEDIA_KEEP_HOURS); of others, give the whole message as a webhook got it",
		}
		return nil, err
	}
	f, err := e.fetcher()
	if err != nil {
		return nil, err
	}
	file, err := f.MediaOf(r)
	if err != nil {
		return nil, err
	}
	opened, err := m.o.Files.Stranger(ctx, file)
	return opened, refused(err)
}

// refused makes a wrong request of one for a file that cannot be had: as in the
// original, 404 is for instances.
func refused(err error) error {
	if pombo.KindOf(err) == pombo.NotFound {
		return pombo.Errorf(pombo.Invalid, "%w", err)
	}
	return err
}

// OpenMedia opens the file that a link leads to.
func (m *Manager) OpenMedia(ctx context.Context, id string) (*pombo.MediaFile, error) {
	return m.o.Files.Open(ctx, id)
}
