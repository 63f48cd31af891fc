package store_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pombo"
	"pombo/internal/store"
)

func cpuNow() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func wrote() int64 {
	b, _ := os.ReadFile("/proc/self/io")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, "wchar: ") {
			n, _ := strconv.ParseInt(l[7:], 10, 64)
			return n
		}
	}
	return 0
}

func BenchmarkZ(b *testing.B) {
	for _, c := range []struct{ instances, batch, events int }{{1, 470, 23500}, {1000, 20, 10000}, {1, 20, 10000}} {
		b.Run(fmt.Sprintf("%d-%d", c.instances, c.batch), func(b *testing.B) {
			for b.Loop() {
				var ids []int64
				s := open(b, store.Options{URI: newFile(b), OnAppend: func(ds []pombo.Delivery) {
					for _, d := range ds {
						ids = append(ids, d.ID)
					}
				}})
				var is []pombo.Instance
				for k := range c.instances {
					i, _ := hooked(b, s, fmt.Sprint("i", k))
					is = append(is, i)
				}
				data := []byte(`{"x":"` + strings.Repeat("abcdefg ", 120) + `"}`)
				began, w := cpuNow(), wrote()
				n := 0
				for n < c.events {
					var es []pombo.Event
					for range c.batch {
						chat := fmt.Sprintf("5511%09d@s.whatsapp.net", n*7919%1000)
						i := is[n*7919%len(is)]
						es = append(es, pombo.Event{Instance: i.ID, Name: pombo.MessagesUpsert, Key: chat + fmt.Sprintf(" 3EB0%016X", uint64(n)*0x9E3779B97F4A7C15), Chat: chat, Sender: chat, Time: time.Now(), Data: data})
						n++
					}
					for _, id := range ids {
						a := pombo.Attempt{Delivery: id, Number: 1, At: time.Now(), Duration: time.Millisecond, Address: "127.0.0.1:8080", Status: 200, State: pombo.Delivered, Response: []byte("ok")}
						if err := s.Settle(context.Background(), a); err != nil {
							b.Fatal(err)
						}
					}
					ids = ids[:0]
					must(b, s.Append(context.Background(), es...))
				}
				b.ReportMetric(float64((cpuNow()-began).Nanoseconds())/1e3/float64(n), "µs/event")
				b.ReportMetric(float64(wrote()-w)/1e3/float64(n), "KB/event")
			}
		})
	}
}
