// Package storetest holds the conformance suite that a store.Store passes on
// every database, and a throwaway PostgreSQL server for tests. It owns no
// behaviour of the product.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"pombo"
	"pombo/internal/store"
)

// Exercise runs the conformance suite. fresh returns the URI of an empty
// database each time it is called; the suite opens it, and reopens it where
// that is the point.
func Exercise(t *testing.T, fresh func(t *testing.T) string) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b *bench)
	}{
		{"Append", testAppend},
		{"AppendSizes", testAppendSizes},
		{"AppendTwice", testAppendTwice},
		{"AppendInvalid", testAppendInvalid},
		{"AppendStrange", testAppendStrange},
		{"AppendCancelled", testAppendCancelled},
		{"AppendParallel", testAppendParallel},
		{"AppendFault", testAppendFault},
		{"AppendAnswerLost", testAppendAnswerLost},
		{"Paging", testPaging},
		{"Lanes", testLanes},
		{"Parked", testParked},
		{"HurryParked", testHurryParked},
		{"Settle", testSettle},
		{"SettleTwice", testSettleTwice},
		{"SettleTooLate", testSettleTooLate},
		{"SettleInvalid", testSettleInvalid},
		{"SettleFault", testSettleFault},
		{"SettleParallel", testSettleParallel},
		{"Webhook", testWebhook},
		{"WebhookDisable", testWebhookDisable},
		{"WebhookGone", testWebhookGone},
		{"WebhookInForce", testWebhookInForce},
		{"WebhookGlobal", testWebhookGlobal},
		{"WebhooksOfInstance", testWebhooksOfInstance},
		{"WebhookSecrets", testWebhookSecrets},
		{"WebhookFilter", testWebhookFilter},
		{"Deliveries", testDeliveries},
		{"Replay", testReplay},
		{"ReplayOrder", testReplayOrder},
		{"Health", testHealth},
		{"Retention", testRetention},
		{"Rows", testRows},
		{"RowsRemoved", testRowsRemoved},
		{"RowsInDoubt", testRowsInDoubt},
		{"MaxDisk", testMaxDisk},
		{"InstanceCreate", testInstanceCreate},
		{"InstanceUpdate", testInstanceUpdate},
		{"InstanceDelete", testInstanceDelete},
		{"InstanceAnswerLost", testInstanceAnswerLost},
		{"Sent", testSent},
		{"Polls", testPolls},
		{"History", testHistory},
		{"HistoryTold", testHistoryTold},
		{"HistoryGone", testHistoryGone},
		{"Media", testMedia},
		{"MediaForgotten", testMediaForgotten},
		{"MediaWanted", testMediaWanted},
		{"Closed", testClosed},
		{"OneProcess", testOneProcess},
		{"Devices", testDevices},
		{"DevicesBeside", testDevicesBeside},
		{"Sessions", testSessions((*store.Store).Devices)},
		{"SessionsOfSqlstore", testSessions((*store.Store).PlainDevices)},
		{"SessionsChangeHands", testSessionsChangeHands},
		{"SessionsStrange", testSessionsStrange},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, &bench{t: t, uri: fresh(t)})
		})
	}
}

// bench is a database under test and what it reported.
type bench struct {
	t      *testing.T
	uri    string
	global *pombo.Webhook
	fault  func(op string) error
	keep   store.Retention
	max    int64 // the database's limit in bytes
	*store.Store

	mu       sync.Mutex
	reported []pombo.Delivery
	inCall   bool
}

// open opens the database; it is closed at the end of the test, or by reopen.
func (b *bench) open() {
	b.t.Helper()
	s, err := store.Open(b.t.Context(), store.Options{
		URI: b.uri, Global: b.global, Fault: b.fault, OnAppend: b.onAppend, Logger: slog.New(slog.DiscardHandler),
		Keep: b.keep, MaxDisk: b.max,
		LockWait: time.Minute, // a server that is busy is late to see that a connection was closed
	})
	if err != nil {
		b.t.Fatalf("opening the database: %v", err)
	}
	b.Store = s
	b.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.t.Errorf("closing the database: %v", err)
		}
	})
}

// losesAnswers makes the database that is opened next lose the answers to as many
// commits as are stored in the returned number.
func (b *bench) losesAnswers() *atomic.Int32 {
	var lost atomic.Int32
	b.fault = func(op string) error {
		if op == "committed" && lost.Add(-1) >= 0 {
			return errors.New("connection reset")
		}
		return nil
	}
	return &lost
}

