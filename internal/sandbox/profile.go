package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"maps"
	"slices"
	"time"
)

// defaultAbout is what WhatsApp says about people who say nothing.
const defaultAbout = "Hey there! I am using WhatsApp."

// profile is what a user shows of itself, beside the name.
type profile struct {
	About    *string         `json:"about,omitempty"` // nil: defaultAbout
	AboutAt  time.Time       `json:"aboutAt"`
	Picture  *profilePicture `json:"picture,omitempty"`
	Business *Business       `json:"business,omitempty"` // nil: no business
}

// profilePicture refers to a picture on the media servers.
type profilePicture struct {
	ID      string `json:"id"`
	Full    string `json:"full"`    // id of the media file
	Preview string `json:"preview"` // of the one with 96 pixels
}

// Business is what a business shows of itself.
type Business struct {
	Name     string          `json:"name"` // verified
	Address  string          `json:"address,omitempty"`
	Email    string          `json:"email,omitempty"`
	Category string          `json:"category,omitempty"`
	Timezone string          `json:"timezone,omitempty"` // such as America/Sao_Paulo
	Hours    []BusinessHours `json:"hours,omitempty"`
}

// BusinessHours are those of one day.
type BusinessHours struct {
	Day   string `json:"day"`             // sun, mon, …
	Mode  string `json:"mode"`            // open_24h, specific_hours or appointment_only
	Open  string `json:"open,omitempty"`  // of specific_hours: minutes since midnight
	Close string `json:"close,omitempty"` // likewise
}

// ProfileRequest changes what a number shows of itself. What is left out stays.
type ProfileRequest struct {
	Number        string    `json:"number"` // made if it is new
	About         *string   `json:"about,omitempty"`
	Picture       string    `json:"picture,omitempty"`       // a JPEG in base64
	NewPicture    bool      `json:"newPicture,omitempty"`    // a made-up one, different each time
	RemovePicture bool      `json:"removePicture,omitempty"` //
	Business      *Business `json:"business,omitempty"`      // makes the number a business
}

// Profile is what a number shows of itself.
type Profile struct {
	Number    string    `json:"number"`
	Name      string    `json:"name"` // push name
	About     string    `json:"about"`
	PictureID string    `json:"pictureId,omitempty"`
	Business  *Business `json:"business,omitempty"`
}

// SetProfile changes what a number shows of itself, and tells the accounts that know it: those that wrote with it or
// asked for its devices. Errors: Invalid.
func (s *Server) SetProfile(ctx context.Context, r ProfileRequest) (Profile, error) {
	r.Number = normalizeNumber(r.Number)
	if err := checkNumber("number", r.Number); err != nil {
		return Profile{}, err
	}
	if (r.Picture != "" || r.NewPicture) && r.RemovePicture || r.Picture != "" && r.NewPicture {
		return Profile{}, errorf(Invalid, "Give one of \"picture\", \"newPicture\" and \"removePicture\"")
	}
	raw, err := base64.StdEncoding.DecodeString(r.Picture)
	if err != nil {
		return Profile{}, errorf(Invalid, "\"picture\" is not base64: %v", err)
	}
	if r.NewPicture {
		s.mu.Lock()
		raw = picture(100 + int(s.world.next()%400))
		s.mu.Unlock()
	}
	var files [2]*mediaFile
	if len(raw) > 0 {
		if files, err = s.keepPicture(raw, r.Number); err != nil {
			return Profile{}, err
		}
	}
	var out Profile
	waitErr := s.updateWait(ctx, func(t *batch) {
		u := s.ensureUser(t, r.Number)
		if r.Business != nil {
			u.profile.Business = r.Business
			t.put(tableProfiles, u.number, u.encodeProfile)
		}
		if r.About != nil {
			s.setAbout(t, u, *r.About, nil)
		}
		if files[0] != nil {
			s.setUserPicture(t, u, files, nil)
		} else if r.RemovePicture {
			s.removePicture(t, u, nil)
		}
		out = s.shownProfile(u)
	})
	return out, waitErr
}

// Profile tells what a number shows of itself. Errors: Invalid, NotFound.
func (s *Server) Profile(_ context.Context, number string) (Profile, error) {
	return about(s, number, s.shownProfile)
}

func (s *Server) shownProfile(u *user) Profile {
	out := Profile{Number: u.number, Name: u.name, About: u.about(), Business: u.profile.Business}
	if u.profile.Picture != nil {
		out.PictureID = u.profile.Picture.ID
	}
	return out
}

