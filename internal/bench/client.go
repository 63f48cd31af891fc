package main

import (
	"context"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// A client is the bare loop that the gateway is compared with: it posts the same
// bodies from memory, and has no store, no order and no retries.

// postOrder tells it what to post.
type postOrder struct {
	URL         string
	Run         string
	Events      int
	Chats       int
	Concurrency int
	Rate        float64 // events/s; 0: as fast as it goes
}

// work is what doing an order took.
type work struct {
	Began int64         // in ns since 1970
	CPU   time.Duration // of the process
	Sent  []int64       // by chat and number, if there is a rate: when it was its turn, in ns since 1970
}

func clientOrders() map[string]handler {
	return map[string]handler{"post": with(postAll)}
}

func postAll(ctx context.Context, o postOrder) (any, error) {
	load := newLoad(o.Run, o.Chats, 1)
	bodies := make([][]byte, o.Events)
	for i := range bodies {
		var err error
		if bodies[i], err = load.body(i, o.URL); err != nil {
			return nil, err
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.Concurrency}}
	defer client.CloseIdleConnections()
	before, err := cpuTime(os.Getpid())
	if err != nil {
		return nil, err
	}
	w := work{Began: time.Now().UnixNano()}
	turns := make(chan int, o.Events)
	g, ctx := errgroup.WithContext(ctx)
	for range o.Concurrency {
		g.Go(func() error {
			for i := range turns {
				if err := postOnce(ctx, client, o.URL, bodies[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if o.Rate == 0 {
		for i := range o.Events {
			turns <- i
		}
	} else {
		w.Sent = make([]int64, o.Events)
		load.paced(ctx, o.Events, o.Rate, func(i int) {
			s := load.stamp(i)
			w.Sent[s.Chat*(o.Events/o.Chats)+s.N] = time.Now().UnixNano()
			turns <- i
		})
	}
	close(turns)
	if err := g.Wait(); err != nil {
		return nil, err
	}
	after, err := cpuTime(os.Getpid())
	w.CPU = after - before
	return w, err
}
