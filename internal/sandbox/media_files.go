package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
)

// mediaFiles is what the media servers hold: encrypted files, and pictures that are not.
//
// The bytes lie in files named by their SHA-256; what the network knows about them is in rows, one for each path
// under which they can be downloaded. Guarded by Server.mu, but for the folder, which is settled with once.
type mediaFiles struct {
	dir       string // of the files; empty until the first one, if the state is in memory
	temporary bool
	byID      map[string]*mediaFile
	oldest    []*mediaFile   // all of them, by age
	paths     map[string]int // by hash: how many paths lead to the same bytes
	total     int64          // bytes, each file once
}

// defaultMediaLimit is how many bytes the media servers hold, if Options say nothing. maxMediaFile is what one file
// may have: WhatsApp's own limit for documents.
const (
	defaultMediaLimit = 4 << 30
	maxMediaFile      = 2 << 30
)

// mediaFile is a file under one path.
type mediaFile struct {
	ID     string      `json:"-"`
	Hash   string      `json:"hash"`             // SHA-256 of the bytes, as they are downloaded; hexadecimal
	Kind   string      `json:"kind"`             // image, video, …: the type in the upload's path
	Owner  string      `json:"owner,omitempty"`  // number of who uploaded it
	Size   int64       `json:"size"`             // in bytes
	At     time.Time   `json:"at"`               //
	Gone   int         `json:"gone,omitempty"`   // the status that downloads get instead of the file
	Answer RetryAnswer `json:"answer,omitempty"` // what the phone does when it is asked for it again
}

// mediaFolders are the path's parts that the real servers use for each kind; all others are under "t62.7118-24".
var mediaFolders = map[string]string{
	"video": "t62.7161-24", "document": "t62.7119-24", "audio": "t62.7117-24", "ptt": "t62.7117-24",
	"sticker": "t62.15575-24", "md-msg-hist": "t62.36147-24", pictureKind: "t61.24694-24",
}

// path is where clients download the file. They append "&hash=…" to it (whatsmeow download.go,
// DownloadMediaWithPath), so it has a query already.
func (f *mediaFile) path() string {
	folder, suffix := mediaFolders[f.Kind], ".enc"
	if folder == "" {
		folder = "t62.7118-24"
	}
	if f.Kind == pictureKind {
		suffix = ".jpg"
	}
	return fmt.Sprintf("/v/%s/%s_n%s?ccb=11-4&oh=01_sandbox&oe=%X&_nc_sid=5e03e0", folder, f.ID, suffix, f.At.Add(30*24*time.Hour).Unix())
}

// url is the same with the host.
func (f *mediaFile) url() string {
	host := "https://mmg.whatsapp.net"
	if f.Kind == pictureKind {
		return "https://pps.whatsapp.net" + f.path()
	}
	return host + f.path() + "&mms3=true"
}

// mediaID is the ID in a path or address made by path, or "".
func mediaID(path string) string {
	path, _, _ = strings.Cut(path, "?")
	name := path[strings.LastIndex(path, "/")+1:]
	id, _, ok := strings.Cut(name, "_n")
	if !ok {
		return ""
	}
	return id
}

// mediaFolder returns the folder of the files, made if it is the first one.
func (s *Server) mediaFolder() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return "", errorf(Conflict, "The sandbox is shutting down")
	case s.media.dir != "":
		return s.media.dir, nil
	case s.options.DataDir != "":
		dir := filepath.Join(s.options.DataDir, "media")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", fmt.Errorf("making the media folder: %w", err)
		}
		s.media.dir = dir
	default:
		dir, err := os.MkdirTemp("", "pombo-sandbox-")
		if err != nil {
			return "", fmt.Errorf("making the media folder: %w", err)
		}
		s.media.dir, s.media.temporary = dir, true
	}
	return s.media.dir, nil
}

// closeMedia removes the files of a sandbox that keeps nothing.
func (s *Server) closeMedia() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.media.temporary || s.media.dir == "" {
		return nil
	}
	return os.RemoveAll(s.media.dir)
}

// newMediaFile makes a file to write into. keep or os.Remove ends its life as a temporary one.
func (s *Server) newMediaFile() (*os.File, error) {
	dir, err := s.mediaFolder()
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return nil, fmt.Errorf("making a media file: %w", err)
	}
	return f, nil
}

