package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"

	"pombo"
	"pombo/internal/sandbox"
)

// secretMessage makes whatsmeow use as many of its stores as a message can.
const secretMessage = `{"conversation":"%s","messageContextInfo":{"messageSecret":"AAECAwQFBgcICQoLDA0ODw=="}}`

// onTheWay are the calls that a message from a new contact and an answer to it
// make. TestFaultsInStores fails if one of them was never broken.
var onTheWay = []string{
	"GetBufferedEvent", "DoDecryptionTxn", "PutBufferedEvent", "ClearBufferedEventPlaintext",
	"GetSession", "HasSession", "PutSession", "GetPreKey", "RemovePreKey", "IsTrustedIdentity", "PutIdentity",
	"GetLIDForPN", "PutLIDMapping", "MigratePNToLID", "PutPushName", "PutMessageSecret",
	"GetManySessions", "PutManySessions", "GetManyLIDsForPNs", "PutManyLIDMappings",
}

// Each call that a message makes fails: at once, after it was carried out, for so long
// that the connection is given up, or is slow. Whatever fails, each message
// becomes one event, is confirmed only then, and never has to be asked for again.
func TestFaultsInStores(t *testing.T) {
	f := &faulty{}
	w := newWorld(t, func(w *world) {
		w.options.WrapStores = f.over
		w.timing.patience = 30 * time.Millisecond
	})
	w.pair()
	broken := &sync.Map{}
	round := 0
	for _, op := range onTheWay {
		for kind, fault := range faultKinds(op, broken) {
			round++
			f.set(fault.before, fault.after)
			w.exchange(round, op+" "+kind)
		}
	}
	f.set(nil, nil)
	for _, op := range onTheWay {
		if _, ok := broken.Load(op); !ok {
			t.Errorf("%s was never called, so never broken", op)
		}
	}
	w.noViolations()
}

type fault struct{ before, after func(op string) error }

// faultKinds are the ways in which op goes wrong; what was really broken is noted.
func faultKinds(op string, broken *sync.Map) map[string]fault {
	times := func(n int32) func(string) error {
		var count atomic.Int32
		return func(called string) error {
			if called != op || count.Add(1) > n {
				return nil
			}
			broken.Store(op, true)
			return fmt.Errorf("%s: %w", op, errBroken)
		}
	}
	var since atomic.Int64
	return map[string]fault{
		"fails": {before: times(2)},
		"loses": {after: times(1)}, // carried out, but the answer is lost
		"stays down": {before: func(called string) error {
			if called != op {
				return nil
			}
			now := time.Now().UnixNano()
			since.CompareAndSwap(0, now)
			if now-since.Load() > int64(60*time.Millisecond) {
				return nil
			}
			return errBroken
		}},
		"is slow": {before: func(called string) error {
			if called == op {
				time.Sleep(2 * time.Millisecond) //nolint:forbidigo // being slow is the fault
			}
			return nil
		}},
	}
}

// exchange lets a new contact write twice and answers, and checks that all of it
// arrives.
func (w *world) exchange(round int, what string) {
	w.t.Helper()
	contact, stranger := fmt.Sprintf("55119%08d", round), fmt.Sprintf("55118%08d", round)
	if _, err := w.box.AddContact(w.ctx(), sandbox.ContactRequest{Number: stranger}); err != nil {
		w.t.Fatal(err)
	}
	write := func(text string) {
		r, err := w.box.SendMessage(w.ctx(), sandbox.SendRequest{
			From: contact, To: account1, PushName: "Novo", Message: []byte(fmt.Sprintf(secretMessage, text)),
		})
		if err != nil {
			w.t.Fatal(err)
		}
		if e := w.event(pombo.MessagesUpsert, r.ID); !strings.Contains(string(e.Data), text) {
			w.t.Errorf("%s: the event is %s", what, e.Data)
		}
		w.eventually(what+": the message is confirmed", func() bool { return w.confirmed()[r.ID] })
	}
	write(what + " 1")
	write(what + " 2")
	for _, to := range []string{contact, stranger} {
		w.eventually(what+": an answer goes out", func() bool {
			_, err := w.session.SendText(w.ctx(), pombo.Text{Number: to, Text: what})
			return err == nil
		})
		got, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: to})
		if err != nil || len(got) == 0 || got[len(got)-1].Text != what {
			w.t.Errorf("%s: %s has %+v, %v", what, to, got, err)
		}
	}
	write(what + " 3") // now with a session that both sides know
	mine, err := w.box.Messages(w.ctx(), sandbox.MessagesRequest{Number: account1})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range mine {
		if m.Retries > 0 {
			w.t.Fatalf("%s: message %q was asked for again", what, m.Text)
		}
	}
}

