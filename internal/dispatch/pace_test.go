package dispatch

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// An endpoint gets four POSTs at once until it answers, then more with each
// answer; POSTs without an answer make them fewer again.
func TestAnEndpointEarnsItsPosts(t *testing.T) {
	type answer struct {
		status int // 0: none
	}
	var answers chan answer
	h := func(w http.ResponseWriter, r *http.Request) {
		body(t, r)
		var a answer
		select {
		case a = <-answers:
		case <-r.Context().Done():
		}
		if a.status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Connection", "close") // otherwise a POST that is cut is repeated at once
		w.WriteHeader(a.status)
	}
	onPipe(t, h, Options{Policy: steady()}, func(b *bench) {
		answers = make(chan answer) // of this bubble
		flying := func(want int, when string) {
			t.Helper()
			synctest.Wait()
			if got := b.d.Stats()[0].InFlight; got != want {
				t.Errorf("%s %d POSTs are in flight: want %d", when, got, want)
			}
		}
		answered := func(n, status int) {
			for range n {
				answers <- answer{status}
				synctest.Wait()
			}
		}
		chats := make([]string, 100)
		for i := range chats {
			chats[i] = strconv.Itoa(i)
		}
		b.d.SetWebhook(hook("w"))
		b.add("w", chats...)
		flying(4, "at first")
		answered(1, http.StatusOK)
		flying(5, "after one answer")
		answered(3, http.StatusUnprocessableEntity)
		flying(8, "after three refusals")
		answered(1, http.StatusInternalServerError)
		flying(8, "after one failure that was answered")
		answered(30, http.StatusOK)
		flying(16, "after many answers")
		answered(1, 0)
		flying(15, "after one that was not answered") // ten are allowed, but no POST is cut for that
		answered(5, 0)
		flying(10, "after six of them")
		answered(4, 0) // that opens the circuit
		flying(6, "after ten failures")
		answered(6, 0)
		time.Sleep(time.Minute)
		flying(1, "while the circuit is open")
		answered(1, http.StatusOK)
		flying(5, "once it is closed")
		w := hook("w")
		w.URL += "/other"
		b.d.SetWebhook(w)
		answered(3, http.StatusOK) // of the old address: they count for nothing
		flying(4, "after a change of the address")
		close(answers) // all others are cut
		time.Sleep(time.Minute)
	})
}
