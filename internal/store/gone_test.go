package store_test

import (
	"context"
	"sync/atomic"
	"testing"

	"pombo"
	"pombo/internal/store"
)

// A caller who leaves while a change is being committed learns that it was made:
// whoever delivers has to know of it.
func TestCallerLeavesDuringCommit(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		type departure struct {
			during string
			leave  context.CancelFunc
		}
		var next atomic.Pointer[departure]
		s := open(t, store.Options{URI: uri, Fault: func(op string) error {
			if d := next.Load(); d != nil && d.during == op {
				d.leave()
			}
			return nil
		}})
		i, w := hooked(t, s, "i")
		must(t, s.Append(t.Context(), event(i, "a")))
		must(t, s.Settle(t.Context(), pombo.Attempt{Delivery: 1, Number: 1, State: pombo.Dead, Reason: pombo.Rejected}))
		must(t, s.Append(t.Context(), event(i, "b"))) // the attempt rides with it
		for _, c := range []struct {
			op   string
			call func(context.Context) error
		}{
			{"put webhook", func(ctx context.Context) error { _, err := s.PutWebhook(ctx, w); return err }},
			{"put webhook", func(ctx context.Context) error {
				_, err := s.AddWebhook(ctx, pombo.Webhook{ID: "more", Instance: i.ID, URL: "http://x", Enabled: true})
				return err
			}},
			{"replay", func(ctx context.Context) error {
				r, touched, err := s.Replay(ctx, pombo.Replay{Query: pombo.DeliveryQuery{Instance: i.ID}, IDs: []int64{1}})
				if r.Replayed != 1 || len(touched) != 1 {
					t.Errorf("a replay that was cut tells of %+v, %q", r, touched)
				}
				return err
			}},
			{"put webhook", func(ctx context.Context) error { _, err := s.DisableWebhook(ctx, w.ID, w.URL); return err }},
			{"put webhook", func(ctx context.Context) error { return s.RemoveWebhook(ctx, i.ID, "more") }},
			{"create instance", func(ctx context.Context) error {
				return s.CreateInstance(ctx, pombo.Instance{ID: "other", Name: "other"}, nil)
			}},
			{"update instance", func(ctx context.Context) error { return s.UpdateInstance(ctx, i) }},
			{"give up deliveries", func(ctx context.Context) error { return s.GiveUp(ctx, "other") }},
			{"delete instance", func(ctx context.Context) error { return s.DeleteInstance(ctx, "other") }},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			next.Store(&departure{c.op, cancel})
			if err := c.call(ctx); err != nil || ctx.Err() == nil {
				t.Errorf("%s: %v (the caller left: %v)", c.op, err, ctx.Err() != nil)
			}
			next.Store(nil)
			cancel()
		}
	})
}
