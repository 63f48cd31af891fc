package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pombo"
	"pombo/internal/store"
	"pombo/internal/store/storetest"
)

// eachB runs a benchmark on both databases.
func eachB(b *testing.B, run func(b *testing.B, uri string)) {
	b.Run("SQLite", func(b *testing.B) { run(b, newFile(b)) })
	b.Run("Postgres", func(b *testing.B) { run(b, storetest.Postgres(b)) })
}

// BenchmarkFsync is what the disk allows one who commits alone; the other
// figures are to be read beside it.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	must(b, err)
	defer f.Close()
	page := make([]byte, 4096)
	for n := 0; b.Loop(); n++ {
		if _, err := f.WriteAt(page, int64(n%1000)*4096); err != nil {
			b.Fatal(err)
		}
		must(b, f.Sync())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fsync/s")
}

// One caller, one event at a time: a single instance.
func BenchmarkAppendSerial(b *testing.B) {
	eachB(b, func(b *testing.B, uri string) {
		s := open(b, store.Options{URI: uri})
		i, _ := hooked(b, s, "i")
		for n := 0; b.Loop(); n++ {
			must(b, s.Append(context.Background(), event(i, fmt.Sprint(n))))
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

// 200 callers at once: many instances.
func BenchmarkAppendParallel200(b *testing.B) {
	eachB(b, func(b *testing.B, uri string) {
		s := open(b, store.Options{URI: uri})
		i, _ := hooked(b, s, "i")
		var n atomic.Int64
		var wg sync.WaitGroup
		b.ResetTimer()
		for range 200 {
			wg.Go(func() {
				for k := n.Add(1); k <= int64(b.N); k = n.Add(1) {
					if err := s.Append(context.Background(), event(i, fmt.Sprint(k))); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

// One caller appends, and each delivery is settled as soon as it is reported.
func BenchmarkAppendSettle(b *testing.B) {
	eachB(b, func(b *testing.B, uri string) {
		reported := make(chan int64, 1<<16)
		s := open(b, store.Options{URI: uri, OnAppend: func(ds []pombo.Delivery) {
			for _, d := range ds {
				reported <- d.ID
			}
		}})
		i, _ := hooked(b, s, "i")
		var wg sync.WaitGroup
		wg.Go(func() {
			for id := range reported {
				a := pombo.Attempt{Delivery: id, Number: 1, At: time.Now(), Duration: time.Millisecond, Address: "127.0.0.1:80", Status: 200, State: pombo.Delivered, Response: []byte("ok")}
				if err := s.Settle(context.Background(), a); err != nil {
					b.Error(err)
				}
			}
		})
		for n := 0; b.Loop(); n++ {
			must(b, s.Append(context.Background(), event(i, fmt.Sprint(n))))
		}
		close(reported)
		wg.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

// A page of 100 out of a million that are pending, anywhere.
func BenchmarkPendingOfMillion(b *testing.B) {
	if testing.Short() {
		b.Skip("skipped: a million rows take a while to make")
	}
	eachB(b, func(b *testing.B, uri string) {
		const rows = 1_000_000
		s := open(b, store.Options{URI: uri})
		i, w := hooked(b, s, "i")
		fillPending(b, s, i, w, rows)
		b.Run("Pending", func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				ds, err := s.Pending(context.Background(), w.ID, int64(n)*7919%(rows-100), 100)
				must(b, err)
				if len(ds) != 100 {
					b.Fatalf("%d deliveries", len(ds))
				}
			}
		})
		b.Run("InLane", func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				lane := pombo.Lane{Instance: i.ID, Chat: fmt.Sprintf("chat%d", n%1000)}
				ds, err := s.PendingInLane(context.Background(), w.ID, lane, int64(n)*7919%(rows/2), 100)
				must(b, err)
				if len(ds) != 100 {
					b.Fatalf("%d deliveries", len(ds))
				}
			}
		})
		b.Run("Append", func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				must(b, s.Append(context.Background(), event(i, fmt.Sprintf("%s %d", b.Name(), time.Now().UnixNano()))))
			}
		})
		start := time.Now()
		w.Enabled = false
		_, err := s.PutWebhook(context.Background(), w)
		must(b, err)
		b.Logf("switching off a webhook with a million pending deliveries: %v", time.Since(start))
	})
}

// lite tells whether the database is SQLite.
func lite(s *store.Store) bool { return s.Form("$1") == "?1" }

// fillPending makes rows pending deliveries in 1,000 chats.
func fillPending(t testing.TB, s *store.Store, i pombo.Instance, w pombo.Webhook, rows int) {
	t.Helper()
	data := `CAST('{"n":1}' AS bytea)`
	if lite(s) {
		data = `CAST('{"n":1}' AS BLOB)`
	}
	ctx := context.Background()
	var base int
	must(t, s.Reads().QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM pombo_event`).Scan(&base))
	const step = 50_000
	for from := 0; from < rows; from += step {
		numbers := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)`, from+1, min(from+step, rows))
		must(t, s.Do(ctx, `INSERT INTO pombo_event (id, occurrence, instance_id, name, key, chat, chat_digest, sender, time, data, created_at) `+numbers+
			` SELECT i + `+strconv.Itoa(base)+`, i, '`+string(i.ID)+`', 'MESSAGES_UPSERT', 'fill' || i, 'chat' || (i % 1000), `+s.DigestSQL("'"+string(i.ID)+"'", "'chat' || (i % 1000)")+`, '', 0, `+data+`, 0 FROM n`))
		must(t, s.Do(ctx,
			`INSERT INTO pombo_delivery (id, event_id, webhook_id, instance_id, chat, created_at) SELECT id, id, '`+w.ID+`', instance_id, chat, 0 FROM pombo_event
			WHERE id > (SELECT COALESCE(MAX(event_id), 0) FROM pombo_delivery) ORDER BY id`))
	}
}
