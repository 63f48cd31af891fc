package dispatch

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pombo"
)

// The table of docs/deliveries.md, row by row: a row without a case fails, and so
// does a case without a row, and a case that has another outcome than its row.
func TestTableOfOutcomes(t *testing.T) {
	bomb()
	rows := documented(t)
	cases := tableCases()
	for what := range cases {
		if _, ok := rows[what]; !ok {
			t.Errorf("the document has no row %q", what)
		}
	}
	for what, row := range rows {
		if len(cases[what]) == 0 {
			t.Errorf("nothing tests the row %q", what)
		}
		for i, c := range cases[what] {
			t.Run(fmt.Sprintf("%s %d", what, i), func(t *testing.T) {
				t.Parallel()
				a := c(t)
				if a.State != row.state || a.Reason != row.reason || a.ErrorCode != row.code {
					t.Errorf("got %s %s, code %q (status %d, %s); the document says %s %s, code %q",
						a.State, a.Reason, a.ErrorCode, a.Status, a.Error, row.state, row.reason, row.code)
				}
			})
		}
	}
}

// documented reads the table.
func documented(t *testing.T) map[string]want {
	t.Helper()
	doc, err := os.ReadFile("../../docs/deliveries.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "| what happens | delivery | error code |\n|---|---|---|\n")
	rows := map[string]want{}
	for line := range strings.Lines(rest) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			break
		}
		w := want{code: strings.Trim(cells[3], " `")}
		switch outcome := strings.TrimSpace(cells[2]); {
		case strings.HasPrefix(outcome, "delivered"):
			w.state = pombo.Delivered
		case strings.HasPrefix(outcome, "retried"):
			w.state = pombo.Pending
		case strings.HasPrefix(outcome, "dead: rejected"):
			w.state, w.reason = pombo.Dead, pombo.Rejected
		case strings.HasPrefix(outcome, "dead: disabled"):
			w.state, w.reason = pombo.Dead, pombo.Disabled
		default:
			t.Errorf("the row %q has the outcome %q", cells[1], outcome)
		}
		rows[strings.TrimSpace(cells[1])] = w
	}
	if len(rows) < 30 {
		t.Fatalf("only %d rows were read", len(rows))
	}
	return rows
}

// tableCase makes one attempt.
type tableCase func(t *testing.T) pombo.Attempt

// answers posts to a server that answers so.
func answers(h http.HandlerFunc) tableCase {
	return func(t *testing.T) pombo.Attempt {
		srv := httptest.NewUnstartedServer(h)
		srv.Config.ErrorLog = quiet
		srv.Start()
		defer srv.Close()
		defer srv.CloseClientConnections()
		return outcomeOf(t, srv.URL, Options{}, nil, nil)
	}
}

// late posts to a server whose answer runs into the timeout.
func late(h http.HandlerFunc) tableCase {
	return func(t *testing.T) pombo.Attempt { return onClock(t, "http://receiver.test/", handling(h)) }
}

// each returns a case for each status.
func each(h func(status int) http.HandlerFunc, statuses ...int) (cases []tableCase) {
	for _, s := range statuses {
		cases = append(cases, answers(h(s)))
	}
	return cases
}

func plainly(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func pointing(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/new" {
			return
		}
		w.Header().Set("Location", "/new")
		w.WriteHeader(status)
	}
}

// bodied answers with a status and then some body.
func bodied(status int, write func(w http.ResponseWriter, r *http.Request)) tableCase {
	return answers(headed(status, write))
}

func headed(status int, write func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		w.(http.Flusher).Flush()
		write(w, r)
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}

func never(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func dripping(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, "o")
		w.(http.Flusher).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
		}
	}
}

// resetting resets the connection after what it wrote.
func resetting(raw string) tableCase {
	return onWire(func(c net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(c, raw)
			_ = c.(*net.TCPConn).SetLinger(0)
		}
	})
}

func onWire(handle func(net.Conn)) tableCase {
	return func(t *testing.T) pombo.Attempt {
		return outcomeOf(t, speaking(t, handle), Options{}, nil, nil)
	}
}

func saying(raw string) tableCase {
	return func(t *testing.T) pombo.Attempt { return outcomeOf(t, answering(t, raw), Options{}, nil, nil) }
}

// dialing posts through a dialer that fails so.
func dialing(err error) tableCase {
	return func(t *testing.T) pombo.Attempt {
		dial := func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: err}
		}
		return outcomeOf(t, "http://receiver.test/", Options{}, dial, nil)
	}
}

// to posts to a URL.
func to(url string) tableCase {
	return func(t *testing.T) pombo.Attempt { return outcomeOf(t, url, Options{}, nil, nil) }
}

// with posts to a server that would take it.
func with(change func(w *pombo.Webhook, o *Options)) tableCase {
	return func(t *testing.T) pombo.Attempt {
		srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer srv.Close()
		w, o := hook("w"), Options{}
		w.URL = srv.URL
		change(&w, &o)
		return outcomeFor(t, w, o, nil, nil)
	}
}

