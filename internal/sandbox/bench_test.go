package sandbox_test

import (
	"context"
	"testing"

	"pombo/internal/sandbox"
)

// BenchmarkSend measures how many messages per second the sandbox encrypts and keeps for one companion that is
// offline.
func BenchmarkSend(b *testing.B) {
	for name, persistent := range map[string]bool{"memory": false, "database": true} {
		b.Run(name, func(b *testing.B) {
			o := sandbox.Options{}
			if persistent {
				o.DataDir = b.TempDir()
			}
			n := startNetwork(b, o)
			c := newClient(b, n)
			c.pair(n, bot)
			c.close()
			b.ReportAllocs()
			b.ResetTimer()
			const bulk = 1000
			for done := 0; done < b.N; done += bulk {
				_, err := n.SendMessage(context.Background(), sandbox.SendRequest{From: contact, To: bot, Text: "m", Count: min(bulk, b.N-done)})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
