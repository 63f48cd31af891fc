package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"pombo"
	"pombo/internal/config"
	"pombo/internal/dispatch"
	"pombo/internal/evolution"
)

// identity is what an instance's events say about it. Neither part changes in
// an instance's life.
type identity struct{ name, token string }

// encoder makes the requests of deliveries: the Evolution API's envelope around the
// frozen event, and the webhook's headers.
type encoder struct {
	a         *App
	known     sync.Map // pombo.InstanceID → identity
	expose    bool     // tell the instance's key
	serverURL string
}

func (a *App) encoder() *encoder {
	return &encoder{a: a, expose: a.o.Config.Auth.ExposeInFetch, serverURL: string(a.o.Config.Server.URL)}
}

// request is a dispatch.Encoder.
func (e *encoder) request(d pombo.Delivery, w pombo.Webhook) (string, dispatch.Body, http.Header, error) {
	url, err := evolution.EventURL(w.URL, w.ByEvents, d.Event.Name)
	if err != nil {
		return "", nil, nil, err
	}
	header, err := evolution.AttemptHeader(w, d.MessageID, time.Now())
	if err != nil {
		return "", nil, nil, err
	}
	data, file, err := e.a.withFile(d, w)
	if err != nil {
		return "", nil, nil, err
	}
	body, at, err := e.envelope(d, w, data)
	if err != nil {
		return "", nil, nil, err
	}
	if file != nil {
		file.text, file.at = body, file.at+at
		return url, file, header, nil
	}
	return url, dispatch.Bytes(body), header, nil
}

// envelope returns a body with data in it, and where data begins.
func (e *encoder) envelope(d pombo.Delivery, w pombo.Webhook, data json.RawMessage) (body []byte, at int, err error) {
	id, err := e.a.identity(&e.known, d.Event.Instance)
	if err != nil {
		return nil, 0, err
	}
	in := evolution.EnvelopeInput{
		Event: d.Event.Name, Instance: id.name, Data: data, Destination: w.URL,
		Time: d.Event.Time, Sender: d.Event.Sender, ServerURL: e.serverURL,
	}
	if e.expose {
		in.APIKey = id.token
	}
	body, at = evolution.Envelope(in)
	return body, at, nil
}

// identity looks an instance up, once: also one that is deleted, since the
// events of its deletion are still to be delivered.
func (a *App) identity(known *sync.Map, id pombo.InstanceID) (identity, error) {
	if v, ok := known.Load(id); ok {
		return v.(identity), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var v identity
	var ok bool
	var err error
	v.name, v.token, ok, err = a.store.Identity(ctx, id)
	if err != nil {
		return identity{}, fmt.Errorf("looking up the instance of an event: %w", err)
	}
	if !ok {
		return identity{}, fmt.Errorf("looking up the instance of an event: %s is not stored", id)
	}
	known.Store(id, v)
	return v, nil
}

// policy is the configured retry policy in dispatch's words.
func policy(cfg config.Config) dispatch.Policy {
	r, p := cfg.RetryPolicy(), dispatch.DefaultPolicy()
	p.Timeout, p.Horizon = r.Timeout, r.Horizon
	p.InitialDelay, p.MaxDelay, p.Exponential, p.Jitter = r.InitialDelay, r.MaxDelay, r.Exponential, r.Jitter
	p.MaxAttempts, p.NonRetryable, p.Strict = r.MaxAttempts, r.NonRetryable, cfg.Retry.Strict
	return p
}
