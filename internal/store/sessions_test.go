package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waE2E"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"pombo"
	"pombo/internal/store"
	"pombo/internal/store/session"
)

var deviceJID = types.NewADJID("5511999900001", 0, 1)

// phone is a device whose messages are decrypted.
type phone struct {
	t *testing.T
	s *store.Store
	*session.Device
}

func newPhone(t *testing.T, s *store.Store) phone {
	t.Helper()
	d := s.Devices().NewDevice()
	d.ID = &deviceJID
	d.LID = types.JID{User: "1001", Device: 1, Server: types.HiddenUserServer}
	d.Account = &waAdv.ADVSignedDeviceIdentity{
		Details: []byte{1}, AccountSignature: make([]byte, 64), AccountSignatureKey: make([]byte, 32), DeviceSignature: make([]byte, 64),
	}
	must(t, d.Save(within(t)))
	return phone{t, s, d.Sessions.(*session.Device)}
}

// again is what the next connection sees.
func (p phone) again() phone {
	p.t.Helper()
	d, err := p.s.Devices().GetDevice(within(p.t), deviceJID)
	must(p.t, err)
	return phone{p.t, p.s, d.Sessions.(*session.Device)}
}

// padded is the plaintext of a message as it is encrypted.
func padded(t *testing.T, m *waE2E.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	must(t, err)
	return append(b, 3, 3, 3)
}

func text(t *testing.T) []byte { return padded(t, &waE2E.Message{Conversation: proto.String("oi")}) }

// decrypt turns the ratchet of the session at an address.
func (p phone) decrypt(address, turned string, plaintext []byte, more ...func(ctx context.Context)) error {
	return p.DoDecryptionTxn(within(p.t), func(ctx context.Context) error {
		if err := p.PutSession(ctx, address, []byte(turned)); err != nil {
			return err
		}
		if got, err := p.GetSession(ctx, address); err != nil || string(got) != turned {
			p.t.Errorf("session in its own decryption: %q, %v", got, err)
		}
		for _, f := range more {
			f(ctx)
		}
		return p.PutBufferedEvent(ctx, [32]byte{9}, plaintext, time.Unix(1e9, 0))
	})
}

// commit commits the open unit with events.
func (p phone) commit(events ...pombo.Event) error {
	p.End(true, events...)
	return p.Flush(within(p.t))
}

func (p phone) wantSession(address, want string) {
	p.t.Helper()
	if got, err := p.GetSession(within(p.t), address); err != nil || string(got) != want {
		p.t.Errorf("session %s is %q, %v, want %q", address, got, err, want)
	}
}

// What a decryption changes is nowhere until it is committed with the event, and
// then it is everywhere.
func TestUnit(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		i, hook := hooked(t, s, "i")
		p := newPhone(t, s)
		made, err := p.GetOrGenPreKeys(within(t), 1)
		must(t, err)
		must(t, p.PutSession(within(t), "1_1:0", []byte("0")))
		must(t, p.PutIdentity(within(t), "2_1:0", [32]byte{1}))
		must(t, p.decrypt("1_1:0", "1", text(t), func(ctx context.Context) {
			must(t, p.RemovePreKey(ctx, made[0].KeyID))
			must(t, p.PutIdentity(ctx, "1_1:0", [32]byte{1}))
			must(t, p.DeleteIdentity(ctx, "2_1:0"))
			must(t, p.DeleteSession(ctx, "2_1:0"))
			if k, err := p.GetPreKey(ctx, made[0].KeyID); err != nil || k != nil {
				t.Errorf("a used prekey can be used again: %v", err)
			}
		}))
		must(t, p.PutSenderKey(within(t), "g@g.us", "1_1:0", []byte("sender key")))
		if !p.Open() {
			t.Fatal("no unit is open")
		}
		if e, err := p.GetBufferedEvent(within(t), [32]byte{9}); err != nil || e != nil {
			t.Errorf("the plaintext was kept: %v, %v", e, err)
		}
		p.wantSession("1_1:0", "0") // who encrypts must not see it
		p.again().wantSession("1_1:0", "0")
		// What is written through meanwhile leaves it alone.
		must(t, p.PutSession(within(t), "3_1:0", []byte("3")))
		must(t, p.PutManySessions(p.Sending(within(t)), map[string][]byte{"4_1:0": []byte("4")}))
		p.again().wantSession("1_1:0", "0")

		must(t, p.commit(event(i, "a")))
		for _, q := range []phone{p, p.again()} {
			q.wantSession("1_1:0", "1")
			q.wantSession("3_1:0", "3")
			q.wantSession("4_1:0", "4")
			if key, err := q.GetSenderKey(within(t), "g@g.us", "1_1:0"); err != nil || string(key) != "sender key" {
				t.Errorf("sender key %q, %v", key, err)
			}
			if k, err := q.GetPreKey(within(t), made[0].KeyID); err != nil || k != nil {
				t.Errorf("the used prekey is there: %v", err)
			}
			if ok, err := q.IsTrustedIdentity(within(t), "2_1:0", [32]byte{2}); err != nil || !ok {
				t.Errorf("the deleted identity is there: %v", err)
			}
			if ok, err := q.IsTrustedIdentity(within(t), "1_1:0", [32]byte{2}); err != nil || ok {
				t.Errorf("the identity is not there: %v", err)
			}
		}
		if p.Open() {
			t.Error("the unit is still open")
		}
		if ds, err := s.Pending(within(t), hook.ID, 0, 10); err != nil || len(ds) != 1 {
			t.Errorf("%d deliveries, %v", len(ds), err)
		}
	})
}

