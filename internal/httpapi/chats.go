package httpapi

import (
	"net/http"

	"pombo/internal/evolution"
)

func (s *server) markMessageAsRead(c *call) (answer, error) {
	req, err := evolution.DecodeReadMessages(c.body)
	if err != nil {
		return answer{}, err
	}
	if err := s.Chats.MarkRead(c.Context(), c.view.Name, req.Keys); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: evolution.MessagesRead(), warnings: req.Warnings}, nil
}

func (s *server) sendPresence(c *call) (answer, error) {
	req, err := evolution.DecodeShowPresence(c.body)
	if err != nil {
		return answer{}, err
	}
	if err := s.Chats.ShowPresence(c.Context(), c.view.Name, req.Typing); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: req.Answer(), warnings: req.Warnings}, nil
}

func (s *server) updateMessage(c *call) (answer, error) {
	req, err := evolution.DecodeUpdateMessage(c.body)
	if err != nil {
		return answer{}, err
	}
	sent, err := s.Chats.EditText(c.Context(), c.view.Name, req.Edit)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: sent.Data, warnings: req.Warnings}, nil
}

func (s *server) deleteMessage(c *call) (answer, error) {
	req, err := evolution.DecodeDeleteMessage(c.body)
	if err != nil {
		return answer{}, err
	}
	sent, err := s.Chats.DeleteMessage(c.Context(), c.view.Name, req.Key)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: sent.Data, warnings: req.Warnings}, nil
}

func (s *server) whatsappNumbers(c *call) (answer, error) {
	req, err := evolution.DecodeCheckNumbers(c.body)
	if err != nil {
		return answer{}, err
	}
	checks, err := s.Lookups.CheckNumbers(c.Context(), c.view.Name, req.Numbers)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: evolution.NumbersChecked(c.dialect, checks), warnings: req.Warnings}, nil
}

func (s *server) fetchProfilePictureURL(c *call) (answer, error) {
	number, warnings, err := evolution.DecodePicture(c.body)
	if err != nil {
		return answer{}, err
	}
	jid, url, err := s.Lookups.Picture(c.Context(), c.view.Name, number)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: evolution.Picture(jid, url), warnings: warnings}, nil
}
