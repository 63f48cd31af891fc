package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pombo"
	"pombo/internal/store"
	"pombo/internal/store/storetest"
)

// What is rare and what is frequent is found by different ways, which must agree.
func TestBothWaysOfListing(t *testing.T) {
	for name, uri := range map[string]func(testing.TB) string{"SQLite": newFile, "Postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := open(t, store.Options{URI: uri(t)})
			i, w := hooked(t, s, "i")
			ctx := within(t)
			for n := range 40 {
				e := event(i, fmt.Sprint(n))
				e.Chat = fmt.Sprint("chat", n%3)
				e.Name = []pombo.EventName{pombo.MessagesUpsert, pombo.Call}[n%2]
				must(t, s.Append(ctx, e))
			}
			ds, err := s.Pending(ctx, w.ID, 0, 100)
			must(t, err)
			to := ds[30].CreatedAt.Add(time.Millisecond) // all may have come within one
			for n, d := range ds {
				if n%4 > 1 {
					must(t, s.Settle(ctx, pombo.Attempt{Delivery: d.ID, Number: 1, State: pombo.Delivered}))
				}
			}
			_, err = s.Pending(ctx, w.ID, 0, 1)
			must(t, err)
			for _, q := range []pombo.DeliveryQuery{
				{}, {State: pombo.Pending}, {State: pombo.Pending, Chat: "chat1"}, {Chat: "chat2"}, {Event: pombo.Call}, {Event: pombo.Call, State: pombo.Pending},
				{Event: pombo.Call, State: pombo.Delivered, Chat: "chat2"}, {State: pombo.Pending, Event: pombo.Call, From: ds[10].CreatedAt, To: to},
			} {
				q.Instance, q.Limit = i.ID, 100
				var ways [2][]int64
				for way, few := range []int{0, 5000} {
					back := store.Few(few)
					found, err := s.Deliveries(ctx, q)
					back()
					must(t, err)
					for _, d := range found {
						ways[way] = append(ways[way], d.ID)
					}
				}
				if !slices.Equal(ways[0], ways[1]) || len(ways[0]) == 0 {
					t.Errorf("%+v finds %v going along, %v looking up", q, ways[0], ways[1])
				}
			}
		})
	}
}

// Lists of what is frequent and of what is rare among a million deliveries.
func BenchmarkListOfMillion(b *testing.B) {
	if testing.Short() {
		b.Skip("skipped: a million rows take a while to make")
	}
	eachB(b, func(b *testing.B, uri string) {
		const rows = 1_000_000
		s := open(b, store.Options{URI: uri})
		i, w := hooked(b, s, "i")
		fillPending(b, s, i, w, rows)
		ctx := context.Background()
		// As after a long time: nearly all were delivered, the oldest are stuck.
		for from := 0; from < rows; from += 50_000 {
			must(b, s.Do(ctx, fmt.Sprintf(`UPDATE pombo_delivery SET created_at = 1700000000000 + id * 10 WHERE id > %d AND id <= %d`, from, from+50_000)))
			must(b, s.Do(ctx, fmt.Sprintf(`UPDATE pombo_delivery SET state = 'delivered', ended_at = created_at WHERE id > %d AND id <= %d`, max(from, 20), from+50_000)))
		}
		must(b, s.Do(ctx, `UPDATE pombo_delivery SET state = 'dead', reason = 'rejected' WHERE id > 20 AND id <= 40`))
		must(b, s.Do(ctx, `UPDATE pombo_event SET name = 'CALL' WHERE id <= 30`))
		for name, q := range map[string]pombo.DeliveryQuery{
			"All":         {},
			"Pending":     {State: pombo.Pending},
			"Dead":        {State: pombo.Dead},
			"Delivered":   {State: pombo.Delivered},
			"RareEvent":   {Event: pombo.Call},
			"CommonEvent": {Event: pombo.MessagesUpsert},
			"Chat":        {Chat: "chat7"},
			"Old":         {To: time.UnixMilli(1700000000000 + 5000)},
			"Middle":      {Before: &pombo.DeliveryCursor{At: time.UnixMilli(1700000000000 + 5_000_000), ID: 500_000}},
		} {
			q.Instance, q.Limit = i.ID, 50
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					ds, err := s.Deliveries(ctx, q)
					must(b, err)
					if len(ds) == 0 {
						b.Fatal("none")
					}
				}
			})
		}
		b.Run("Health", func(b *testing.B) {
			for b.Loop() {
				_, err := s.Health(ctx, i.ID, true)
				must(b, err)
			}
		})
	})
}