// A unit that is dropped, and a decryption that fails, never were; one that is
// kept goes with the next commit.
func TestUnitEnds(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		p := newPhone(t, open(t, store.Options{URI: uri}))
		must(t, p.PutSession(within(t), "1_1:0", []byte("0")))
		broken := errors.New("cannot be read")
		err := p.DoDecryptionTxn(within(t), func(ctx context.Context) error {
			must(t, p.PutSession(ctx, "1_1:0", []byte("broken")))
			return broken
		})
		if !errors.Is(err, broken) || p.Open() {
			t.Errorf("a failed decryption: %v, open %t", err, p.Open())
		}
		must(t, p.decrypt("1_1:0", "dropped", text(t)))
		p.End(false)
		must(t, p.Flush(within(t)))
		p.wantSession("1_1:0", "0")
		p.again().wantSession("1_1:0", "0")

		must(t, p.decrypt("1_1:0", "kept", text(t)))
		p.End(true)
		p.wantSession("1_1:0", "kept")
		p.again().wantSession("1_1:0", "0")
		must(t, p.PutSession(within(t), "2_1:0", []byte("2")))
		p.again().wantSession("1_1:0", "kept")
	})
}

// Event and ratchet are committed together or not at all, also when nobody knows
// whether they were.
func TestUnitFails(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		var at atomic.Value
		at.Store("")
		s := open(t, store.Options{URI: uri, Fault: func(op string) error {
			if op == at.Load() {
				at.Store("")
				return errors.New("fails at " + op)
			}
			return nil
		}})
		i, hook := hooked(t, s, "i")
		p := newPhone(t, s)
		must(t, p.PutSession(within(t), "1_1:0", []byte("0")))
		before := "0"
		for n, op := range []string{"append", "written", "committed"} {
			turned := fmt.Sprint(n + 1)
			must(t, p.decrypt("1_1:0", turned, text(t)))
			at.Store(op)
			if err := p.commit(event(i, turned)); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("failing at %s: %v", op, err)
			}
			ds, err := s.Pending(within(t), hook.ID, 0, 10)
			must(t, err)
			if op == "committed" { // only the answer was lost
				p.again().wantSession("1_1:0", turned)
			} else {
				p.again().wantSession("1_1:0", before)
			}
			if want := n + len(op)/len("committed"); len(ds) != want {
				t.Errorf("after failing at %s there are %d deliveries, want %d", op, len(ds), want)
			}
			must(t, p.commit(event(i, turned)))
			p.again().wantSession("1_1:0", turned)
			p.wantSession("1_1:0", turned)
			before = turned
		}
		if ds, err := s.Pending(within(t), hook.ID, 0, 10); err != nil || len(ds) != 3 {
			t.Errorf("%d deliveries, %v", len(ds), err)
		}
	})
}

