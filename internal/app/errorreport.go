package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"pombo"
	"pombo/internal/evolution"
)

// errorReports posts each error that the API answers with to a webhook of its own,
// as the original does (WEBHOOK_EVENTS_ERRORS). They are no events: nobody's message
// is lost with them, so they are kept in memory alone, and given up after some tries.
type errorReports struct {
	url, serverURL string
	log            *slog.Logger
	client         *http.Client
	queue          chan []byte
}

const (
	reportsMax   = 1000 // that wait; more are dropped
	reportLimit  = 10 * time.Second
	reportTries  = 5
	reportPause  = time.Second // before the second try, and double before each other
	reportAnswer = 64 << 10
)

func newErrorReports(url, serverURL string, log *slog.Logger) *errorReports {
	return &errorReports{
		url: url, serverURL: serverURL, log: log, queue: make(chan []byte, reportsMax),
		client: &http.Client{
			Timeout: reportLimit, Transport: &http.Transport{MaxIdleConnsPerHost: 1},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// add reports an answer. It never waits.
func (e *errorReports) add(status int, answer json.RawMessage) {
	select {
	case e.queue <- evolution.ErrorReport(status, answer, e.serverURL, time.Now()):
	default:
		e.log.Warn("too many errors wait to be reported: one is left out", "waiting", reportsMax)
	}
}

// run posts reports until ctx ends.
func (e *errorReports) run(ctx context.Context) {
	defer e.client.CloseIdleConnections()
	for {
		select {
		case body := <-e.queue:
			if err := e.deliver(ctx, body); err != nil && ctx.Err() == nil {
				e.log.Warn("an error could not be reported (WEBHOOK_EVENTS_ERRORS_WEBHOOK)", "err", err, "tries", reportTries)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (e *errorReports) deliver(ctx context.Context, body []byte) (err error) {
	pause := reportPause
	for try := range reportTries {
		if try > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
			pause *= 2
		}
		if err = e.post(ctx, body); err == nil {
			return nil
		}
	}
	return err
}

func (e *errorReports) post(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making a report: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Pombo/"+pombo.Version)
	resp, err := e.client.Do(r)
	if err != nil {
		return fmt.Errorf("posting a report: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, reportAnswer) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("posting a report: the answer is %s", resp.Status)
	}
	return nil
}
