package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// mediaRoutes are the media servers: uploads as in whatsmeow's upload.go, downloads as in its download.go.
func (s *Server) mediaRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /mms/{kind}/{token}", s.serveUpload)
	mux.HandleFunc("POST /newsletter/{kind}/{token}", s.serveUpload)
	mux.HandleFunc("GET /v/{folder}/{name}", s.serveDownload)
}

var uploadKinds = map[string]bool{
	"image": true, "video": true, "audio": true, "ptt": true, "document": true, "sticker": true, "sticker-pack": true,
	"thumbnail-link": true, "md-app-state": true, "md-msg-hist": true, "newsletter-image": true, "newsletter-video": true,
	"newsletter-audio": true, "newsletter-document": true, "newsletter-sticker": true,
}

// mediaAuth is the word by which the media servers know a companion again: its address, signed.
func (s *Server) mediaAuth(d *device) string {
	mac := hmac.New(sha256.New, s.root.Priv[:])
	mac.Write([]byte("media\x00" + d.address()))
	return d.address() + "." + hex.EncodeToString(mac.Sum(nil)[:16])
}

// uploader returns the companion that an auth parameter belongs to, or nil.
func (s *Server) uploader(auth string) *device {
	address, _, _ := strings.Cut(auth, ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.deviceAt(address)
	if d == nil || !hmac.Equal([]byte(auth), []byte(s.mediaAuth(d))) {
		return nil
	}
	return d
}

// serveUpload takes a file from a client. The token in the path is the hash of its bytes.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	kind := r.PathValue("kind")
	d := s.uploader(r.URL.Query().Get("auth"))
	switch {
	case d == nil:
		http.Error(w, "unknown auth", http.StatusUnauthorized)
		return
	case !uploadKinds[kind]:
		http.Error(w, "unknown media type", http.StatusNotFound)
		return
	}
	if code := s.mediaFault(r, FaultUpload, d.user.number); code != 0 {
		http.Error(w, http.StatusText(code), code)
		return
	}
	hash, size, err := s.takeUpload(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	case errors.Is(err, errUploadHash):
		s.update(func(t *batch) {
			s.recordViolation(t, ViolationBadMedia, d.user.pn(d.id).String(), "an upload whose token is not the hash of its bytes")
		})
		http.Error(w, "hash mismatch", http.StatusBadRequest)
		return
	case err != nil:
		s.log.Debug("An upload failed", "error", err)
		http.Error(w, "upload failed", http.StatusInternalServerError)
		return
	}
	f := &mediaFile{Hash: hash, Kind: kind, Owner: d.user.number, Size: size}
	if err = s.updateWait(r.Context(), func(t *batch) { s.addMedia(t, f) }); err != nil {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	s.answer(w, http.StatusOK, map[string]string{
		"url": f.url(), "direct_path": f.path(), "handle": f.ID, "object_id": f.ID,
	})
}

var errUploadHash = errors.New("the token is not the hash")

// takeUpload keeps an upload's bytes and returns their hash in hexadecimal, and their number.
func (s *Server) takeUpload(w http.ResponseWriter, r *http.Request) (string, int64, error) {
	token, err := base64.URLEncoding.DecodeString(r.PathValue("token"))
	if err != nil {
		return "", 0, errUploadHash
	}
	f, err := s.newMediaFile()
	if err != nil {
		return "", 0, err
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), http.MaxBytesReader(w, r.Body, maxMediaFile))
	if err == nil && !hmac.Equal(token, sum.Sum(nil)) {
		err = errUploadHash
	}
	if err != nil {
		discard(f)
		return "", 0, err
	}
	hash := hex.EncodeToString(token)
	return hash, size, keepFile(f, hash)
}

// serveDownload gives a file to whoever knows its path, as the real servers do.
func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request) {
	var found mediaFile
	s.mu.Lock()
	if f := s.media.byID[mediaID(r.PathValue("name"))]; f != nil {
		found = *f
	}
	s.mu.Unlock()
	if found.ID == "" {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if code := s.mediaFault(r, FaultMedia, found.Owner); code != 0 {
		http.Error(w, http.StatusText(code), code)
		return
	}
	if found.Gone != 0 {
		http.Error(w, http.StatusText(found.Gone), found.Gone)
		return
	}
	if wanted := hashParameter(r); wanted != "" && wanted != found.Hash {
		http.Error(w, "bad hash", http.StatusForbidden)
		return
	}
	file, err := s.openMedia(&found)
	if err != nil {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	defer func() { _ = file.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	if found.Kind == pictureKind {
		w.Header().Set("Content-Type", "image/jpeg")
	}
	http.ServeContent(w, r, "", found.At, file)
}

// hashParameter is the hash that a download asks for, in hexadecimal, or "".
func hashParameter(r *http.Request) string {
	raw, err := base64.URLEncoding.DecodeString(r.URL.Query().Get("hash"))
	if err != nil {
		return fmt.Sprintf("not base64: %v", err)
	}
	return hex.EncodeToString(raw)
}

// mediaFault waits as a fault wants, and returns the status that the request gets for it, or 0.
func (s *Server) mediaFault(r *http.Request, kind FaultKind, owner string) int {
	s.mu.Lock()
	f := s.faults.hit(kind, owner)
	s.mu.Unlock()
	if f == nil {
		return 0
	}
	if f.Ms > 0 {
		timer := time.NewTimer(time.Duration(f.Ms) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		case <-s.ctx.Done():
			return http.StatusServiceUnavailable
		}
	}
	return f.Code
}