// Messages of which it is not certain that one event follows are committed with
// their plaintext, which is found when they come again.
func TestUnitApart(t *testing.T) {
	answer := &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		PeerDataOperationRequestResponseMessage: &waE2E.PeerDataOperationRequestResponseMessage{},
	}}
	for name, plaintext := range map[string][]byte{
		"empty": {}, "bad padding": {1, 2, 9}, "no protobuf": {0xff, 0xff, 1}, "answer of the phone": padded(t, answer),
		"answer sent to ourselves": padded(t, &waE2E.Message{DeviceSentMessage: &waE2E.DeviceSentMessage{Message: answer}}),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPhone(t, open(t, store.Options{URI: newFile(t)}))
			must(t, p.decrypt("1_1:0", "1", plaintext))
			if p.Open() {
				t.Error("a unit is open")
			}
			for _, q := range []phone{p, p.again()} {
				q.wantSession("1_1:0", "1")
				e, err := q.GetBufferedEvent(within(t), [32]byte{9})
				must(t, err)
				if e == nil || string(e.Plaintext) != string(plaintext) {
					t.Errorf("the plaintext is %+v, want %x", e, plaintext)
				}
			}
			must(t, p.ClearBufferedEventPlaintext(within(t), [32]byte{9}))
			for _, q := range []phone{p, p.again()} {
				if e, err := q.GetBufferedEvent(within(t), [32]byte{9}); err != nil || e != nil {
					t.Errorf("the plaintext stays: %+v, %v", e, err)
				}
			}
		})
	}
}

// What rides is seen at once and committed with whatever comes next.
func TestRiders(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		i, _ := hooked(t, s, "i")
		p := newPhone(t, s)
		pn, lid := types.NewJID("701", types.DefaultUserServer), types.NewJID("801", types.HiddenUserServer)
		check := func(p phone, there bool) {
			t.Helper()
			got, err := p.GetLIDForPN(within(t), pn)
			must(t, err)
			number, err := p.GetPNForLID(within(t), lid)
			must(t, err)
			secret, _, err := p.GetMessageSecret(within(t), lid, lid, "A")
			must(t, err)
			if (got == lid) != there || (number == pn) != there || (string(secret) == "secret") != there {
				t.Errorf("there: %t; LID %s, number %s, secret %q", there, got, number, secret)
			}
		}
		check(p, false)
		must(t, p.PutLIDMapping(within(t), lid, pn))
		must(t, p.PutMessageSecret(within(t), pn, pn, "A", []byte("secret")))
		must(t, p.PutIdentity(p.Sending(within(t)), "1_1:0", [32]byte{1}))
		check(p, true)
		check(p.again(), false)
		must(t, p.commit(event(i, "a")))
		check(p, true)
		check(p.again(), true)
		if ok, err := p.again().IsTrustedIdentity(within(t), "1_1:0", [32]byte{2}); err != nil || ok {
			t.Errorf("the identity was not committed: %v", err)
		}
	})
}

// Sessions that move to a LID are those that wait for their commit too; that they
// have moved is noted when it is so.
func TestMigrationFails(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		var failing atomic.Bool
		s := open(t, store.Options{URI: uri, Fault: func(op string) error {
			if failing.Load() && op == "sessions" {
				return errors.New("broken")
			}
			return nil
		}})
		p := newPhone(t, s)
		pn, lid := types.NewJID("101", types.DefaultUserServer), types.NewJID("201", types.HiddenUserServer)
		must(t, p.PutSession(within(t), "101:0", []byte("old")))
		must(t, p.decrypt("101:0", "new", text(t)))
		p.End(true)
		failing.Store(true)
		if err := p.MigratePNToLID(within(t), pn, lid); err == nil || p.Migrated(pn) {
			t.Errorf("a move that failed: %v, noted %t", err, p.Migrated(pn))
		}
		p.wantSession("101:0", "new")
		failing.Store(false)
		must(t, p.MigratePNToLID(within(t), pn, lid))
		for _, q := range []phone{p, p.again()} {
			q.wantSession("101:0", "")
			q.wantSession("201_1:0", "new")
		}
		if !p.Migrated(pn) {
			t.Error("it is not noted")
		}
		must(t, p.PutSession(within(t), "101:0", []byte("another")))
		must(t, p.MigratePNToLID(within(t), pn, lid))
		p.again().wantSession("201_1:0", "another")
	})
}

