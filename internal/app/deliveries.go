package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"pombo"
	"pombo/internal/dispatch"
	"pombo/internal/evolution"
	"pombo/internal/media"
	"pombo/internal/store"
)

// deliveries joins what the store keeps of deliveries with what delivers them.
type deliveries struct {
	store    *store.Store
	dispatch *dispatch.Dispatcher
	encode   *encoder
	media    *media.Manager
}

// Deliveries lists deliveries.
func (d *deliveries) Deliveries(ctx context.Context, q pombo.DeliveryQuery) ([]pombo.DeliverySummary, error) {
	return d.store.Deliveries(ctx, q)
}

// Delivery shows a delivery with its body, as the next attempt would post it, and
// its attempts. The file that its webhook gets with it is fetched and opened only
// if file is set.
func (d *deliveries) Delivery(ctx context.Context, instance pombo.InstanceID, id int64, global, file bool) (pombo.DeliveryDetail, error) {
	detail, err := d.store.SeeDelivery(ctx, instance, id, global)
	if err != nil {
		return detail, err
	}
	w, ok, err := d.store.WebhookByID(ctx, detail.WebhookID)
	if err != nil {
		return detail, err
	}
	if !ok {
		return detail, fmt.Errorf("showing delivery %d: its webhook is not stored", id)
	}
	if w.URL != "" {
		detail.URL = dispatch.ShownURL(w.URL)
	}
	if err := d.showBody(ctx, &detail, w); err != nil {
		return detail, fmt.Errorf("showing delivery %d: %w", id, err)
	}
	if file && detail.File != nil {
		detail.File.Content, err = d.media.OpenSent(ctx, detail.Event.Attachment.ID)
	}
	return detail, err
}

// showBody sets a delivery's Payload and File.
func (d *deliveries) showBody(ctx context.Context, detail *pombo.DeliveryDetail, w pombo.Webhook) error {
	data, attached := detail.Event.Data, detail.Event.Attachment
	var file *pombo.PayloadFile
	if carriesFile(detail.Delivery, w) {
		size, here, missed, err := d.media.Look(ctx, attached.ID)
		switch {
		case err != nil:
			return err
		case missed != "":
			data = withInsert(data, attached.Offset, evolution.InsertMissing(missed))
		default:
			file = &pombo.PayloadFile{At: attached.Offset, Size: size, Fetched: here}
		}
	}
	body, at, err := d.encode.envelope(detail.Delivery, w, data)
	if err != nil {
		return err
	}
	if file != nil {
		file.At += at
	}
	detail.Payload, detail.File = body, file
	return nil
}

// Health tells how an instance's webhooks are doing.
func (d *deliveries) Health(ctx context.Context, instance pombo.InstanceID, global bool) ([]pombo.WebhookHealth, error) {
	all, err := d.store.Health(ctx, instance, global)
	if err != nil {
		return nil, err
	}
	known := circuits(d.dispatch)
	for i := range all {
		c := known[all[i].Webhook.ID]
		all[i].Circuit, all[i].OpenUntil = c.state, c.probe
	}
	return all, nil
}

// Replay delivers again. What came back before an error is delivered too.
func (d *deliveries) Replay(ctx context.Context, r pombo.Replay) (pombo.ReplayResult, error) {
	result, touched, err := d.store.Replay(ctx, r)
	for _, id := range touched {
		d.dispatch.Reload(id)
	}
	return result, err
}

// Ping posts a sample of an event to a webhook, now.
func (d *deliveries) Ping(ctx context.Context, v pombo.InstanceView, p pombo.Ping) (pombo.PingResult, error) {
	w, err := d.webhook(ctx, v, p.Webhook)
	if err != nil {
		return pombo.PingResult{}, err
	}
	data, err := evolution.Sample(p.Event)
	if err != nil {
		return pombo.PingResult{}, err
	}
	sample := pombo.Delivery{
		WebhookID: w.ID, MessageID: "test_" + strings.ToLower(rand.Text()), CreatedAt: time.Now(),
		Event: pombo.Event{Instance: v.ID, Name: p.Event, Sender: evolution.BareJID(v.JID), Time: time.Now(), Data: data},
	}
	result := pombo.PingResult{WebhookID: w.ID, Event: p.Event, MessageID: sample.MessageID}
	result.Attempt, result.URL = d.dispatch.Ping(ctx, sample, w)
	return result, nil
}

func (d *deliveries) webhook(ctx context.Context, v pombo.InstanceView, id string) (pombo.Webhook, error) {
	ws, err := d.store.InstanceWebhooks(ctx, v.ID)
	if err != nil {
		return pombo.Webhook{}, err
	}
	for _, w := range ws {
		if w.ID == id || id == "" && w.Position == 0 {
			if w.URL == "" {
				return w, pombo.Errorf(pombo.Invalid, "The webhook has no URL: set one by POST /webhook/set")
			}
			return w, nil
		}
	}
	if id == "" {
		return pombo.Webhook{}, pombo.Errorf(pombo.NotFound, "The %q instance has no webhook: set one by POST /webhook/set, or name another by \"webhook\"", v.Name)
	}
	return pombo.Webhook{}, pombo.Errorf(pombo.NotFound, "The instance has no webhook %q: GET /webhook/list shows those that it has", id)
}
