package dispatch

import (
	"context"
	"net/url"
	"time"

	"pombo"
)

// Ping posts a delivery that is stored nowhere, once, now, and returns what came
// of it. It waits for no limit of concurrency and changes nothing else: neither
// the webhook's state nor its figures. It also posts to a webhook that is switched
// off. dest is where it was posted to, without user, password, query and fragment.
func (d *Dispatcher) Ping(ctx context.Context, sample pombo.Delivery, w pombo.Webhook) (a pombo.Attempt, dest string) {
	ctx, cancel := context.WithTimeout(ctx, d.policy.Timeout)
	defer cancel()
	stop := context.AfterFunc(d.life, cancel)
	defer stop()
	res := result{at: time.Now()}
	target, body, header, err := d.encode(sample, w)
	if err != nil {
		res.fail(codeEncode, "The event's body could not be put together: "+err.Error())
	} else {
		dest = ShownURL(target)
		res = d.client.post(ctx, message{id: sample.MessageID, url: target, body: body, custom: header, secrets: w.Secrets})
	}
	return pombo.Attempt{
		Number: 1, At: res.at.Round(0), Duration: res.took, Address: res.address,
		Status: res.status, ErrorCode: res.code, Error: res.sentence, Response: res.response,
	}, dest
}

// ShownURL returns a URL without what may be secret in it: user, password, query
// and fragment; "" if it is none.
func ShownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return shown(u)
}
