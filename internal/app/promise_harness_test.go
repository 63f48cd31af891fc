package app_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// These tests run far from Greenwich, so that a time which is told as UTC has to
// be.
func init() { time.Local = time.FixedZone("São Paulo", -3*60*60) }

// promise is a gateway on its network, and a receiver of webhooks: what the
// documents promise is tried on it.
type promise struct {
	*testing.T
	network  *pombotest.Sandbox
	gateway  *pombotest.Gateway
	receiver *pombotest.Receiver
}

// shop is the instance of most of these tests.
const shop = "shop"

// patience bounds what takes a moment.
const patience = time.Minute

// newPromise starts a gateway without instances, which connects again at once.
func newPromise(t *testing.T, env ...string) *promise {
	t.Helper()
	p := &promise{T: t, network: pombotest.NewSandbox(t), receiver: pombotest.NewReceiver(t)}
	p.gateway = pombotest.StartGateway(t, p.network, app.Faults{MaxBackoff: 20 * time.Millisecond}, env...)
	return p
}

// pair makes the contact's number exist and pairs shop; its webhook at hook is told everything.
func (p *promise) pair(hook string) {
	p.Helper()
	if _, err := p.network.AddContact(p.Context(), sandbox.ContactRequest{Number: contact, Name: "Ana"}); err != nil {
		p.Fatal(err)
	}
	pombotest.Pair(p, p.gateway.Client, p.network.Server, shop, phone, hook)
}

// set sets shop's webhook and returns the answer's body.
func (p *promise) set(body any) string {
	p.Helper()
	status, answer := p.gateway.Do("POST", "/webhook/set/"+shop, body)
	if status != 201 {
		p.Fatalf("setting the webhook to %v: %d %s", body, status, answer)
	}
	return string(answer)
}

// get returns the body of an answer that has to be 200.
func (p *promise) get(path string) string {
	p.Helper()
	status, answer := p.gateway.Do("GET", path, nil)
	if status != 200 {
		p.Fatalf("GET %s: %d %s", path, status, answer)
	}
	return string(answer)
}

// arrives waits until r has taken the message with this ID.
func (p *promise) arrives(r *pombotest.Receiver, id string) pombotest.Post {
	p.Helper()
	return r.Wait(p, "messages.upsert", func(post pombotest.Post) bool {
		return post.Message().Key.ID == id && post.Status == 200
	})
}

// changes lists the states that CONNECTION_UPDATE told of an instance, each with
// its reason.
func (p *promise) changes(instance string) []string {
	var out []string
	for _, post := range p.receiver.Accepted() {
		if post.Event != "connection.update" || post.Instance != instance {
			continue
		}
		var c struct {
			State        string
			StatusReason int
		}
		if err := json.Unmarshal(post.Data, &c); err != nil {
			p.Errorf("%s: %v", post.Data, err)
		}
		out = append(out, c.State+" "+strconv.Itoa(c.StatusReason))
	}
	return out
}

// told waits until CONNECTION_UPDATE has told as many changes of an instance as
// are wanted, and checks that they are these.
func (p *promise) told(instance string, want ...string) {
	p.Helper()
	p.receiver.Until(p, "the change to "+want[len(want)-1], func([]pombotest.Post) bool {
		return len(p.changes(instance)) >= len(want)
	})
	if got := p.changes(instance); !slices.Equal(got, want) {
		p.Errorf("%s told %q, want %q", instance, got, want)
	}
}