// However little fits into the cache, and whoever reads and writes beside: what is
// read is what was committed last.
func TestCacheIsTrue(t *testing.T) {
	for _, size := range []int64{1, 3_000, 0} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := open(t, store.Options{URI: newFile(t), SessionCache: size})
			p := newPhone(t, s)
			const addresses, rounds = 20, 15
			var latest [addresses]atomic.Int64
			var wg, reading sync.WaitGroup
			done := make(chan struct{})
			for range 4 {
				reading.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						a := rand.IntN(addresses)
						least := latest[a].Load()
						got, err := p.GetSession(within(t), fmt.Sprintf("%d_1:0", a))
						var n int64
						if len(got) > 0 {
							_, _ = fmt.Sscan(string(got), &n)
						}
						if err != nil || n < least {
							t.Errorf("session %d is %d, %v: older than %d", a, n, err, least)
							return
						}
					}
				})
			}
			for a := range addresses {
				wg.Go(func() {
					for n := range rounds {
						must(t, p.PutSession(within(t), fmt.Sprintf("%d_1:0", a), fmt.Append(nil, n+1)))
						latest[a].Store(int64(n + 1))
					}
				})
			}
			wg.Wait()
			close(done)
			reading.Wait()
			for a := range addresses {
				p.wantSession(fmt.Sprintf("%d_1:0", a), fmt.Sprint(rounds))
			}
		})
	}
}

// A write whose caller gives up is either withdrawn or waited for: nobody is told
// that it was not made when it still may be.
func TestGivenUpWrites(t *testing.T) {
	p := newPhone(t, open(t, store.Options{URI: newFile(t)}))
	for n := range 100 {
		ctx, cancel := context.WithCancel(within(t))
		want := fmt.Sprint(n)
		go func() {
			<-time.After(time.Duration(rand.IntN(600)) * time.Microsecond)
			cancel()
		}()
		err := p.PutSession(ctx, "1_1:0", []byte(want))
		cancel()
		got, readErr := p.again().GetSession(within(t), "1_1:0")
		must(t, readErr)
		if made := string(got) == want; made != (err == nil) {
			t.Fatalf("write %d was made: %t, and answered with %v", n, made, err)
		}
	}
}

// Events and sessions of many at once keep together.
func TestUnitsBeside(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		s := open(t, store.Options{URI: uri})
		i, hook := hooked(t, s, "i")
		newPhone(t, s)
		const lines, messages = 8, 25
		var wg sync.WaitGroup
		for l := range lines {
			p := phone{t, s, nil}.again()
			wg.Go(func() {
				address := fmt.Sprintf("%d_1:0", l)
				for n := range messages {
					must(t, p.PutMessageSecret(within(t), deviceJID, deviceJID, fmt.Sprintf("%d/%d", l, n), []byte("s")))
					must(t, p.decrypt(address, fmt.Sprint(n), text(t)))
					e := event(i, fmt.Sprintf("%d/%d", l, n))
					must(t, p.commit(e))
					p.wantSession(address, fmt.Sprint(n))
				}
			})
		}
		wg.Wait()
		ds, err := s.Pending(within(t), hook.ID, 0, 1000)
		must(t, err)
		if len(ds) != lines*messages {
			t.Errorf("%d deliveries, want %d", len(ds), lines*messages)
		}
	})
}

// The app state's version and its MACs are written together, or not at all, and no
// unit is opened for them.
func TestAtomically(t *testing.T) {
	each(t, func(t *testing.T, uri string) {
		p := newPhone(t, open(t, store.Options{URI: uri}))
		broken := errors.New("broken")
		mac := make([]byte, 32)
		for _, fails := range []error{broken, nil} {
			err := p.Atomically(within(t), func(ctx context.Context) error {
				must(t, p.PutAppStateVersion(ctx, "regular", 3, [128]byte{1}))
				must(t, p.PutAppStateMutationMACs(ctx, "regular", 3, []wastore.AppStateMutationMAC{{IndexMAC: mac, ValueMAC: mac}}))
				return fails
			})
			if !errors.Is(err, fails) || p.Open() {
				t.Errorf("%v, open %t", err, p.Open())
			}
			version, _, err := p.again().GetAppStateVersion(within(t), "regular")
			must(t, err)
			value, err := p.again().GetAppStateMutationMAC(within(t), "regular", mac)
			must(t, err)
			if written := fails == nil; (version == 3) != written || (value != nil) != written {
				t.Errorf("after %v: version %d, MAC %x", fails, version, value)
			}
		}
	})
}
