package httpapi

import (
	"pombo"
	"pombo/internal/evolution"
)

func (s *server) welcome(*call) (answer, error) {
	web := ""
	if s.WhatsAppVersion != nil {
		web = s.WhatsAppVersion()
	}
	return ok(evolution.Welcome(s.Version, s.ServerURL, web))
}

func (s *server) health(c *call) (answer, error) {
	if s.Health != nil {
		if err := s.Health(c.Context()); err != nil {
			s.log.Warn("not healthy", "err", err)
			return answer{}, pombo.Errorf(pombo.Unavailable, "The server is not able to do its work now; its log tells why")
		}
	}
	return ok(mustJSON(map[string]string{"status": "ok"}))
}

func (s *server) openapi(*call) (answer, error) {
	body, err := Description(s.Version)
	if err != nil {
		return answer{}, err
	}
	return ok(body)
}

func (s *server) verifyCredentials(*call) (answer, error) { return ok(evolution.CredentialsValid()) }
