package dispatch

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"pombo"
)

func secretOf(b byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(b), 32)))
}

// Requests are signed with all secrets that are valid at the time of the attempt,
// as the specification's own library verifies; headers of the webhook that have
// the names of ours change nothing.
func TestSignatures(t *testing.T) {
	verifies := func(secret string, body []byte, h http.Header) bool {
		t.Helper()
		w, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		return w.Verify(body, h) == nil
	}
	old, current, other := secretOf('o'), secretOf('n'), secretOf('x')
	attempts := 0
	h := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		attempts++
		if n := len(r.Header.Values("Webhook-Signature")); n != 1 {
			t.Errorf("attempt %d has %d signatures' headers", attempts, n)
		}
		inTime := attempts == 1
		if !verifies(current, body, r.Header) || verifies(old, body, r.Header) != inTime || verifies(other, body, r.Header) {
			t.Errorf("attempt %d is signed as %s", attempts, r.Header.Get("Webhook-Signature"))
		}
		if n := len(strings.Fields(r.Header.Get("Webhook-Signature"))); inTime && n != 2 || !inTime && n != 1 {
			t.Errorf("attempt %d has %d signatures", attempts, n)
		}
		if verifies(current, append(body, ' '), r.Header) {
			t.Error("a changed body verifies")
		}
		if inTime {
			w.WriteHeader(http.StatusBadGateway)
		}
	}
	onPipe(t, h, Options{Policy: steady()}, func(b *bench) {
		w := hook("w")
		w.Secrets = []pombo.SigningSecret{{Key: current}, {Key: old, Until: time.Now().Add(5 * time.Second)}}
		w.Headers = map[string]string{"webhook-signature": "v1,forged", "WEBHOOK-TIMESTAMP": "1", "webhook-Id": "forged"}
		b.d.SetWebhook(w)
		b.add("w", "a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if attempts != 2 || b.store.pending() != 0 {
			t.Errorf("%d attempts, %d pending", attempts, b.store.pending())
		}
	})
}

func TestUnsignedAndBadSecrets(t *testing.T) {
	var got []http.Header
	h := func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Clone()) }
	onPipe(t, h, Options{Policy: steady()}, func(b *bench) {
		w := hook("w")
		w.Headers = map[string]string{"webhook-signature": "v1,forged"}
		b.d.SetWebhook(w)
		b.add("w", "a")
		synctest.Wait()
		if len(got) != 1 || got[0].Get("Webhook-Signature") != "" {
			t.Errorf("without a secret, the headers are %v", got)
		}
		for _, bad := range []string{"", "whsec_", "whsec_?", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"} {
			w.Secrets = []pombo.SigningSecret{{Key: bad}}
			b.d.SetWebhook(w)
			ds := b.add("w", "b"+bad)
			synctest.Wait()
			all := b.store.attempts()
			i := slices.IndexFunc(all, func(a pombo.Attempt) bool { return a.Delivery == ds[0].ID })
			if i < 0 || all[i].ErrorCode != codeSecret || strings.Contains(all[i].Error, "MDEy") {
				t.Errorf("with the secret %q, the attempts are %+v", bad, all)
			}
		}
		w.Secrets = nil // put right, all that waits comes
		b.d.SetWebhook(w)
		synctest.Wait()
		if b.store.pending() != 0 {
			t.Errorf("%d are pending", b.store.pending())
		}
	})
}
