package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"pombo"
)

// The limits of one attempt.
const (
	maxRedirects   = 3        // hops of 307 and 308
	keptAnswer     = 1 << 10  // bytes of the answer's body that are kept
	readAnswer     = 64 << 10 // bytes of the answer's body that are read
	maxAnswerHead  = 64 << 10 // bytes of the answer's header
	dialTimeout    = 10 * time.Second
	idleTimeout    = 90 * time.Second
	maxIdle        = 1024 // idle connections in all
	maxIdlePerHost = 256  // many webhooks may share one host
)

// dialFunc opens a connection.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// client makes single attempts. It knows nothing of retries.
type client struct {
	transport *http.Transport
	agent     string
}

// newClient returns a client whose dials end with life at the latest: net/http
// lets a dial live on when its request is over.
func newClient(life context.Context, g guard, dial dialFunc) *client {
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: g.control}).DialContext
	}
	return &client{
		agent: "Pombo/" + pombo.Version,
		transport: &http.Transport{
			Proxy: nil, // a proxy would choose the address that is connected to
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithCancelCause(ctx)
				defer cancel(nil)
				defer context.AfterFunc(life, func() { cancel(errStopped) })()
				return dial(ctx, network, plainAddress(address))
			},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // what is read is what came over the wire: no bombs
			TLSHandshakeTimeout:    dialTimeout,
			MaxIdleConns:           maxIdle,
			MaxIdleConnsPerHost:    maxIdlePerHost,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxAnswerHead,
			// Without pings, a connection that died silently would time out each
			// request that is put on it, for minutes.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
		},
	}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// message is what one attempt posts.
type message struct {
	id     string // the webhook-id
	url    string
	body   Body
	custom http.Header // the webhook's own headers
	// secrets sign it.
	secrets []pombo.SigningSecret
}

// result is what came of one attempt.
type result struct {
	at         time.Time
	took       time.Duration
	address    string // connected to; "" if none was
	status     int    // 0 if no answer came
	code       string // "" after a 2xx
	sentence   string // for people; "" after a 2xx
	response   []byte
	retryAfter time.Duration
	unready    *NotReady // nothing was posted; all else is zero
}

// post makes one attempt. It ends with ctx at the latest.
func (c *client) post(ctx context.Context, m message) (res result) {
	res.at = time.Now()
	defer func() { res.took = time.Since(res.at) }()

	first, err := url.Parse(m.url)
	if err != nil || !postable(first) {
		res.fail(codeURL, "The webhook's URL is not one that can be posted to: it must be absolute, with http or https and a host.")
		return res
	}
	signature, err := Sign(m.secrets, m.id, res.at, m.body)
	switch {
	case err != nil && !errors.Is(err, errSecret):
		res.fail(codeEncode, "The event's body could not be read to be signed; it is tried again.")
		return res
	case err != nil:
		res.fail(codeSecret, "The webhook's signing secret is not valid: set it again.")
		return res
	}
	target, repeated := first, false
	for hop := 0; ; {
		var tr trace
		answer, err := c.roundTrip(ctx, &tr, target, m, signed{res.at, signature}, trusted(first, target)) //nolint:bodyclose // drain closes it
		if conn := tr.conn.Load(); conn != nil {
			res.address = conn.address
		}
		if err != nil {
			if tr.stale(err) && !repeated && ctx.Err() == nil {
				repeated = true
				continue
			}
			res.explain(ctx, err, &tr, target)
			return res
		}
		res.status = answer.StatusCode
		res.retryAfter = retryAfter(answer.Header, time.Now())
		res.response = drain(answer.Body)
		next, done := res.follow(answer, target, hop)
		if done {
			return res
		}
		target, repeated, hop = next, false, hop+1
		res.status, res.response, res.retryAfter = 0, nil, 0
	}
}

// follow sets the result of an answer, or returns where it redirects to.
func (res *result) follow(answer *http.Response, at *url.URL, hops int) (next *url.URL, done bool) {
	status := answer.StatusCode
	switch {
	case status/100 == 2:
		return nil, true
	case status < 300 || status > 308 || status == http.StatusNotModified:
		res.fail(codeStatus, statusSentence(status))
		return nil, true
	}
	location := answer.Header.Get("Location")
	to, err := at.Parse(location)
	switch {
	case location == "":
		res.fail(codeRedirect, fmt.Sprintf("The endpoint answered %s without saying where to.", statusName(status)))
	case err != nil || !postable(to):
		res.fail(codeRedirect, fmt.Sprintf("The endpoint answered %s to an address that is neither http nor https.", statusName(status)))
	case status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect:
		res.fail(codeRedirect, fmt.Sprintf("The endpoint answered %s to %s: set the webhook's URL to that address, since a POST is not redirected this way.", statusName(status), shown(to)))
	case hops >= maxRedirects:
		res.fail(codeRedirect, fmt.Sprintf("The endpoint redirected more than %d times, last to %s.", maxRedirects, shown(to)))
	default:
		return to, false
	}
	return nil, true
}

