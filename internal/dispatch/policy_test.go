package dispatch

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

func TestDelays(t *testing.T) {
	p := DefaultPolicy()
	for n, base := range map[int]time.Duration{
		1: 5 * time.Second, 2: 10 * time.Second, 3: 20 * time.Second, 10: 2560 * time.Second, 11: time.Hour, 12: time.Hour, 1e9: time.Hour,
	} {
		low, high := time.Duration(1<<62), time.Duration(0)
		for range 2000 {
			d := p.delay(n)
			low, high = min(low, d), max(high, d)
		}
		if low < base*8/10 || high > base*12/10 || high-low < base*3/10 {
			t.Errorf("after attempt %d the delay is %s to %s: want %s ± 20 %%", n, low, high, base)
		}
	}
	p.Exponential, p.Jitter = false, 0
	if d := p.delay(7); d != p.InitialDelay {
		t.Errorf("without backoff the delay is %s", d)
	}
}

func TestWaitSurvivesWrongClocks(t *testing.T) {
	p := DefaultPolicy()
	now := time.Now()
	for _, c := range []struct {
		at   time.Time
		want time.Duration
	}{
		{time.Time{}, 0},
		{now.Add(-1000 * time.Hour), 0},
		{now.Add(time.Minute).Round(0), time.Minute},
		{now.AddDate(50, 0, 0), p.longest()},
	} {
		if got := p.wait(c.at, now); got != c.want {
			t.Errorf("wait until %s is %s: want %s", c.at, got, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2025, 6, 30, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "0": 0, "-5": 0, "soon": 0, "1.5": 0,
		"86400": time.Hour, "18446744073709551615": time.Hour, "99999999999999999999999": 0,
		"Mon, 30 Jun 2025 12:05:00 GMT": 5 * time.Minute, "Mon, 30 Jun 2025 11:05:00 GMT": 0, "Mon, 30 Jun 2098 11:05:00 GMT": time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("Retry-After: %q means %s: want %s", v, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultPolicy().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Policy){
		"Timeout":      func(p *Policy) { p.Timeout = time.Hour },
		"InitialDelay": func(p *Policy) { p.InitialDelay = 2 * time.Hour },
		"MaxDelay":     func(p *Policy) { p.MaxDelay = 25 * time.Hour },
		"Horizon":      func(p *Policy) { p.Horizon = 0 },
		"Jitter":       func(p *Policy) { p.Jitter = 1.1 },
		"MaxAttempts":  func(p *Policy) { p.MaxAttempts = -1 },
		"NonRetryable": func(p *Policy) { p.NonRetryable = []int{200} },
		"Concurrency":  func(p *Policy) { p.Concurrency = 0 },
	} {
		p := DefaultPolicy()
		change(&p)
		if err := p.Validate(); pombo.KindOf(err) != pombo.Invalid {
			t.Errorf("%s out of range: %v", name, err)
		}
		if err := New(Options{Policy: p}).Run(t.Context()); err == nil {
			t.Errorf("%s out of range: Run did not mind", name)
		}
	}
}

func TestTheHorizonEndsRetries(t *testing.T) {
	rc := &receiver{t: t, answer: func(posted, *http.Request) int { return http.StatusBadGateway }}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		time.Sleep(72*time.Hour - time.Second)
		synctest.Wait()
		if d := b.store.row(1); d.State != pombo.Pending || d.Attempts < 860 || d.Attempts > 870 { // one every five minutes, by and by
			t.Fatalf("just before the horizon it is %s after %d attempts", d.State, d.Attempts)
		}
		time.Sleep(maxProbePause)
		synctest.Wait()
		if d := b.store.row(1); d.State != pombo.Dead || d.Reason != pombo.Exhausted {
			t.Errorf("after the horizon it is %s: %s", d.State, d.Reason)
		}
	})
}

func TestALongStopIsNoReasonToGiveUp(t *testing.T) {
	var up atomic.Bool
	rc := &receiver{t: t, answer: func(posted, *http.Request) int {
		if up.Load() {
			return http.StatusOK
		}
		return http.StatusBadGateway
	}}
	onPipe(t, rc.ServeHTTP, Options{}, func(b *bench) {
		b.store.add("w", "a", "b")
		time.Sleep(30 * 24 * time.Hour) // the machine was off, or its clock jumped
		b.d.SetWebhook(hook("w"))
		time.Sleep(50 * time.Minute)
		if d := b.store.row(1); d.State != pombo.Pending || d.Attempts < 5 {
			t.Fatalf("it is %s: %s after %d attempts", d.State, d.Reason, d.Attempts)
		}
		up.Store(true)
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		if n := b.store.pending(); n != 0 {
			t.Errorf("%d are pending", n)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	var rc *receiver
	h := func(w http.ResponseWriter, r *http.Request) {
		if len(rc.ids()) == 0 {
			w.Header().Set("Retry-After", "600")
		}
		rc.ServeHTTP(w, r)
	}
	rc = &receiver{t: t}
	rc.answer = func(posted, *http.Request) int {
		if len(rc.ids()) == 1 {
			return http.StatusTooManyRequests
		}
		return http.StatusOK
	}
	onPipe(t, h, Options{}, func(b *bench) {
		b.d.SetWebhook(hook("w"))
		b.add("w", "a")
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(rc.when) != 2 || rc.when[1].Sub(rc.when[0]) != 10*time.Minute {
			t.Errorf("tried at %v: want ten minutes in between", rc.when)
		}
	})
}

func TestAFarNextAttemptComesWithinAnHour(t *testing.T) {
	rc := &receiver{t: t}
	onPipe(t, rc.ServeHTTP, Options{Policy: steady()}, func(b *bench) {
		b.store.add("w", "a", "b")
		b.store.rows[0].NextAttempt = time.Now().AddDate(20, 0, 0)
		b.store.rows[1].NextAttempt = time.Now().Add(time.Minute)
		b.store.rows[1].Attempts = 3
		b.d.SetWebhook(hook("w"))
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if len(rc.ids()) != 0 {
			t.Fatalf("tried before its time: %v", rc.ids())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := b.store.pending(); n != 0 {
			t.Errorf("%d are pending", n)
		}
		if d := b.store.row(2); d.Attempts != 4 {
			t.Errorf("counted %d attempts: want 4, the three of before among them", d.Attempts)
		}
	})
}
