package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mdp/qrterminal/v3"
)

// The people of the tour. The numbers are of the range that is kept for
// fiction in Brazil's numbering.
const (
	demoInstance = "demo"
	demoPhone    = "5511988880000"
	demoContact  = "5511977770000"
)

// demo runs the gateway, a simulated WhatsApp and a webhook receiver on free
// ports with a temporary data folder, and walks through the main job. With
// --once it ends after the tour, with an error if any step failed.
func demo(ctx context.Context, c call) (err error) {
	var once bool
	if err := parseFlags("demo", c, func(fs *flag.FlagSet) {
		fs.BoolVar(&once, "once", false, "end after the tour")
	}); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pombo-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	box := newInbox()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	receiver := &http.Server{Handler: box, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = receiver.Serve(l) }()
	defer receiver.Close()

	began := time.Now()
	// The settings are the demo's own: the user's may be those of a real gateway.
	c.args, c.env = nil, []string{
		"SERVER_HOST=127.0.0.1", "SERVER_PORT=0", "SANDBOX_ENABLED=true",
		"POMBO_DATA_DIR=" + filepath.Join(dir, "data"), "LOG_LEVEL=ERROR",
	}
	a, err := startServer(ctx, c)
	if err != nil {
		return err
	}
	defer func() {
		if serr := stopServer(ctx, a); err == nil {
			err = serr
		}
	}()
	t := &tour{out: c.stdout, base: a.URL(), key: a.APIKey(), http: &http.Client{Timeout: time.Minute}}
	fmt.Fprintf(c.stdout, "Pombo is running at %s, with a simulated WhatsApp network: no phone is needed, and nothing reaches WhatsApp.\nIt was ready after %d ms. Every line that begins with curl can be repeated in another terminal.\n",
		t.base, time.Since(began).Milliseconds())
	if err := t.walk(ctx, box, "http://"+l.Addr().String()+"/webhook"); err != nil {
		return fmt.Errorf("step %d of the tour: %w", t.step, err)
	}
	if once {
		return nil
	}
	t.whatNext()
	select {
	case <-ctx.Done():
		fmt.Fprintln(c.stdout, "\nThe demo has ended; its data is deleted.")
		return nil
	case err := <-a.Failed():
		return err
	}
}

// walk is the tour itself.
func (t *tour) walk(ctx context.Context, box *inbox, hook string) error {
	t.title("Create an instance: one WhatsApp account")
	if err := t.call(ctx, "POST", "/instance/create", map[string]any{"instanceName": demoInstance}, nil); err != nil {
		return err
	}
	t.title("Set its webhook: where events are posted to")
	if err := t.call(ctx, "POST", "/webhook/set/"+demoInstance, setWebhook{
		Enabled: true, URL: hook,
		Events: []string{"QRCODE_UPDATED", "MESSAGES_UPSERT", "MESSAGES_UPDATE", "SEND_MESSAGE", "CONNECTION_UPDATE"},
	}, nil); err != nil {
		return err
	}
	if err := t.pair(ctx, box); err != nil {
		return err
	}
	t.title("A contact sends a message")
	const hello = "Hello from a pigeon"
	if err := t.call(ctx, "POST", "/sandbox/messages", map[string]any{"from": demoContact, "to": demoPhone, "text": hello}, nil); err != nil {
		return err
	}
	if err := t.show(ctx, box, "messages.upsert"); err != nil {
		return err
	}
	t.title("Answer it")
	if err := t.call(ctx, "POST", "/message/sendText/"+demoInstance, map[string]any{"number": demoContact, "text": "Coo!"}, nil); err != nil {
		return err
	}
	if err := t.show(ctx, box, "send.message"); err != nil {
		return err
	}
	if err := t.show(ctx, box, "messages.update"); err != nil {
		return err
	}
	fmt.Fprintln(t.out, "\nThat is the main job: paired, webhook set, a message received, an answer sent and its receipt.")
	return nil
}

// setWebhook is the request of the Set Webhook document, in its order.
type setWebhook struct {
	Enabled         bool     `json:"enabled"`
	URL             string   `json:"url"`
	WebhookByEvents bool     `json:"webhookByEvents"`
	Events          []string `json:"events"`
}

func (t *tour) pair(ctx context.Context, box *inbox) error {
	t.title("Pair it: connect gives a QR code, which a phone scans under Linked devices")
	var qr struct{ Code string }
	if err := t.call(ctx, "GET", "/instance/connect/"+demoInstance, nil, &qr); err != nil {
		return err
	}
	if qr.Code == "" {
		return fmt.Errorf("connect answered without a QR code")
	}
	qrterminal.GenerateHalfBlock(qr.Code, qrterminal.L, t.out)
	fmt.Fprintln(t.out, "   Here a simulated phone scans it:")
	if err := t.call(ctx, "POST", "/sandbox/scan", map[string]any{"instance": demoInstance, "number": demoPhone, "name": "Pombo's phone"}, nil); err != nil {
		return err
	}
	for {
		p, err := box.next(ctx, "connection.update")
		if err != nil {
			return err
		}
		if !p.isOpen() {
			continue
		}
		t.print(p)
		return nil
	}
}

// show waits for the event's webhook and prints it.
func (t *tour) show(ctx context.Context, box *inbox, event string) error {
	p, err := box.next(ctx, event)
	if err != nil {
		return err
	}
	t.print(p)
	return nil
}

func (t *tour) print(p post) {
	fmt.Fprintf(t.out, "\n   ⇐ webhook POST %s  webhook-id: %s\n   %s\n", p.path, p.id, indent(p.body))
}

func (t *tour) whatNext() {
	fmt.Fprintf(t.out, `
The gateway stays up until Ctrl-C. What to try next:

   another message:   curl -X POST %[1]s/sandbox/messages -H 'apikey: %[2]s' -d '{"from":"%[3]s","to":"%[4]s","text":"again"}'
   what was received: curl '%[1]s/sandbox/messages?number=%[3]s' -H 'apikey: %[2]s'
   your own webhook:  curl -X POST %[1]s/webhook/set/%[5]s -H 'apikey: %[2]s' -d '{"enabled":true,"url":"http://127.0.0.1:3000/"}'
   all instances:     curl %[1]s/instance/fetchInstances -H 'apikey: %[2]s'

For a gateway that keeps its data: pombo serve (add --sandbox to try it without a phone).
`, t.base, t.key, demoContact, demoPhone, demoInstance)
}