// postable tells whether u can be posted to at all.
func postable(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

// trusted tells whether the webhook's own headers, which may hold secrets, may
// go to target: to the host that was configured and those below it, and never
// from https to http.
func trusted(first, target *url.URL) bool {
	a, b := strings.ToLower(first.Hostname()), strings.ToLower(target.Hostname())
	return (a == b || strings.HasSuffix(b, "."+a)) && (first.Scheme == target.Scheme || target.Scheme == "https")
}

// shown returns u without what may be secret: user, query and fragment.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (c *client) roundTrip(ctx context.Context, tr *trace, target *url.URL, m message, sig signed, custom bool) (*http.Response, error) {
	ctx = httptrace.WithClientTrace(ctx, tr.hooks())
	body, err := m.body.Open()
	if err != nil {
		return nil, fmt.Errorf("opening the body: %w", err)
	}
	// Not http.NewRequest: it would read the URL again, out of its text.
	req := (&http.Request{
		Method: http.MethodPost, URL: target, Host: target.Host, Header: make(http.Header, 8),
		Body: body, ContentLength: m.body.Size(), GetBody: m.body.Open,
	}).WithContext(ctx)
	if custom {
		for k, vs := range m.custom {
			req.Header[http.CanonicalHeaderKey(k)] = vs
		}
		if host := req.Header.Get("Host"); host != "" {
			req.Host = host
		}
		if u := target.User; u != nil && req.Header.Get("Authorization") == "" {
			password, _ := u.Password()
			req.SetBasicAuth(u.Username(), password)
		}
	}
	for _, k := range ownHeaders {
		delete(req.Header, k)
	}
	setDefault(req.Header, "Content-Type", "application/json")
	setDefault(req.Header, "User-Agent", c.agent)
	// The names are lower case in the Standard Webhooks specification; on the
	// wire, case does not matter.
	req.Header.Set("Webhook-Id", m.id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(sig.at.Unix(), 10))
	if sig.signature != "" {
		req.Header.Set("Webhook-Signature", sig.signature)
	}
	return c.transport.RoundTrip(req)
}

// signed is what webhook-timestamp and webhook-signature tell.
type signed struct {
	at        time.Time
	signature string // "" for none
}

// ownHeaders are never the webhook's: they belong to the connection or to us.
var ownHeaders = []string{
	"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature",
	"Host", "Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Proxy-Connection",
	"Te", "Trailer", "Upgrade", "Expect",
}

func setDefault(h http.Header, key, value string) {
	if h.Get(key) == "" {
		h.Set(key, value)
	}
}

// drain reads body as far as it is worth, so that the connection can be used
// again, and returns its beginning. What goes wrong here changes nothing: the
// status has decided.
func drain(body io.ReadCloser) []byte {
	defer body.Close()
	buf := make([]byte, keptAnswer)
	n, err := io.ReadFull(body, buf)
	if err == nil {
		_, _ = io.CopyN(io.Discard, body, readAnswer-keptAnswer)
	}
	return buf[:n]
}

// trace observes one request. net/http calls its hooks from several goroutines.
type trace struct {
	conn     atomic.Pointer[connection] // set when there is a connection
	answered atomic.Bool                // the first byte of the answer came
}

type connection struct {
	address string
	reused  bool
}

func (t *trace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			t.conn.Store(&connection{address: i.Conn.RemoteAddr().String(), reused: i.Reused})
		},
		GotFirstResponseByte: func() { t.answered.Store(true) },
	}
}

// stale tells whether err most likely means that the endpoint closed an idle
// connection just as it was used again. Such a request is repeated at once, and
// no more than once: net/http does not do it for a POST, and the repeat carries
// the same webhook-id.
func (t *trace) stale(err error) bool {
	conn := t.conn.Load()
	return conn != nil && conn.reused && !t.answered.Load() && isReset(err)
}

// errStopped is the cause with which the attempts in flight are cut at the end.
var errStopped = errors.New("the gateway is stopping")
