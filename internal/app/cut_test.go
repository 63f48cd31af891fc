package app_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// leaver cuts a request while the store commits what it asks for.
type leaver struct {
	during string // the store's operation
	cut    context.CancelFunc
	gone   chan struct{} // closed when the client has gone
}

// cut makes a request whose client leaves during an operation of the store.
func (p *promise) cut(next *atomic.Pointer[leaver], during, method, path, body string) {
	p.Helper()
	ctx, cancel := context.WithCancel(p.Context())
	l := &leaver{during, cancel, make(chan struct{})}
	req, err := http.NewRequestWithContext(ctx, method, p.gateway.Base+path, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set("apikey", p.gateway.Key)
	next.Store(l)
	resp, err := http.DefaultClient.Do(req)
	close(l.gone)
	if err == nil {
		resp.Body.Close()
		p.Fatalf("%s was not cut: %d", path, resp.StatusCode)
	}
}

// A client that leaves in the middle of a change, by its own timeout for example,
// leaves nothing half done: what was stored is delivered, and the call can be repeated.
func TestPromiseClientLeaves(t *testing.T) {
	var next atomic.Pointer[leaver]
	p := &promise{T: t, network: pombotest.NewSandbox(t), receiver: pombotest.NewReceiver(t)}
	p.gateway = pombotest.StartGateway(t, p.network, app.Faults{MaxBackoff: 20 * time.Millisecond, Store: func(op string) error {
		if l := next.Load(); l != nil && l.during == op && next.CompareAndSwap(l, nil) {
			l.cut()
			<-l.gone
		}
		return nil
	}})
	p.pair("")
	other := pombotest.NewReceiver(t)
	p.set(`{"url":"` + p.receiver.URL + `","events":["MESSAGES_UPSERT"]}`)
	p.cut(&next, "put webhook", "POST", "/webhook/add/"+shop, `{"url":"`+other.URL+`","events":["MESSAGES_UPSERT"]}`)
	id := p.network.Write(contact, phone, "for both")
	p.arrives(p.receiver, id)
	if strings.Count(p.get("/webhook/list/"+shop), `"position"`) == 2 {
		p.arrives(other, id)
	} else {
		t.Error("the webhook was not stored, though its commit had begun")
	}

	p.receiver.Answer(func(int, pombotest.Post) int { return 422 })
	var ids []string
	for range 3 {
		ids = append(ids, p.network.Write(contact, phone, "refused"))
	}
	p.seen("state=dead", 3)
	p.receiver.Answer(nil)
	p.cut(&next, "replay", "POST", "/webhook/replay/"+shop, `{"state":"dead"}`)
	for _, id := range ids {
		p.arrives(p.receiver, id)
	}
	p.seen("state=delivered", 8)
	if got := p.replay(`{"state":"dead"}`); got != (replayed{}) {
		t.Errorf("once more, there is nothing left to replay: %+v", got)
	}
}
