package dispatch

import (
	"io"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// Of 100 webhooks 99 hang, each with a long backlog. The hundredth is posted to as
// if it were alone, and the others take no more than their share of goroutines.
func TestHangingWebhooksCostTheOthersNothing(t *testing.T) {
	h := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/good" {
			<-r.Context().Done()
		}
	}
	// Fewer slots than the hanging ones ask for: the good one has one by right.
	onPipe(t, h, Options{Policy: steady(), MaxInFlight: 200}, func(b *bench) {
		before := runtime.NumGoroutine()
		for i := range 99 {
			id := "bad" + strconv.Itoa(i)
			b.d.SetWebhook(hook(id))
			chats := make([]string, 100)
			for c := range chats {
				chats[c] = strconv.Itoa(c % 50)
			}
			b.add(id, chats...)
		}
		b.d.SetWebhook(hook("good"))
		for minute := range 10 {
			for i := range 60 {
				at := time.Now()
				d := b.add("good", strconv.Itoa(i%7))[0]
				synctest.Wait()
				if got := b.store.row(d.ID); got.State != pombo.Delivered || !time.Now().Equal(at) {
					t.Fatalf("in minute %d, the good webhook's delivery is %s", minute, got.State)
				}
				time.Sleep(time.Second)
			}
			flying := 0
			for _, s := range b.d.Stats() {
				flying += s.InFlight
			}
			if flying > 200+100 {
				t.Errorf("in minute %d, %d POSTs are in flight", minute, flying)
			}
			if n := runtime.NumGoroutine() - before; n > 300*8 { // worker, connection, and the receiver's side
				t.Errorf("in minute %d, there are %d goroutines more", minute, n)
			}
		}
		open := 0
		for _, s := range b.d.Stats() {
			if s.Circuit == Open {
				if open++; s.InFlight > 1 || s.Loaded > 1 { // the probe, or the one that waits for a slot
					t.Errorf("%s is open, with %d in flight and %d loaded", s.WebhookID, s.InFlight, s.Loaded)
				}
			}
		}
		if open != 99 {
			t.Errorf("%d circuits are open: want 99", open)
		}
	})
}
