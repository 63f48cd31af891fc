package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"pombo"
	"pombo/internal/evolution"
)

// WebhookLists keeps all webhooks of each instance.
type WebhookLists interface {
	AddWebhook(ctx context.Context, name string, c pombo.WebhookChange) (pombo.Webhook, error)
	Webhooks(ctx context.Context, name string) ([]pombo.Webhook, error)
	ChangeWebhook(ctx context.Context, name, id string, c pombo.WebhookChange) (pombo.Webhook, error)
	RemoveWebhook(ctx context.Context, name, id string) error
}

// Deliveries shows what became of events, and sends them again. Those to the global
// webhook are for the bearer of the global key only: global, or Global in a query.
type Deliveries interface {
	Deliveries(ctx context.Context, q pombo.DeliveryQuery) ([]pombo.DeliverySummary, error)
	Delivery(ctx context.Context, instance pombo.InstanceID, id int64, global, file bool) (pombo.DeliveryDetail, error)
	Health(ctx context.Context, instance pombo.InstanceID, global bool) ([]pombo.WebhookHealth, error)
	Replay(ctx context.Context, r pombo.Replay) (pombo.ReplayResult, error)
	Ping(ctx context.Context, v pombo.InstanceView, p pombo.Ping) (pombo.PingResult, error)
}

func (s *server) addWebhook(c *call) (answer, error) {
	req, err := evolution.DecodeWebhookSet(c.body)
	if err != nil {
		return answer{}, err
	}
	w, err := s.WebhookLists.AddWebhook(c.Context(), c.view.Name, req.Change)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: req.Row(w), warnings: req.Warnings}, nil
}

func (s *server) listWebhooks(c *call) (answer, error) {
	ws, err := s.WebhookLists.Webhooks(c.Context(), c.view.Name)
	if err != nil {
		return answer{}, err
	}
	return ok(evolution.WebhookList(ws))
}

func (s *server) changeWebhook(c *call) (answer, error) {
	req, err := evolution.DecodeWebhookChange(c.body)
	if err != nil {
		return answer{}, err
	}
	w, err := s.WebhookLists.ChangeWebhook(c.Context(), c.view.Name, c.PathValue("id"), req.Change)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: req.Row(w), warnings: req.Warnings}, nil
}

func (s *server) removeWebhook(c *call) (answer, error) {
	if err := s.WebhookLists.RemoveWebhook(c.Context(), c.view.Name, c.PathValue("id")); err != nil {
		return answer{}, err
	}
	return ok(evolution.Success("Webhook removed"))
}

func (s *server) listDeliveries(c *call) (answer, error) {
	page, err := evolution.DecodeDeliveryPage(c.URL.Query())
	if err != nil {
		return answer{}, err
	}
	page.Query.Instance, page.Query.Global = c.view.ID, c.master
	ds, err := s.Deliveries.Deliveries(c.Context(), page.Query)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: page.Deliveries(ds), warnings: page.Warnings}, nil
}

func (s *server) showDelivery(c *call) (answer, error) {
	id, err := strconv.ParseInt(c.PathValue("id"), 10, 64)
	if err != nil {
		return answer{}, pombo.Errorf(pombo.NotFound, "The instance has no delivery %q: GET /webhook/deliveries shows their ids", c.PathValue("id"))
	}
	file, warnings, err := evolution.DecodeDeliveryView(c.URL.Query())
	if err != nil {
		return answer{}, err
	}
	d, err := s.Deliveries.Delivery(c.Context(), c.view.ID, id, c.master, file)
	if err != nil {
		return answer{}, err
	}
	head, tail := evolution.DeliveryFound(d)
	a := answer{status: http.StatusOK, body: append(head, tail...), tail: len(tail), warnings: warnings}
	if d.File != nil {
		a.file = d.File.Content
	}
	return a, nil
}

func (s *server) webhookHealth(c *call) (answer, error) {
	hs, err := s.Deliveries.Health(c.Context(), c.view.ID, c.master)
	if err != nil {
		return answer{}, err
	}
	return ok(evolution.WebhooksHealth(hs, time.Now()))
}

func (s *server) replayDeliveries(c *call) (answer, error) {
	req, err := evolution.DecodeReplay(c.body)
	if err != nil {
		return answer{}, err
	}
	req.Replay.Query.Instance, req.Replay.Query.Global = c.view.ID, c.master
	res, err := s.Deliveries.Replay(c.Context(), req.Replay)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: req.Answer(res)}, nil
}

func (s *server) testWebhook(c *call) (answer, error) {
	req, err := evolution.DecodePing(c.body)
	if err != nil {
		return answer{}, err
	}
	res, err := s.Deliveries.Ping(c.Context(), c.view, req.Ping)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: evolution.Pinged(res), warnings: req.Warnings}, nil
}