func (w *world) noViolations() {
	w.t.Helper()
	list, err := w.box.Violations(w.ctx())
	if err != nil || len(list) > 0 {
		w.t.Errorf("rules were broken: %+v, %v", list, err)
	}
}

// Every call of every store is guarded: when it keeps failing, the line is over
// and the error is the one that whatsmeow neither confirms nor asks again for.
func TestEveryCallIsGuarded(t *testing.T) {
	methods := reflect.TypeFor[store.AllStores]()
	pn, lid := types.NewJID("1", types.DefaultUserServer), types.NewJID("1", types.HiddenUserServer)
	w := newWorld(t, func(w *world) { w.timing.patience = time.Millisecond })
	for i := range methods.NumMethod() {
		m := methods.Method(i)
		if slices.Contains(heldCalls, m.Name) {
			continue // see TestHeldState
		}
		t.Run(m.Name, func(t *testing.T) {
			f := &faulty{}
			f.set(func(string) error { return errBroken }, nil)
			l := w.session.newLine(w.devices.NewDevice())
			defer l.close()
			var g store.AllStores = &guard{l: l, in: f.over(nil)}
			args := []reflect.Value{}
			for p := range m.Type.NumIn() {
				switch in := m.Type.In(p); {
				case p == 0 && m.Name == "GetAppStateVersion": // gets through only when the line asks
					args = append(args, reflect.ValueOf(context.WithValue(context.Background(), heldKey{}, &heldState{})))
				case p == 0:
					args = append(args, reflect.ValueOf(context.Background()))
				case in == reflect.TypeOf(pn) && (m.Name == "GetPNForLID" || m.Name == "PutLIDMapping" && p == 1):
					args = append(args, reflect.ValueOf(lid))
				case in == reflect.TypeOf(pn):
					args = append(args, reflect.ValueOf(pn))
				case m.Type.IsVariadic() && p == m.Type.NumIn()-1:
				default:
					args = append(args, reflect.Zero(in))
				}
			}
			out := reflect.ValueOf(g).MethodByName(m.Name).Call(args)
			err, _ := out[len(out)-1].Interface().(error)
			if !errors.Is(err, context.Canceled) || l.why() == nil {
				t.Errorf("got %v; the line's end: %v", err, l.why())
			}
			if f.seen()[m.Name] == 0 {
				t.Errorf("the store's %s was not called", m.Name)
			}
		})
	}
	if methods.NumMethod() < 50 {
		t.Errorf("only %d methods", methods.NumMethod())
	}
}

// testLine returns a line whose stores may fail for so long.
func testLine(t *testing.T, in store.AllStores, patience time.Duration) (*line, *guard) {
	t.Helper()
	w := newWorld(t, func(w *world) { w.timing.patience = patience })
	l := w.session.newLine(w.devices.NewDevice())
	t.Cleanup(l.close)
	return l, &guard{l: l, in: in}
}

// memory is a buffer whose transactions can fail in each way.
type memory struct {
	store.AllStores
	commit  []error // of one transaction after the other
	kept    map[[32]byte]bool
	pending [][32]byte
	txns    int
}

func (m *memory) DoDecryptionTxn(ctx context.Context, fn func(context.Context) error) error {
	m.txns++
	m.pending = nil
	if err := fn(ctx); err != nil {
		return err
	}
	var err error
	if len(m.commit) > 0 {
		err, m.commit = m.commit[0], m.commit[1:]
	}
	if err == nil || errors.Is(err, errLostAnswer) {
		for _, h := range m.pending {
			m.kept[h] = true
		}
	}
	return err
}

var errLostAnswer = errors.New("committed, but the answer was lost")

func (m *memory) PutBufferedEvent(_ context.Context, hash [32]byte, _ []byte, _ time.Time) error {
	m.pending = append(m.pending, hash)
	return nil
}

func (m *memory) GetBufferedEvent(_ context.Context, hash [32]byte) (*store.BufferedEvent, error) {
	if m.kept[hash] {
		return &store.BufferedEvent{}, nil
	}
	return nil, nil
}

