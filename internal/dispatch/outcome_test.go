package dispatch

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"pombo"
)

// want is what an attempt is expected to do.
type want struct {
	state  pombo.DeliveryState
	reason pombo.DeadReason
	status int
	code   string
	says   string // a part of the sentence
}

var (
	done  = func(status int) want { return want{state: pombo.Delivered, status: status} }
	retry = func(status int, code string) want { return want{state: pombo.Pending, status: status, code: code} }
	dead  = func(status int) want {
		return want{state: pombo.Dead, reason: pombo.Rejected, status: status, code: codeStatus}
	}
)

// outcome delivers one event to url and returns the first attempt.
func outcomeOf(t *testing.T, url string, o Options, dial dialFunc, prepare func(*Dispatcher)) pombo.Attempt {
	t.Helper()
	w := hook("w")
	w.URL, w.Headers = url, map[string]string{"X-Secret": "hush"}
	return outcomeFor(t, w, o, dial, prepare)
}

// outcomeFor is outcomeOf for a webhook.
func outcomeFor(t *testing.T, w pombo.Webhook, o Options, dial dialFunc, prepare func(*Dispatcher)) pombo.Attempt {
	t.Helper()
	store := newMemoryStore(t)
	attempts := make(chan pombo.Attempt, 100)
	store.onSettle = func(a pombo.Attempt) { attempts <- a }
	o.Store, o.Grace = store, time.Millisecond
	if o.Encode == nil {
		o.Encode = plain
	}
	d := newDispatcher(o, dial)
	if prepare != nil {
		prepare(d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	store.add("w", "a")
	d.SetWebhook(w)
	var a pombo.Attempt
	select {
	case a = <-attempts:
	case <-time.After(2 * time.Minute):
		t.Fatal("no attempt was settled")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return a
}

func (w want) check(t *testing.T, a pombo.Attempt) {
	t.Helper()
	if a.State != w.state || a.Reason != w.reason || a.Status != w.status || a.ErrorCode != w.code {
		t.Errorf("got %s %s, status %d, code %q (%s): want %s %s, status %d, code %q",
			a.State, a.Reason, a.Status, a.ErrorCode, a.Error, w.state, w.reason, w.status, w.code)
	}
	if !strings.Contains(a.Error, w.says) {
		t.Errorf("the sentence is %q: want it to say %q", a.Error, w.says)
	}
	if strings.Contains(a.Error, "hush") || strings.Contains(a.Error, "query") || strings.Contains(a.Error, "password") {
		t.Errorf("the sentence tells a secret: %q", a.Error)
	}
}

func TestStatuses(t *testing.T) {
	cases := map[int]want{}
	for _, s := range []int{200, 201, 202, 204, 205, 226, 299} {
		cases[s] = done(s)
	}
	for _, s := range []int{
		300, 304, 305, 306, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 415, 418, 421, 423, 425, 429, 451, 499,
		500, 501, 502, 503, 504, 507, 521, 599,
	} {
		cases[s] = retry(s, codeStatus)
		if s > 304 && s < 307 || s == 300 {
			cases[s] = retry(s, codeRedirect) // no Location
		}
	}
	for _, s := range []int{400, 413, 422} {
		cases[s] = dead(s)
	}
	for status, w := range cases {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
			}))
			defer srv.Close()
			w.check(t, outcomeOf(t, srv.URL, Options{}, nil, nil))
		})
	}
}

func TestStrictPolicy(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	p := DefaultPolicy()
	p.NonRetryable = []int{400, 401, 403, 404, 422} // Evolution's default
	p.MaxAttempts = 1
	retry(404, codeStatus).check(t, outcomeOf(t, srv.URL, Options{Policy: p}, nil, nil))
	p.Strict = true
	dead(404).check(t, outcomeOf(t, srv.URL, Options{Policy: p}, nil, nil))
	p.NonRetryable = nil
	w := want{state: pombo.Dead, reason: pombo.Exhausted, status: 404, code: codeStatus}
	w.check(t, outcomeOf(t, srv.URL, Options{Policy: p}, nil, nil))
}

