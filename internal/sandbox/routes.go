package sandbox

import "net/http"

// networkRoutes is the WhatsApp side.
func (s *Server) networkRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws/chat", s.serveChat)
	s.mediaRoutes(mux)
	return mux
}
