package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// posters is how many POSTs the baseline makes side by side: as many as the
// gateway makes to one endpoint.
const posters = 16

// bare measures what the POSTs alone cost: a loop that posts bodies that the
// gateway has sent to the same receiver, as many as there are in a burst.
func (l *lab) bare(ctx context.Context, f *loadFigures) error {
	bodies := l.receiver.samples // no messages come any more
	if len(bodies) == 0 {
		return nil
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posters}}
	defer client.CloseIdleConnections()
	each := l.bench.messages / posters
	before, err := cpuTime(os.Getpid())
	if err != nil {
		return err
	}
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for p := range posters {
		g.Go(func() error {
			for i := range each {
				if err := postOnce(ctx, client, l.receiver.url+bare, bodies[(p+i)%len(bodies)]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took, n := time.Since(began), float64(each*posters)
	after, err := cpuTime(os.Getpid())
	if err != nil {
		return err
	}
	f.bareRate = append(f.bareRate, n/took.Seconds())
	f.bareCPU = append(f.bareCPU, float64((after-before).Microseconds())/n)
	return nil
}

func postOnce(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the receiver answered %s", resp.Status)
	}
	return nil
}
