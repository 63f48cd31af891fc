package httpapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// piped is a listener without sockets, on whose connections synctest's clock goes on:
// what is to be quick takes no time there, however busy the machine is.
type piped struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *piped) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

func (p *piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *piped) Close() error   { close(p.done); return nil }
func (p *piped) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// A handler may take longer than the server allows for reading the request.
func TestSlowHandlers(t *testing.T) { synctest.Test(t, slowHandlers) }

func slowHandlers(t *testing.T) {
	p := &piped{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: newAPI(t).handler, ReadTimeout: slowRead}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(p) }()
	transport := &http.Transport{DialContext: p.dial}
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/media/slow", "", "abcd"},
		{"POST", "/chat/getBase64FromMediaMessage/ana", `{"message":{"key":{"id":"slow"}}}`, `{"mediaType":"imageMessage","fileName":"3A.png","size":{},"mimetype":"image/png","base64":"YWJjZA==","buffer":null}`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://pombo.test"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("apikey", globalKey)
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != c.want || resp.ContentLength != int64(len(c.want)) {
			t.Errorf("%s: %d %s, %v, want %s", c.path, resp.StatusCode, body, err, c.want)
		}
	}
	transport.CloseIdleConnections()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// What strangers call their files can do no harm.
func TestFileHeaders(t *testing.T) {
	for _, c := range []struct{ claimed, kind, name, disposition string }{
		{"image/jpeg", "image/jpeg", "", "inline"},
		{"IMAGE/PNG; a=b", "image/png; a=b", "a.png", "inline; filename=a.png"},
		{"audio/ogg; codecs=opus", "audio/ogg; codecs=opus", "", "inline"},
		{"image/svg+xml", "image/svg+xml", "a.svg", "attachment; filename=a.svg"},
		{"text/html", "text/html", "../../a.html", "attachment; filename=a.html"},
		{"application/pdf", "application/pdf", `C:\a "b".pdf`, `attachment; filename="a \"b\".pdf"`},
		{"image/jpeg\r\nX: y", "application/octet-stream", "a\r\nX: y", "attachment; filename*=utf-8''a%0D%0AX%3A%20y"},
		{"", "application/octet-stream", "ç", "attachment; filename*=utf-8''%C3%A7"},
	} {
		kind, shown := contentType(c.claimed)
		if got := disposition(c.name, shown); kind != c.kind || got != c.disposition {
			t.Errorf("%q %q: %q %q, want %q %q", c.claimed, c.name, kind, got, c.kind, c.disposition)
		}
	}
}