func TestDecryptionTxn(t *testing.T) {
	errCipher := errors.New("old counter")
	for name, c := range map[string]struct {
		commit []error
		fn     func(run int, ctx context.Context, g *guard) error
		want   error
		runs   int
	}{
		"success":                                {nil, func(int, context.Context, *guard) error { return nil }, nil, 1},
		"an error of the cipher is not repeated": {nil, func(int, context.Context, *guard) error { return errCipher }, errCipher, 1},
		"a failed commit is":                     {[]error{errBroken, errBroken}, func(int, context.Context, *guard) error { return nil }, nil, 3},
		"a failed store is, even if its error is hidden": {nil, func(run int, ctx context.Context, g *guard) error {
			if run == 1 {
				_ = g.do(ctx, "PutSession", func(context.Context) error { return errBroken })
			}
			return nil
		}, nil, 2},
		"a failed store is, even if its error is disguised": {nil, func(run int, ctx context.Context, g *guard) error {
			if run == 1 && g.do(ctx, "PutSession", func(context.Context) error { return errBroken }) != nil {
				return errCipher
			}
			return nil
		}, nil, 2},
		"a commit whose answer was lost is not": {[]error{errLostAnswer}, func(run int, ctx context.Context, g *guard) error {
			if run > 1 {
				return errCipher // the key is used up
			}
			return g.PutBufferedEvent(ctx, [32]byte{1}, nil, time.Time{})
		}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := &memory{commit: c.commit, kept: map[[32]byte]bool{}}
			l, g := testLine(t, m, time.Hour)
			runs := 0
			err := g.DoDecryptionTxn(l.ctx, func(ctx context.Context) error {
				runs++
				return c.fn(runs, ctx, g)
			})
			if !errors.Is(err, c.want) || runs != c.runs {
				t.Errorf("got %v after %d runs, want %v after %d", err, runs, c.want, c.runs)
			}
			if l.why() != nil {
				t.Errorf("the line is over: %v", l.why())
			}
		})
	}
}

func TestDecryptionTxnGivesUp(t *testing.T) {
	m := &memory{kept: map[[32]byte]bool{}}
	l, g := testLine(t, m, 50*time.Millisecond)
	err := g.DoDecryptionTxn(l.ctx, func(ctx context.Context) error {
		return g.do(ctx, "PutSession", func(context.Context) error { return errBroken })
	})
	if !errors.Is(err, context.Canceled) || l.why() == nil || m.txns < 2 {
		t.Errorf("got %v after %d transactions; the line's end: %v", err, m.txns, l.why())
	}
}

func TestPanicInDecryptionIsAnError(t *testing.T) {
	l, g := testLine(t, &memory{kept: map[[32]byte]bool{}}, time.Hour)
	err := g.DoDecryptionTxn(l.ctx, func(context.Context) error { panic("libsignal") })
	if err == nil || !strings.Contains(err.Error(), "libsignal") || errors.Is(err, context.Canceled) || l.why() != nil {
		t.Errorf("got %v; the line's end: %v", err, l.why())
	}
}

// What is no failure passes, and what trying again cannot change is told as it
// is; neither ends the line.
func TestGuardPasses(t *testing.T) {
	l, g := testLine(t, nil, time.Hour)
	for name, err := range map[string]error{
		"nil": nil, "wrong length": sqlstore.ErrInvalidLength, "constraint of SQLite": sqliteError(19 | 8<<8),
		"constraint of PostgreSQL": stateError("23505"),
	} {
		calls := 0
		got := g.do(context.Background(), "x", func(context.Context) error { calls++; return err })
		if !errors.Is(got, err) || calls != 1 {
			t.Errorf("%s: got %v after %d calls", name, got, calls)
		}
	}
	for _, err := range []error{sqliteError(5), sqliteError(13), stateError("40001"), context.Canceled} {
		calls := 0
		got := g.do(context.Background(), "x", func(context.Context) error {
			if calls++; calls < 3 {
				return err
			}
			return nil
		})
		if got != nil || calls != 3 {
			t.Errorf("%v: got %v after %d calls", err, got, calls)
		}
	}
	if _, err := g.GetLIDForPN(context.Background(), types.NewJID("1", types.GroupServer)); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// A caller that goes away is no failure of the store.
	ctx, cancel := context.WithCancel(context.Background())
	if err := g.do(ctx, "x", func(context.Context) error { cancel(); return errBroken }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if l.why() != nil {
		t.Errorf("the line is over: %v", l.why())
	}
}

type sqliteError int

func (e sqliteError) Error() string { return fmt.Sprintf("sqlite %d", int(e)) }
func (e sqliteError) Code() int     { return int(e) }

type stateError string

func (e stateError) Error() string    { return string(e) }
func (e stateError) SQLState() string { return string(e) }

func TestTrouble(t *testing.T) {
	tr := trouble{patience: time.Minute}
	now := time.Unix(1e9, 0)
	at := func(s int) bool { return tr.exhausted(now.Add(time.Duration(s) * time.Second)) }
	for s := 0; s < 60; s += 5 { // failures that go on count from the first
		if at(s) {
			t.Errorf("patience ended after %d s", s)
		}
	}
	if !at(60) {
		t.Error("patience did not end")
	}
	tr = trouble{patience: time.Minute}
	at(0)
	if at(100) {
		t.Error("a failure long after the last one counted as the same trouble")
	}
	at(105)
	tr.passed()
	if at(161) {
		t.Error("a committed event did not end the trouble")
	}
}