// overHTTP2 posts to an HTTP/2 server.
func overHTTP2(h http.HandlerFunc) tableCase {
	return func(t *testing.T) pombo.Attempt {
		srv := httptest.NewUnstartedServer(h)
		srv.EnableHTTP2 = true
		srv.Config.ErrorLog = quiet
		srv.StartTLS()
		defer srv.Close()
		return outcomeOf(t, srv.URL, Options{}, nil, func(d *Dispatcher) {
			d.client.transport.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
		})
	}
}

// goingAway posts to an HTTP/2 server whose first connections, so many of them,
// send GOAWAY in place of an answer.
func goingAway(first int, what []byte) tableCase {
	return func(t *testing.T) pombo.Attempt {
		certified := httptest.NewUnstartedServer(nil)
		certified.EnableHTTP2 = true
		certified.StartTLS()
		defer certified.Close()
		plain, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l := &leaving{Listener: plain, tls: certified.TLS, first: first, what: what}
		srv := &http.Server{Handler: plainly(http.StatusOK), ErrorLog: quiet, TLSConfig: certified.TLS.Clone()}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		defer func() { _, _ = srv.Close(), <-served; l.wg.Wait() }()
		return outcomeOf(t, "https://"+plain.Addr().String(), Options{}, nil, func(d *Dispatcher) {
			d.client.transport.TLSClientConfig = &tls.Config{RootCAs: certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
		})
	}
}

// leaving is a listener that deals with the first connections itself.
type leaving struct {
	net.Listener
	tls   *tls.Config
	first int
	what  []byte
	wg    sync.WaitGroup
}

func (l *leaving) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.first--; l.first < 0 {
			return tls.Server(c, l.tls), nil
		}
		l.wg.Go(func() { goAway(tls.Server(c, l.tls), l.what) })
	}
}

// The payloads of a GOAWAY: nothing was processed, so that the request may be sent
// again at once (RFC 9113, 6.8); and an internal error, after the first stream was.
var (
	unprocessed = []byte{0, 0, 0, 0, 0, 0, 0, 0}
	crashed     = []byte{0, 0, 0, 1, 0, 0, 0, 2}
)

// goAway waits for a request's headers and answers them with GOAWAY, and nothing
// more.
func goAway(c *tls.Conn, what []byte) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	frame := func(kind byte, payload []byte) {
		head := make([]byte, 9)
		binary.BigEndian.PutUint32(head, uint32(len(payload))<<8|uint32(kind))
		_, _ = c.Write(append(head, payload...))
	}
	r := bufio.NewReader(c)
	_, _ = io.ReadFull(r, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
	frame(4, nil) // SETTINGS
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint32(head)>>8))
		if head[3] == 1 { // HEADERS
			frame(7, what)
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, r) // or what was not read would reset the connection
			return
		}
	}
}

func stopped(t *testing.T) pombo.Attempt {
	arrived := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	}))
	defer srv.Close()
	store := newMemoryStore(t)
	untilEnd(t, store, Options{Store: store, Encode: plain, Grace: time.Millisecond}, srv.URL, arrived)
	return store.attempts()[0]
}

