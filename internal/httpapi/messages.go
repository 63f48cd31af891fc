package httpapi

import (
	"net/http"

	"pombo/internal/evolution"
)

func (s *server) sendText(c *call) (answer, error) {
	req, err := evolution.DecodeSendText(c.body)
	if err != nil {
		return answer{}, err
	}
	sent, err := s.Messages.SendText(c.Context(), c.view.Name, req.Text)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: req.Answer(sent), warnings: req.Warnings}, nil
}
