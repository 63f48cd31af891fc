package app_test

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pombo/internal/app"
	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

var faultSeed = flag.Uint64("fault.seed", 0, "seed of the random faults; 0: a new one")

// random makes the choices of a test, which can be repeated.
func random(t *testing.T) *rand.Rand {
	seed := *faultSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (repeat with -fault.seed)", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// unreached are the methods of whatsmeow's stores that need not be called by direct
// messages, receipts and connections: those of groups, of settings that the phone
// synchronizes beside (some are reached in some runs), of the contact list, and
// some that whatsmeow has no use for. Their guards are tested in
// internal/whatsapp. A method that is neither here nor reached fails the test: it
// is new, and so may be what it loses.
var unreached = []string{
	"DeleteAllIdentities", "DeleteAllSessions", "DeleteAppStateMutationMACs", "DeleteAppStateVersion", "DeleteIdentity",
	"DeleteSession", "GenOnePreKey", "GetAllContacts", "GetAppStateMutationMAC", "GetAppStateSyncKey", "GetAppStateVersion",
	"GetChatSettings", "GetContact", "GetLatestAppStateSyncKeyID", "GetMessageSecret", "GetPNForLID", "GetSenderKey",
	"PutAllContactNames", "PutAppStateMutationMACs", "PutAppStateSyncKey", "PutAppStateVersion", "PutArchived",
	"PutBusinessName", "PutContactName", "PutManyRedactedPhones", "PutMessageSecrets", "PutMutedUntil", "PutPinned",
	"PutPrivacyTokens", "PutSenderKey",
}

// kinds are the ways in which a call of a store fails.
var kinds = []pombotest.StoreFault{
	{Fail: pombotest.ErrBroken},
	{},
	{Lose: pombotest.ErrBroken},
	{Delay: 5 * time.Millisecond},
	{Delay: time.Millisecond, Fail: pombotest.ErrFull},
	{Fail: pombotest.ErrFull},
}

// storeFaults is a gateway whose stores can be broken, and its traffic.
type storeFaults struct {
	t       *testing.T
	rng     *rand.Rand
	stores  pombotest.Stores
	network *pombotest.Sandbox
	gateway *pombotest.Gateway
	traffic *pombotest.Traffic
	ledger  *pombotest.Ledger
}

// round is a bit of everything: messages of old contacts and of a new one, texts to
// an old one and to one who never wrote, and a phone that asks for it again.
func (s *storeFaults) round() {
	s.t.Helper()
	s.write(3, 1)
	s.traffic.WriteFrom(s.t, s.traffic.NewContact())
	silent := s.traffic.NewContact()
	if _, err := s.network.AddContact(s.t.Context(), sandbox.ContactRequest{Number: s.traffic.Contact(silent)}); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range []int{s.rng.IntN(3), silent} {
		if id, ok := s.traffic.Answer(s.t, s.gateway.Client, c); ok {
			s.network.Receipt(id, "retry")
		}
	}
}

// write lets the first contacts write so many messages each.
func (s *storeFaults) write(contacts, rounds int) {
	s.t.Helper()
	for range rounds {
		for c := range contacts {
			s.traffic.WriteFrom(s.t, c)
		}
	}
}

// Whatever fails in whatsmeow's stores, once, for a while or now and then:
// nothing is lost, nothing overtakes, and what was confirmed to WhatsApp is told.
func TestStoreFaults(t *testing.T) {
	s := &storeFaults{t: t, rng: random(t), network: pombotest.NewSandbox(t)}
	receiver := pombotest.NewReceiver(t)
	s.gateway = pombotest.StartGateway(t, s.network, app.Faults{
		Stores: s.stores.Wrap, Patience: time.Second, MaxBackoff: 50 * time.Millisecond,
	})
	s.traffic = pombotest.NewTraffic(s.network, "faults", phone, 3)
	s.ledger = pombotest.NewLedger(s.traffic, receiver)

	// Pairing, and the first keys.
	s.stores.Break(firstCalls())
	pombotest.Pair(t, s.gateway.Client, s.network.Server, "faults", phone, receiver.URL)
	s.round()
	s.ledger.Await(t)

	s.oneByOne()
	s.allAtRandom()
	s.forLong()
	s.ledger.Check(t)

	broken := s.stores.Broken()
	for _, method := range pombotest.StoreMethods() {
		if broken[method] == 0 && !slices.Contains(unreached, method) {
			t.Errorf("%s was never broken, and is not on the list of what need not be reached", method)
		}
	}
}

// firstCalls breaks the first two calls of each method.
func firstCalls() func(string) pombotest.StoreFault {
	calls := map[string]int{}
	return func(method string) pombotest.StoreFault {
		calls[method]++
		switch calls[method] {
		case 1:
			return pombotest.StoreFault{Fail: pombotest.ErrBroken}
		case 2:
			return pombotest.StoreFault{Lose: pombotest.ErrFull}
		}
		return pombotest.StoreFault{}
	}
}

// oneByOne breaks each method in each way, a few calls in a row, once while
// messages come and once while it connects.
func (s *storeFaults) oneByOne() {
	for _, method := range pombotest.StoreMethods() {
		if slices.Contains(unreached, method) {
			continue
		}
		n := 0
		s.stores.Break(func(m string) (f pombotest.StoreFault) {
			if m == method && n < len(kinds) {
				f = kinds[n]
				n++
			}
			return f
		})
		// Some methods are not called in every round: those that encrypt, if the text
		// is sent while the connection is coming back.
		for try := 0; try == 0 || s.stores.Broken()[method] == 0 && try < 5; try++ {
			if try > 0 {
				pombotest.WaitState(s.t, s.gateway.Client, "faults", "open")
			}
			s.round()
			s.network.Fault(sandbox.FaultRequest{Kind: sandbox.FaultDrop})
			s.traffic.WriteFrom(s.t, 0)
			s.ledger.Await(s.t)
		}
	}
	s.stores.Break(nil)
}

// atRandom breaks this share of all calls.
func (s *storeFaults) atRandom(share float64) func(string) pombotest.StoreFault {
	rng := rand.New(rand.NewPCG(s.rng.Uint64(), 0)) // it is called beside the test
	return func(string) (f pombotest.StoreFault) {
		if rng.Float64() < share {
			f = kinds[rng.IntN(len(kinds))]
		}
		return f
	}
}

// allAtRandom breaks calls of all methods, now few and now many of them.
func (s *storeFaults) allAtRandom() {
	stop := s.traffic.Answering(s.t, s.gateway.Client, 20*time.Millisecond)
	for _, share := range []float64{0.02, 0.3, 0.1} {
		s.stores.Break(s.atRandom(share))
		s.write(10, 3)
		s.stores.Break(nil)
		s.ledger.Await(s.t)
	}
	stop()
}

// forLong breaks everything for longer than the patience of a connection, so
// that it starts over, more than once.
func (s *storeFaults) forLong() {
	stop := s.traffic.Answering(s.t, s.gateway.Client, 20*time.Millisecond)
	s.stores.Break(func(string) pombotest.StoreFault { return pombotest.StoreFault{Fail: pombotest.ErrFull} })
	s.write(10, 3)
	<-time.After(2500 * time.Millisecond) // how long is the subject
	s.ledger.CheckConfirmed(s.t)
	s.stores.Break(nil)
	stop()
}
