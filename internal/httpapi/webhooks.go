package httpapi

import (
	"net/http"

	"pombo/internal/evolution"
)

func (s *server) setWebhook(c *call) (answer, error) {
	req, err := evolution.DecodeWebhookSet(c.body)
	if err != nil {
		return answer{}, err
	}
	if req.Change.URL == nil {
		// The URL that stays may be one that was never checked, since it was set
		// with "enabled": false.
		w, _, err := s.Webhooks.Webhook(c.Context(), c.view.Name)
		if err != nil {
			return answer{}, err
		}
		if err := evolution.ValidateWebhook(req.Change.Apply(w)); err != nil {
			return answer{}, err
		}
	}
	w, err := s.Webhooks.SetWebhook(c.Context(), c.view.Name, req.Change)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: req.Answer(c.view.Name, w), warnings: req.Warnings}, nil
}

func (s *server) findWebhook(c *call) (answer, error) {
	w, found, err := s.Webhooks.Webhook(c.Context(), c.view.Name)
	if err != nil {
		return answer{}, err
	}
	return ok(evolution.WebhookFound(c.dialect, w, found))
}