// keepFile closes a file from newMediaFile and gives it the name of its hash.
func keepFile(f *os.File, hash string) error {
	err := f.Close()
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(filepath.Dir(f.Name()), hash))
	}
	if err != nil {
		discard(f)
		return fmt.Errorf("keeping a media file: %w", err)
	}
	return nil
}

// discard removes a file from newMediaFile. What cannot be removed goes with the next start.
func discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// addMedia gives bytes that keepFile has kept a path, and lets the oldest files go if there are too many.
func (s *Server) addMedia(t *batch, f *mediaFile) *mediaFile {
	f.ID, f.At = strings.ToLower(randomID(16)), now()
	s.media.add(f)
	t.put(tableMedia, f.ID, encodeJSON(f))
	s.trimMedia(t)
	return f
}

func (m *mediaFiles) add(f *mediaFile) {
	if m.byID == nil {
		m.byID, m.paths = map[string]*mediaFile{}, map[string]int{}
	}
	m.byID[f.ID] = f
	m.oldest = append(m.oldest, f)
	if m.paths[f.Hash]++; m.paths[f.Hash] == 1 {
		m.total += f.Size
	}
}

// forget drops a path. It returns whether it was the last one to its bytes.
func (m *mediaFiles) forget(f *mediaFile) bool {
	delete(m.byID, f.ID)
	if m.paths[f.Hash]--; m.paths[f.Hash] > 0 {
		return false
	}
	delete(m.paths, f.Hash)
	m.total -= f.Size
	return true
}

// trimMedia forgets the oldest files until the rest fits. The newest always stays.
func (s *Server) trimMedia(t *batch) {
	limit := s.options.MediaLimit
	if limit == 0 {
		limit = defaultMediaLimit
	}
	for s.media.total > limit && len(s.media.oldest) > 1 {
		f := s.media.oldest[0]
		s.media.oldest = s.media.oldest[1:]
		t.drop(tableMedia, f.ID)
		if s.media.forget(f) {
			path := filepath.Join(s.media.dir, f.Hash)
			t.then(func() {
				if s.media.paths[f.Hash] > 0 { // it came again
					return
				}
				if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
					s.log.Warn("A media file could not be removed", "error", err)
				}
			})
		}
	}
}

// openMedia opens a file's bytes.
func (s *Server) openMedia(f *mediaFile) (*os.File, error) {
	dir, err := s.mediaFolder()
	if err != nil {
		return nil, err
	}
	return os.Open(filepath.Join(dir, f.Hash))
}

func (s *Server) readMedia(id string, value []byte) error {
	f := &mediaFile{ID: id}
	if err := json.Unmarshal(value, f); err != nil {
		return err
	}
	s.media.add(f)
	return nil
}

// checkMedia makes files and rows agree after a start: a process that was killed may have left one without the other.
func (s *Server) checkMedia() error {
	dir, err := s.mediaFolder()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the media folder: %w", err)
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	wanted := map[string]bool{}
	slices.SortStableFunc(s.media.oldest, func(a, b *mediaFile) int { return a.At.Compare(b.At) })
	s.media.oldest = slices.DeleteFunc(s.media.oldest, func(f *mediaFile) bool {
		wanted[f.Hash] = true
		if !there[f.Hash] {
			s.media.forget(f)
			s.current.drop(tableMedia, f.ID)
		}
		return !there[f.Hash]
	})
	for name := range there {
		if !wanted[name] {
			if err = os.Remove(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("removing a file that nobody knows: %w", err)
			}
		}
	}
	return nil
}

// mmsTypes are the kinds of media by the name of their keys (whatsmeow download.go, mediaTypeToMMSType).
var mmsTypes = map[whatsmeow.MediaType]string{
	whatsmeow.MediaImage: "image", whatsmeow.MediaVideo: "video", whatsmeow.MediaAudio: "audio",
	whatsmeow.MediaDocument: "document", whatsmeow.MediaHistory: "md-msg-hist", whatsmeow.MediaAppState: "md-app-state",
	whatsmeow.MediaStickerPack: "sticker-pack", whatsmeow.MediaLinkThumbnail: "thumbnail-link",
}

// pictureKind is the kind of profile pictures, which are not encrypted.
const pictureKind = "picture"
