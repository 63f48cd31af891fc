package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
)

// A disk that is full, while messages come and texts are sent: nothing that is
// not stored is confirmed, the gateway stays up and says what is wrong, and when
// there is room again everything is told, without a restart.
func TestDiskFull(t *testing.T) {
	disk := pombotest.NewDisk(t, 48<<20)
	network := pombotest.NewSandbox(t)
	receiver := pombotest.NewReceiver(t)
	gateway := pombotest.StartGateway(t, network, app.Faults{
		Patience: time.Second, MaxBackoff: 100 * time.Millisecond,
	}, "POMBO_DATA_DIR="+disk.Path)
	pombotest.Pair(t, gateway.Client, network.Server, "full", phone, receiver.URL)
	traffic := pombotest.NewTraffic(network, "full", phone, 4)
	ledger := pombotest.NewLedger(traffic, receiver)
	for range 2 {
		traffic.Write(t, 5)
		traffic.Answer(t, gateway.Client, 0)
		ledger.Await(t)
		disk.Fill()
		stop := traffic.Answering(t, gateway.Client, 50*time.Millisecond)
		pombotest.Eventually(t, time.Minute, "the disk to be full", func() bool {
			// There may be some room left in files that are there.
			traffic.Write(t, 10)
			status, body := gateway.Do("GET", "/health", nil)
			return status == 503 && strings.Contains(string(body), `"message":["`)
		})
		// The file of the write-ahead log keeps its length, so that there may be room in it
		// for some more.
		pombotest.Eventually(t, 2*time.Minute, "messages to wait for room", func() bool {
			traffic.Write(t, 10)
			<-time.After(2 * time.Second) // longer than a connection's patience
			ledger.CheckConfirmed(t)
			return ledger.Told() < traffic.Sent()
		})
		checkFull(t, gateway)
		disk.Free()
		stop()
		ledger.Await(t)
		pombotest.WaitState(t, gateway.Client, "full", "open")
	}
	ledger.Check(t)
	pombotest.Eventually(t, patience, "the gateway to be well", func() bool {
		status, _ := gateway.Do("GET", "/health", nil)
		return status == 200
	})
	gateway.Stop() // a clean end, and a start on what is there
	gateway.Start()
	pombotest.WaitState(t, gateway.Client, "full", "open")
	traffic.Write(t, 1)
	ledger.Check(t)
}

// checkFull checks what a gateway says whose disk is full. A small change may find
// room in a file that is there, so large ones are made until one is refused.
func checkFull(t *testing.T, gateway *pombotest.Gateway) {
	t.Helper()
	gateway.Must("GET", "/instance/fetchInstances", nil, nil)
	gateway.Must("GET", "/webhook/find/full", nil, nil)
	for n := 0; ; n++ {
		status, body := gateway.Do("POST", "/instance/create", map[string]any{
			"instanceName": fmt.Sprint("another ", n),
			"webhook":      map[string]any{"url": "http://127.0.0.1:1/" + strings.Repeat("x", 8000)},
		})
		if status == 503 && strings.Contains(string(body), `"message":["`) {
			return
		}
		if status != 201 || n == 1000 {
			t.Fatalf("the %d. instance on a full disk is answered with %d %s", n+1, status, body)
		}
	}
}
