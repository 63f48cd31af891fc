package sandbox

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
)

// accountRoutes are the control routes of media, settings, history and profiles.
func (s *Server) accountRoutes(mux *http.ServeMux) {
	mux.Handle("POST /sandbox/media", post(s, http.StatusCreated, s.SendMedia))
	mux.Handle("POST /sandbox/app-state", post(s, http.StatusOK, s.SetAppState))
	mux.Handle("GET /sandbox/app-state", get(s, func(r *http.Request) ([]Setting, error) {
		return s.AppState(r.Context(), r.URL.Query().Get("number"))
	}))
	mux.Handle("GET /sandbox/app-state/fetched", get(s, func(r *http.Request) (Fetched, error) {
		return s.FetchedAppState(r.Context(), r.URL.Query().Get("number"))
	}))
	mux.Handle("POST /sandbox/history", post(s, http.StatusCreated, s.SendHistory))
	mux.Handle("POST /sandbox/profile", post(s, http.StatusOK, s.SetProfile))
	mux.Handle("GET /sandbox/profile", get(s, func(r *http.Request) (Profile, error) {
		return s.Profile(r.Context(), r.URL.Query().Get("number"))
	}))
	mux.HandleFunc("GET /sandbox/profile/picture", s.servePicture)
	mux.HandleFunc("GET /sandbox/messages/{id}/media", s.serveMedia)
	mux.Handle("POST /sandbox/messages/{id}/expire", postTo(s, http.StatusOK, func(ctx context.Context, id string, r ExpireRequest) (struct{}, error) {
		r.ID = id
		return struct{}{}, s.ExpireMedia(ctx, r)
	}))
}

// serveMedia gives the file of a message, decrypted.
func (s *Server) serveMedia(w http.ResponseWriter, r *http.Request) {
	file, err := s.Media(r.Context(), r.PathValue("id"), r.URL.Query().Get("number"))
	if err != nil {
		s.fail(w, err)
		return
	}
	defer func() { _ = file.Close() }()
	kind := file.Mimetype
	if _, _, err = mime.ParseMediaType(kind); err != nil {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.FormatInt(file.Size, 10))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if file.FileName != "" {
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.FileName}))
	}
	if _, err = io.Copy(w, file); err != nil {
		s.log.Debug("A file could not be sent", "error", err)
	}
}

// servePicture gives a number's profile picture.
func (s *Server) servePicture(w http.ResponseWriter, r *http.Request) {
	raw, err := s.ProfilePicture(r.Context(), r.URL.Query().Get("number"))
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err = w.Write(raw); err != nil {
		s.log.Debug("A picture could not be sent", "error", err)
	}
}
