package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// profileAddr is where a gateway built for it offers profiles.
const profileAddr = "127.0.0.1:6060"

// profileSeconds is how long it is profiled.
const profileSeconds = 8

// profile writes profiles of the gateway under bursts, which burst makes, counted from
// 0. Their figures are not reported: profiling costs time itself.
func (l *lab) profile(ctx context.Context, of string, burst func(ctx context.Context, i int) error) error {
	if err := os.MkdirAll(l.bench.profiles, 0o750); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for name, what := range map[string]string{"cpu": "profile", "allocs": "allocs"} {
		g.Go(func() error {
			path := filepath.Join(l.bench.profiles, fmt.Sprintf("%s-%s.pprof", name, of))
			url := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", profileAddr, what, profileSeconds)
			return download(gctx, url, path)
		})
	}
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	for i := 0; ; i++ {
		if err := burst(ctx, i); err != nil {
			return err
		}
		select {
		case err := <-done:
			return err
		default:
		}
	}
}

func download(ctx context.Context, url, path string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, resp.Body)
	return err
}
