package pombotest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Client calls a gateway's REST API.
type Client struct {
	Base string // http://host:port
	Key  string
	t    testing.TB
	http *http.Client
}

// NewClient makes a client that fails the test t on errors.
func NewClient(t testing.TB, base, key string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{Base: base, Key: key, t: t, http: &http.Client{Timeout: 2 * time.Minute, Transport: transport}}
}

// With returns a client of the same gateway that uses another key, "" for none.
func (c *Client) With(key string) *Client {
	other := *c
	other.Key = key
	return &other
}

// Do makes a request with a JSON body (nil for none, a string as it is) and
// returns the answer's status and body.
func (c *Client) Do(method, path string, body any) (int, []byte) {
	c.t.Helper()
	status, answer, err := c.Try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, answer
}

// Try is Do for when the gateway may not answer.
func (c *Client) Try(method, path string, body any) (int, []byte, error) {
	var r io.Reader = http.NoBody
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		buf, err := json.Marshal(b)
		if err != nil {
			return 0, nil, err
		}
		r = strings.NewReader(string(buf))
	}
	req, err := http.NewRequest(method, c.Base+path, r)
	if err != nil {
		return 0, nil, err
	}
	if c.Key != "" {
		req.Header.Set("apikey", c.Key)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// Must makes a request that has to succeed (2xx) and decodes its answer into
// out, unless that is nil.
func (c *Client) Must(method, path string, body, out any) {
	c.t.Helper()
	status, answer := c.Do(method, path, body)
	if status/100 != 2 {
		c.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			c.t.Fatalf("%s %s answered %s: %v", method, path, answer, err)
		}
	}
}

// Refused makes a request that has to be refused with this status, and returns
// the sentences of the answer's "message", joined.
func (c *Client) Refused(method, path string, body any, status int) string {
	c.t.Helper()
	got, answer := c.Do(method, path, body)
	var e struct {
		Status   int
		Response struct{ Message json.RawMessage }
	}
	if got != status {
		c.t.Fatalf("%s %s: %d %s, want %d", method, path, got, answer, status)
	}
	if err := json.Unmarshal(answer, &e); err != nil || e.Status != status || len(e.Response.Message) == 0 {
		c.t.Fatalf("%s %s: the answer has not the form of an error: %s", method, path, answer)
	}
	return string(e.Response.Message)
}

// State returns what the gateway says of an instance's connection.
func (c *Client) State(name string) string {
	c.t.Helper()
	var a struct{ Instance struct{ State string } }
	c.Must("GET", "/instance/connectionState/"+url.PathEscape(name), nil, &a)
	return a.Instance.State
}

// SendText lets an instance send a text, and returns the message's ID.
func (c *Client) SendText(name, number, text string) string {
	c.t.Helper()
	var a struct{ Key struct{ ID string } }
	c.Must("POST", "/message/sendText/"+url.PathEscape(name), map[string]any{"number": number, "text": text}, &a)
	if a.Key.ID == "" {
		c.t.Fatalf("sending a text to %s gave no message ID", number)
	}
	return a.Key.ID
}