func TestNetworkFailures(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		address := nowhere(t)
		a := outcomeOf(t, "http://user:password@"+address, Options{}, nil, nil)
		want{state: pombo.Pending, code: codeRefused, says: address}.check(t, a)
		if a.Address != "" {
			t.Errorf("connected to %s", a.Address)
		}
	})
	t.Run("dns", func(t *testing.T) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nothing.invalid", IsNotFound: true}}
		}
		want{state: pombo.Pending, code: codeDNS, says: "nothing.invalid"}.check(t, outcomeOf(t, "http://nothing.invalid/", Options{}, dial, nil))
	})
	const receiver = "http://receiver.test/hook?query=1"
	t.Run("timeout in connect", func(t *testing.T) {
		retry(0, codeConnectTimeout).check(t, onClock(t, receiver, unreachable))
	})
	t.Run("timeout in TLS", func(t *testing.T) {
		a := onClock(t, strings.Replace(receiver, "http:", "https:", 1), talking(silent))
		retry(0, codeConnectTimeout).check(t, a)
	})
	t.Run("timeout before the headers", func(t *testing.T) {
		a := onClock(t, receiver, talking(silent))
		retry(0, codeAnswerTimeout).check(t, a)
		if a.Address == "" || a.Duration != hasty().Timeout {
			t.Errorf("connected to %q, took %s", a.Address, a.Duration)
		}
	})
	t.Run("timeout in the headers", func(t *testing.T) {
		retry(0, codeAnswerTimeout).check(t, onClock(t, receiver, talking(func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil { // an answer before the request is another fault
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
				silent(c)
			}
		})))
	})
	t.Run("closed before the headers", func(t *testing.T) {
		retry(0, codeReset).check(t, outcomeOf(t, answering(t, ""), Options{}, nil, nil))
	})
	t.Run("reset before the headers", func(t *testing.T) {
		url := speaking(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).SetLinger(0)
		})
		retry(0, codeReset).check(t, outcomeOf(t, url, Options{}, nil, nil))
	})
	t.Run("closed in the headers", func(t *testing.T) {
		retry(0, codeReset).check(t, outcomeOf(t, answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"), Options{}, nil, nil))
	})
	t.Run("not HTTP", func(t *testing.T) {
		retry(0, codeProtocol).check(t, outcomeOf(t, answering(t, "SSH-2.0-OpenSSH_9.2\r\n"), Options{}, nil, nil))
	})
	t.Run("headers without end", func(t *testing.T) {
		raw := "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 100)
		retry(0, codeProtocol).check(t, outcomeOf(t, answering(t, raw), Options{}, nil, nil))
	})
	t.Run("unknown certificate", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = quiet
		srv.StartTLS()
		defer srv.Close()
		retry(0, codeTLS).check(t, outcomeOf(t, srv.URL, Options{}, nil, nil))
	})
	t.Run("no TLS there", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = quiet
		srv.Start()
		defer srv.Close()
		retry(0, codeTLS).check(t, outcomeOf(t, strings.Replace(srv.URL, "http:", "https:", 1), Options{}, nil, nil))
	})
	t.Run("not a URL to post to", func(t *testing.T) {
		for _, url := range []string{"ftp://user:password@host/", "/hook", "http://", "http://[", "mailto:a@b"} {
			retry(0, codeURL).check(t, outcomeOf(t, url, Options{}, nil, nil))
		}
	})
	t.Run("something unheard of", func(t *testing.T) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			return nil, fmt.Errorf("opening: %w", errors.New("out of luck"))
		}
		want{state: pombo.Pending, code: codeNetwork, says: "out of luck"}.check(t, outcomeOf(t, "http://host/?query", Options{}, dial, nil))
	})
}

// bomb is a small body that is a large one in disguise. It takes a while to make.
var bomb = sync.OnceValue(func() []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write(make([]byte, 20<<20))
	_ = z.Close()
	return buf.Bytes()
})

func gzipBomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(bomb())
}