func (b *bench) reopen() {
	b.t.Helper()
	b.must(b.Close())
	b.open()
}

func (b *bench) onAppend(ds []pombo.Delivery) {
	b.mu.Lock()
	if b.inCall {
		b.t.Error("OnAppend was called while a call was going on")
	}
	b.inCall = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.inCall = false
		b.mu.Unlock()
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range ds {
		if n := len(b.reported); n > 0 && b.reported[n-1].ID >= d.ID {
			b.t.Errorf("OnAppend got delivery %d after %d", d.ID, b.reported[n-1].ID)
		}
		b.reported = append(b.reported, d)
	}
}

func (b *bench) report() []pombo.Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]pombo.Delivery(nil), b.reported...)
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// ctx is a context that ends before the test binary's own time limit, so that a
// deadlock shows where it is.
func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

// instance creates an instance with a webhook that wants names (all, if none).
func (b *bench) instance(name string, names ...pombo.EventName) (pombo.Instance, pombo.Webhook) {
	b.t.Helper()
	i := newInstance(name)
	w := pombo.Webhook{URL: "http://n8n:5678/" + name, Enabled: true, Events: names}
	b.must(b.CreateInstance(b.ctx(), i, &w))
	return i, w
}

func newInstance(name string) pombo.Instance {
	return pombo.Instance{ID: pombo.InstanceID(uuid.NewString()), Name: name, Token: "token of " + name}
}

var eventTime = time.Date(2024, 5, 17, 12, 30, 45, int(123*time.Millisecond), time.UTC)

// event makes the event number n of a chat.
func event(i pombo.Instance, chat string, n int) pombo.Event {
	return pombo.Event{
		Instance: i.ID, Name: pombo.MessagesUpsert, Key: fmt.Sprintf("%s/%d", chat, n), Chat: chat,
		Sender: "5511999990000@s.whatsapp.net", Time: eventTime.Add(time.Duration(n) * time.Second),
		Data: json.RawMessage(fmt.Sprintf(`{"chat": %q,  "n":%d}`, chat, n)),
	}
}

func events(i pombo.Instance, chat string, from, to int) []pombo.Event {
	var es []pombo.Event
	for n := from; n < to; n++ {
		es = append(es, event(i, chat, n))
	}
	return es
}

// pendingOf returns everything that is pending for a webhook.
func (b *bench) pendingOf(w pombo.Webhook) []pombo.Delivery {
	b.t.Helper()
	ds, err := b.Pending(b.ctx(), w.ID, 0, 100_000)
	b.must(err)
	return ds
}

func (b *bench) wantPending(w pombo.Webhook, keys ...string) []pombo.Delivery {
	b.t.Helper()
	ds := b.pendingOf(w)
	var got []string
	for _, d := range ds {
		got = append(got, d.Event.Key)
	}
	if !reflect.DeepEqual(got, keys) {
		b.t.Fatalf("pending for %s: %q, want %q", w.ID, got, keys)
	}
	return ds
}

// delivery reads one delivery, which must exist.
func (b *bench) delivery(id int64) pombo.Delivery {
	b.t.Helper()
	d, ok, err := b.Delivery(b.ctx(), id)
	b.must(err)
	if !ok {
		b.t.Fatalf("delivery %d does not exist", id)
	}
	return d
}

func (b *bench) wantState(id int64, state pombo.DeliveryState, reason pombo.DeadReason, attempts int) {
	b.t.Helper()
	d := b.delivery(id)
	if d.State != state || d.Reason != reason || d.Attempts != attempts {
		b.t.Fatalf("delivery %d is %s %q after %d attempts, want %s %q after %d", id, d.State, d.Reason, d.Attempts, state, reason, attempts)
	}
}

// barrier returns after everything that was settled before has been committed:
// settles ride in the next transaction.
func (b *bench) barrier() {
	b.t.Helper()
	b.must(b.PutSent(b.ctx(), pombo.SentMessage{Instance: "barrier", ID: "barrier"}))
}

func wantKind(t *testing.T, err error, kind pombo.Kind) {
	t.Helper()
	if err == nil || pombo.KindOf(err) != kind {
		t.Fatalf("error %v (kind %d), want kind %d", err, pombo.KindOf(err), kind)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}
