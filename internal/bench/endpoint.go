package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// stamp is what an endpoint recognises an event by: it stands in the event's data.
type stamp struct {
	Run  string // stampRun letters that nothing else in a body has
	Chat int
	N    int // within its chat, from 0
}

const (
	stampRun  = 8
	stampChat = 6
	stampN    = 8
	stampSize = stampRun + stampChat + stampN
)

func (s stamp) String() string {
	return fmt.Sprintf("%*s%0*d%0*d", stampRun, s.Run, stampChat, s.Chat, stampN, s.N)
}

// findStamp looks for the stamp of a run in a body.
func findStamp(body, run []byte) (chat, n int, ok bool) {
	i := bytes.Index(body, run)
	if i < 0 || len(body) < i+stampSize {
		return 0, 0, false
	}
	digits := body[i+stampRun : i+stampSize]
	chat, err := strconv.Atoi(string(digits[:stampChat]))
	if err != nil {
		return 0, 0, false
	}
	n, err = strconv.Atoi(string(digits[stampChat:]))
	return chat, n, err == nil
}

// endpoint is the receiver of the part "deliveries", in a process of its own, so
// that it costs the gateway and the bare client the same. It answers 200 at once,
// and knows of each event whether it came, when, and whether in its turn.
type endpoint struct {
	server *http.Server

	mu    sync.Mutex
	want  expectation
	run   []byte
	next  []int   // by chat
	at    []int64 // by chat and number: when it came, in ns since 1970
	came  int
	last  int64
	fault string
	done  chan struct{}
}

// expectation is what an endpoint is told to wait for.
type expectation struct {
	Run     string
	Chats   int
	PerChat int
	Ordered bool // within each chat
	// Enough is how many must come until wait returns; 0: all.
	Enough int
	Times  bool // wait returns them
}

// arrivals are what came of an expectation.
type arrivals struct {
	Last int64   // when the last one came, in ns since 1970
	At   []int64 // by chat and number, if asked for
}

func (e *endpoint) orders() map[string]handler {
	return map[string]handler{
		"listen": with(e.listen),
		"expect": with(e.expect),
		"wait":   with(e.wait),
	}
}

// listen starts the server and returns its port. All of 127.0.0.0/8 is this
// machine's: so one server can be the hosts of many webhooks.
func (e *endpoint) listen(context.Context, struct{}) (any, error) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return nil, err
	}
	e.server = &http.Server{Handler: e, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = e.server.Serve(l) }() // ends with close, which reports nothing of use
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (e *endpoint) close() error {
	if e.server == nil {
		return nil
	}
	return e.server.Close()
}

func (e *endpoint) expect(_ context.Context, x expectation) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.Enough == 0 {
		x.Enough = x.Chats * x.PerChat
	}
	e.want, e.run = x, []byte(x.Run)
	e.next, e.at = make([]int, x.Chats), make([]int64, x.Chats*x.PerChat)
	e.came, e.last, e.fault, e.done = 0, 0, "", make(chan struct{})
	return nil, nil
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := make([]byte, max(req.ContentLength, 0))
	if _, err := io.ReadFull(req.Body, body); err != nil {
		return // the sender went away: nothing was received
	}
	e.arrived(body, time.Now().UnixNano())
}

func (e *endpoint) arrived(body []byte, at int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	chat, n, ok := findStamp(body, e.run)
	switch i := chat*e.want.PerChat + n; {
	case !ok || chat >= e.want.Chats || n >= e.want.PerChat:
		e.fault = fmt.Sprintf("something came that was not expected: %.300s", body)
	case e.at[i] != 0:
		e.fault = fmt.Sprintf("event %d of chat %d came twice", n, chat)
	default:
		if e.want.Ordered && n != e.next[chat] {
			e.fault = fmt.Sprintf("event %d of chat %d came when %d was due", n, chat, e.next[chat])
		}
		e.next[chat], e.at[i], e.last = n+1, at, at
		if e.came++; e.came == e.want.Enough {
			close(e.done)
		}
	}
}

// wait returns when enough has come. It gives up when for two minutes nothing comes.
func (e *endpoint) wait(ctx context.Context, _ struct{}) (any, error) {
	const patience = 2 * time.Minute
	e.mu.Lock()
	done := e.done
	e.mu.Unlock()
	for before := -1; ; {
		select {
		case <-done:
			return e.result()
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(patience):
		}
		e.mu.Lock()
		came, enough := e.came, e.want.Enough
		e.mu.Unlock()
		if came == before {
			return nil, fmt.Errorf("%d of %d events are missing, and for %s none has come", enough-came, enough, patience)
		}
		before = came
	}
}

func (e *endpoint) result() (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault != "" {
		return nil, errors.New(e.fault)
	}
	a := arrivals{Last: e.last}
	if e.want.Times {
		a.At = slices.Clone(e.at)
	}
	return a, nil
}