func TestAnswerBodies(t *testing.T) {
	bomb()
	cases := []struct {
		name    string
		answer  http.HandlerFunc
		kept    int // of the body
		want    want
		waiting bool // takes the whole timeout
	}{
		{"short", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") }, 2, done(200), false},
		{"long", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 50<<10)) }, keptAnswer, done(200), false},
		{"too long", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) }, keptAnswer, done(200), false},
		{"endless", endless, keptAnswer, done(200), false},
		{"endless after an error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); endless(w, r) }, keptAnswer, retry(500, codeStatus), false},
		{"never ends", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "ok")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 2, done(200), true},
		{"slow", dripping, -1, done(200), true},
		{"broken", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "ok")
		}, 2, done(200), false},
		{"gzip bomb", gzipBomb, keptAnswer, done(200), false},
		{"1xx first", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusProcessing)
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		}, 0, done(202), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var a pombo.Attempt
			if c.waiting {
				a = onClock(t, "http://receiver.test/", handling(c.answer))
				if a.Duration != hasty().Timeout {
					t.Errorf("took %s", a.Duration)
				}
			} else {
				srv := httptest.NewUnstartedServer(c.answer)
				srv.Config.ErrorLog = quiet
				srv.Start()
				defer srv.Close()
				a = outcomeOf(t, srv.URL, Options{}, nil, nil)
			}
			c.want.check(t, a)
			if c.kept >= 0 && len(a.Response) != c.kept {
				t.Errorf("%d bytes of the answer were kept: want %d", len(a.Response), c.kept)
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	var other *httptest.Server
	down := nowhere(t)
	mux := http.NewServeMux()
	final := func(w http.ResponseWriter, r *http.Request) {
		p := body(t, r)
		if r.Method != http.MethodPost || p.ID != 1 || r.Header.Get("webhook-id") != "msg_1" {
			t.Errorf("the redirected request is %s %v", r.Method, p)
		}
		_, _ = io.WriteString(w, r.Header.Get("X-Secret"))
	}
	mux.HandleFunc("/final", final)
	to := func(path, location string, status int) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(status)
		})
	}
	for _, s := range []int{301, 302, 303, 307, 308} {
		to(fmt.Sprintf("/%d", s), "/final?query=2", s)
	}
	to("/hop3", "/hop2", 307)
	to("/hop2", "/307", 308)
	to("/hop4", "/hop3", 307)
	to("/loop", "/loop", 307)
	to("/nowhere", "", 307)
	to("/ftp", "ftp://user:password@host/", 308)
	to("/invalid", "http://[", 308)
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/final")
		w.WriteHeader(307)
	})
	mux.HandleFunc("/down", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://"+down+"/")
		w.WriteHeader(307)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	other = httptest.NewServer(http.HandlerFunc(final))
	defer other.Close()
	refused := func(status int, says string) want {
		return want{state: pombo.Pending, status: status, code: codeRedirect, says: says}
	}
	for path, w := range map[string]want{
		"/307": done(200), "/308": done(200), "/hop3": done(200), "/away": done(200),
		"/301": refused(301, srv.URL+"/final:"), "/302": refused(302, srv.URL+"/final:"), "/303": refused(303, srv.URL+"/final:"),
		"/hop4": refused(307, "more than 3"), "/loop": refused(307, "more than 3"), "/nowhere": refused(307, "without saying"),
		"/ftp": refused(308, "neither"), "/invalid": refused(308, "neither"), "/down": retry(0, codeRefused),
	} {
		t.Run(path[1:], func(t *testing.T) {
			a := outcomeOf(t, srv.URL+path, Options{}, nil, nil)
			w.check(t, a)
			if w.state != pombo.Delivered {
				return
			}
			secret := "hush"
			if path == "/away" {
				secret = "" // not to another host
			}
			if string(a.Response) != secret {
				t.Errorf("the last host got the secret %q: want %q", a.Response, secret)
			}
		})
	}
}

func TestHTTP2(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/goaway", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // becomes a GOAWAY after this answer
		_, _ = io.WriteString(w, r.Proto)
	})
	srv := httptest.NewUnstartedServer(mux)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = quiet
	srv.StartTLS()
	defer srv.Close()
	trust := func(d *Dispatcher) {
		d.client.transport.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	}
	for path, w := range map[string]want{"/ok": done(200), "/goaway": done(200), "/abort": retry(0, codeReset)} {
		a := outcomeOf(t, srv.URL+path, Options{}, nil, trust)
		w.check(t, a)
		if w.state == pombo.Delivered && string(a.Response) != "HTTP/2.0" {
			t.Errorf("%s was answered over %s", path, a.Response)
		}
	}
}

func TestAnIdleConnectionThatWasClosedIsNoFailure(t *testing.T) {
	// Each connection answers once with keep-alive, reads the next request and
	// closes without a word: as a receiver does whose idle timeout runs out just
	// when a request arrives.
	url := speaking(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for i := range 2 {
			r, err := http.ReadRequest(br)
			if err != nil {
				break
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if i == 0 {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	c := newClient(t.Context(), guard{}, nil)
	defer c.close()
	for i := range 3 {
		res := c.post(t.Context(), message{id: "msg_1", url: url, body: Bytes("{}")})
		if res.status != 200 {
			t.Errorf("attempt %d: status %d, %s", i, res.status, res.sentence)
		}
	}
}
