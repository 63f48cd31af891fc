package httpapi

import (
	"net/http"

	"pombo/internal/evolution"
)

func (s *server) setSettings(c *call) (answer, error) {
	req, err := evolution.DecodeSettingsSet(c.body)
	if err != nil {
		return answer{}, err
	}
	now, err := s.Settings.SetSettings(c.Context(), c.view.Name, req.Change)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: req.Answer(c.view.Name, now), warnings: req.Warnings}, nil
}

func (s *server) findSettings(c *call) (answer, error) {
	return ok(evolution.Settings(c.dialect, c.view.Settings))
}