// ProfilePicture returns a number's picture, a JPEG. Errors: Invalid; NotFound also if there is none.
func (s *Server) ProfilePicture(_ context.Context, number string) ([]byte, error) {
	s.mu.Lock()
	u, err := s.known(number)
	var f *mediaFile
	if err == nil && u.profile.Picture != nil {
		f = s.media.byID[u.profile.Picture.Full]
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, errorf(NotFound, "%s has no picture", normalizeNumber(number))
	}
	file, err := s.openMedia(f)
	if err != nil {
		return nil, fmt.Errorf("opening a picture: %w", err)
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(file)
}

func (u *user) about() string {
	if u.profile.About == nil {
		return defaultAbout
	}
	return *u.profile.About
}

func (u *user) encodeProfile() []byte { return mustJSON(u.profile) }

func (s *Server) readProfile(number string, value []byte) error {
	u := s.world.users[number]
	if u == nil {
		return fmt.Errorf("it is not of a known number")
	}
	return json.Unmarshal(value, &u.profile)
}

const (
	maxPicture    = 5 << 20 // bytes
	previewPixels = 96
)

// keepPicture checks a picture and keeps it and its preview, which have no path yet.
func (s *Server) keepPicture(raw []byte, owner string) ([2]*mediaFile, error) {
	var files [2]*mediaFile
	header, err := jpeg.DecodeConfig(bytes.NewReader(raw))
	if err != nil || len(raw) > maxPicture || header.Width > 4096 || header.Height > 4096 {
		return files, errorf(Invalid, "The picture is not a JPEG with at most 4096 pixels a side and %d bytes", maxPicture)
	}
	full, err := jpeg.Decode(bytes.NewReader(raw))
	if err != nil {
		return files, errorf(Invalid, "The picture is not a JPEG: %v", err)
	}
	var preview bytes.Buffer
	if err = jpeg.Encode(&preview, shrunk(full), nil); err != nil {
		return files, fmt.Errorf("making a preview: %w", err)
	}
	for i, content := range [][]byte{raw, preview.Bytes()} {
		f, err := s.newMediaFile()
		if err != nil {
			return files, err
		}
		if _, err = f.Write(content); err != nil {
			discard(f)
			return files, fmt.Errorf("writing a picture: %w", err)
		}
		sum := sha256.Sum256(content)
		files[i] = &mediaFile{Hash: hex.EncodeToString(sum[:]), Kind: pictureKind, Owner: owner, Size: int64(len(content))}
		if err = keepFile(f, files[i].Hash); err != nil {
			return files, err
		}
	}
	return files, nil
}

// shrunk is a picture with at most previewPixels a side.
func shrunk(full image.Image) image.Image {
	b := full.Bounds()
	side := max(b.Dx(), b.Dy(), 1)
	if side <= previewPixels {
		return full
	}
	out := image.NewRGBA(image.Rect(0, 0, max(b.Dx()*previewPixels/side, 1), max(b.Dy()*previewPixels/side, 1)))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.Set(x, y, full.At(b.Min.X+x*side/previewPixels, b.Min.Y+y*side/previewPixels))
		}
	}
	return out
}

// setUserPicture gives a user a kept picture, and says so to all who know the user, but for the companion that did it.
func (s *Server) setUserPicture(t *batch, u *user, files [2]*mediaFile, by *device) {
	full, preview := s.addMedia(t, files[0]), s.addMedia(t, files[1])
	u.profile.Picture = &profilePicture{
		ID: fmt.Sprintf("%d%03d", now().Unix(), s.world.next()%1000), Full: full.ID, Preview: preview.ID,
	}
	t.put(tableProfiles, u.number, u.encodeProfile)
	s.tellAcquaintances(t, u, by, "picture", node{Tag: "set", Attrs: attrs{
		"jid": u.pn(0), "author": u.pn(0), "id": u.profile.Picture.ID,
	}})
}

func (s *Server) removePicture(t *batch, u *user, by *device) {
	if u.profile.Picture == nil {
		return
	}
	u.profile.Picture = nil
	t.put(tableProfiles, u.number, u.encodeProfile)
	s.tellAcquaintances(t, u, by, "picture", node{Tag: "delete", Attrs: attrs{"jid": u.pn(0), "author": u.pn(0)}})
}

func (s *Server) setAbout(t *batch, u *user, text string, by *device) {
	u.profile.About, u.profile.AboutAt = &text, now()
	t.put(tableProfiles, u.number, u.encodeProfile)
	s.tellAcquaintances(t, u, by, "status", node{Tag: "set", Content: []byte(text)})
}

// tellAcquaintances sends a notification from a user to the companions of all accounts that know it, and to its own,
// but for by.
func (s *Server) tellAcquaintances(t *batch, u *user, by *device, kind string, child node) {
	know := maps.Clone(u.watchers)
	know[u.number] = true
	for _, m := range u.received {
		know[m.From] = true
	}
	for _, m := range u.sent {
		know[m.To] = true
	}
	for _, number := range slices.Sorted(maps.Keys(know)) {
		other := s.world.users[number]
		if other == nil {
			continue
		}
		for _, d := range other.companions() {
			if d == by {
				continue
			}
			s.enqueue(t, d, u.number, node{Tag: "notification", Attrs: attrs{
				"from": u.pn(0), "type": kind, "id": randomID(8), "t": unix(now()), "notify": u.name,
			}, Content: []node{child}})
		}
	}
}