// untilEnd runs a Dispatcher with one delivery until done is closed.
func untilEnd(t *testing.T, store *memoryStore, o Options, url string, done <-chan struct{}) {
	d := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	w := hook("w")
	w.URL = url
	store.add("w", "a")
	d.SetWebhook(w)
	<-done
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func gone(t *testing.T) pombo.Attempt {
	srv := httptest.NewServer(plainly(http.StatusGone))
	defer srv.Close()
	store := newMemoryStore(t)
	told := make(chan struct{})
	untilEnd(t, store, Options{Store: store, Encode: plain, Gone: func(_ context.Context, w pombo.Webhook) {
		store.disable(w.ID)
		close(told)
	}}, srv.URL, told)
	a := store.attempts()[0]
	a.State, a.Reason = store.row(1).State, store.row(1).Reason
	return a
}

func tableCases() map[string][]tableCase {
	refused := func(t *testing.T) pombo.Attempt {
		return outcomeOf(t, "http://"+nowhere(t), Options{}, nil, nil)
	}
	early := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusProcessing)
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(status)
		}
	}
	located := func(location string) func(int) http.HandlerFunc {
		return func(status int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(status)
			}
		}
	}
	short := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }
	long := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) }
	broken := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	secure := func(url string) string { return strings.Replace(url, "http:", "https:", 1) }
	trickle := func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil { // an answer before the request is another fault
			return
		}
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "); err == nil; _, err = io.WriteString(c, "x") {
			<-tick.C
		}
	}
	return map[string][]tableCase{
		"2xx without a body":             each(plainly, 200, 201, 202, 204, 205, 299),
		"2xx with a body, short or long": {bodied(200, short), bodied(201, long)},
		"2xx, then a body that never ends, comes drop by drop, breaks off, is reset, or is a gzip bomb": {
			bodied(200, endless), late(headed(200, never)), late(headed(202, dripping)), bodied(200, broken),
			resetting("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), answers(gzipBomb),
		},
		"1xx before a 2xx":    each(early, 200, 204),
		"1xx before an error": each(early, 500, 404),
		"307, 308":            each(pointing, 307, 308),
		"307, 308 beyond that, without an address, or to neither http nor https": append(append(
			each(located("/again"), 307, 308), each(located(""), 307, 308)...), each(located("ftp://host/"), 307, 308)...),
		"300, 301, 302, 303, 305, 306": each(pointing, 300, 301, 302, 303, 305, 306),
		"304":                          each(plainly, 304),
		"400, 413, 422 (`WEBHOOK_RETRY_NON_RETRYABLE_STATUS_CODES`)": each(plainly, 400, 413, 422),
		"401, 403, 404, 407, 408, 409, 421, 425, 429":                each(plainly, 401, 403, 404, 407, 408, 409, 421, 425, 429),
		"410":           {gone},
		"any other 4xx": each(plainly, 402, 405, 406, 411, 415, 418, 423, 451, 499),
		"5xx":           each(plainly, 500, 501, 502, 503, 504, 507, 521, 599),
		"5xx, then a body that never ends, breaks off, or is reset": {
			bodied(500, endless), late(headed(503, never)), bodied(502, broken), resetting("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf"),
		},
		"the host name has no address": {dialing(&net.DNSError{Err: "no such host", Name: "receiver.test", IsNotFound: true})},
		"the address is one that [no webhook may reach](#addresses-that-are-refused), whatever name, spelling or redirect led there": append(
			each(located("http://169.254.169.254/"), 307, 308), to("http://169.254.169.254/"), to("http://0xa9fea9fe/"), to("http://[64:ff9b::a9fe:a9fe]/"),
			with(func(w *pombo.Webhook, o *Options) {
				w.URL, o.BlockPrivate = strings.Replace(w.URL, "127.0.0.1", "localhost", 1), true
			})),
		"nothing listens there": {refused},
		"no route":              {dialing(syscall.EHOSTUNREACH), dialing(syscall.ENETUNREACH)},
		"no connection in time, TLS included": {
			func(t *testing.T) pombo.Attempt { return onClock(t, "http://receiver.test/", unreachable) },
			func(t *testing.T) pombo.Attempt { return onClock(t, "https://receiver.test/", talking(silent)) },
		},
		"no TLS, or a certificate that is not trusted": {
			func(t *testing.T) pombo.Attempt {
				srv := httptest.NewUnstartedServer(plainly(200))
				srv.Config.ErrorLog = quiet
				srv.Start()
				defer srv.Close()
				return outcomeOf(t, secure(srv.URL), Options{}, nil, nil)
			},
			func(t *testing.T) pombo.Attempt {
				srv := httptest.NewUnstartedServer(plainly(200))
				srv.Config.ErrorLog = quiet
				srv.StartTLS()
				defer srv.Close()
				return outcomeOf(t, srv.URL, Options{}, nil, nil)
			},
		},
		"connected, but no complete headers in time, also if they come drop by drop": {
			func(t *testing.T) pombo.Attempt { return onClock(t, "http://receiver.test/", talking(silent)) },
			func(t *testing.T) pombo.Attempt { return onClock(t, "http://receiver.test/", talking(trickle)) },
		},
		"closed or reset before the headers are complete": {
			saying(""), saying("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"), resetting(""), resetting("HTTP/1.1 200 OK\r\nX: "),
		},
		"HTTP/2: GOAWAY or a stream reset in place of an answer": {overHTTP2(broken), goingAway(1, crashed)},
		"HTTP/2: GOAWAY after the answer, or once before it": {
			overHTTP2(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }), goingAway(1, unprocessed),
		},
		"what comes back is not HTTP, or has more than 64 KiB of headers": {
			saying("SSH-2.0-OpenSSH_9.2\r\n"), saying("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 100)),
		},
		"any other failure on the way": {dialing(errors.New("out of luck"))},
		"the URL cannot be posted to":  {to("ftp://host/"), to("http://"), to("http://["), to("mailto:a@b")},
		"one of the webhook's headers cannot be sent": {
			with(func(w *pombo.Webhook, _ *Options) { w.Headers = map[string]string{"X-Broken": "a\nb"} }),
			with(func(w *pombo.Webhook, _ *Options) { w.Headers = map[string]string{"X Broken": "a"} }),
		},
		"the webhook's signing secret is none": {
			with(func(w *pombo.Webhook, _ *Options) { w.Secrets = []pombo.SigningSecret{{Key: "hush"}} }),
		},
		"the body could not be put together (the log says why)": {with(func(_ *pombo.Webhook, o *Options) {
			o.Encode = func(pombo.Delivery, pombo.Webhook) (string, Body, http.Header, error) {
				return "", nil, nil, errors.New("no such instance")
			}
		})},
		"the gateway stops and the answer does not come within 6 s": {stopped},
	}
}
