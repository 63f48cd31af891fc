package dispatch

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pombo"
)

// "make chaos-engine" makes larger runs.
var (
	chaosRuns   = flag.Int("chaos.runs", 8, "how many seeds")
	chaosHooks  = flag.Int("chaos.hooks", 3, "webhooks in each run")
	chaosEvents = flag.Int("chaos.events", 3000, "events in each run")
	chaosSeed   = flag.Uint64("chaos.seed", 0, "the first seed; 0: a new one")
)

// chaos is a run of random events, failures, restarts and changes, and the
// receiver that holds the deliveries to their promises.
type chaos struct {
	*bench
	rnd *rand.Rand // of the test's goroutine

	mu       sync.Mutex
	draws    *rand.Rand // of the receiver and the store
	calm     bool
	poison   map[int64]bool       // deliveries that fail until the calm
	down     map[string]time.Time // webhooks that fail altogether until then
	run      int                  // counts restarts
	ids      map[int64]string     // the webhook-id each delivery came with
	busy     map[string]int64     // by lane: what is being answered
	latest   map[string]int64     // by lane: what came last in this run
	passed   map[string]int64     // by lane: what was delivered last in this run
	offLane  map[int64]bool       // parked in this run
	over     map[int64]int        // the run in which a delivery was taken
	disabled map[string]time.Time // by webhook: when its rows died last
	replays  int                  // counts replays
	replayed map[int64]int        // the replay that made a delivery pending again
	replayOf map[string]int       // by lane: that of what came last
	requests int
	repeats  int
	parked   int // attempts of parked deliveries
}

func (c *chaos) draw(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draws.IntN(n)
}

func (c *chaos) fault(string) error {
	if c.draw(12) == 0 && !c.isCalm() {
		return errors.New("out of order")
	}
	return nil
}

func (c *chaos) isCalm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calm
}

// isBad tells whether a delivery has to fail.
func (c *chaos) isBad(hook string, id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.poison[id] || time.Now().Before(c.down[hook])
}

// jump moves the times in the store, as if the machine's clock had been wrong so
// far: what was stored may be of the future, and what waits may be due any time.
func (c *chaos) jump() {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	days := func(n int) time.Duration { return time.Duration(c.rnd.IntN(n*24)) * time.Hour }
	created, next := days(102)-days(2), days(200)-days(100)
	for i := range c.store.rows {
		d := &c.store.rows[i]
		if d.CreatedAt = d.CreatedAt.Add(created); time.Since(d.CreatedAt) > 48*time.Hour {
			d.CreatedAt = time.Now().Add(-48 * time.Hour)
		}
		if !d.NextAttempt.IsZero() {
			d.NextAttempt = d.NextAttempt.Add(next)
		}
	}
}

// arrive checks a request against all that came before.
func (c *chaos) arrive(p posted, lane, messageID string) {
	d := c.store.handed(p.ID)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if old, ok := c.ids[p.ID]; ok {
		c.repeats++
		if old != messageID {
			c.t.Errorf("delivery %d came as %s and as %s", p.ID, old, messageID)
		}
	}
	c.ids[p.ID] = messageID
	// An attempt that was under way may be repeated on another connection. Whether
	// it was parked cannot be told any more.
	switched := d.Reason == pombo.Disabled
	if switched && time.Since(c.disabled[d.WebhookID]) > 300*time.Millisecond {
		c.t.Errorf("delivery %d came though it is dead", p.ID)
	}
	again := c.replayed[p.ID] // it may come after all that was made before its replay
	switch last := c.latest[lane]; {
	case switched:
	case d.Parked:
		c.parked++
	case again != 0 && again != c.replayOf[lane]:
		c.passed[lane] = 0
	case p.ID < c.passed[lane]:
		c.t.Errorf("lane %s: %d came after %d was delivered", lane, p.ID, c.passed[lane])
	case p.ID < last && d.Tries() < suspectAfter-1:
		c.t.Errorf("lane %s: %d came after %d, though it had failed only %d times", lane, p.ID, last, d.Tries())
	}
	if !d.Parked && !switched {
		if other, ok := c.busy[lane]; ok {
			c.t.Errorf("lane %s: %d came while %d was being answered", lane, p.ID, other)
		}
		c.busy[lane], c.latest[lane], c.replayOf[lane] = p.ID, p.ID, again
	}
	if run, ok := c.over[p.ID]; ok && run == c.run {
		c.t.Errorf("delivery %d came again in the run that had delivered it", p.ID)
	}
}

// settled notes what the dispatcher knows to be delivered.
func (c *chaos) settled(a pombo.Attempt) {
	d := c.store.rows[a.Delivery-1] // the store's lock is held
	lane := "/" + d.WebhookID + ":" + d.Event.Chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.State == pombo.Delivered && !c.offLane[a.Delivery] && !d.Parked {
		c.passed[lane] = max(c.passed[lane], a.Delivery)
	}
	if a.Parked {
		c.offLane[a.Delivery] = true
	}
}

func (c *chaos) leave(lane string, id int64, final bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[lane] == id {
		delete(c.busy, lane)
	}
	if final {
		c.over[id] = c.run
	}
}

func (c *chaos) serve(w http.ResponseWriter, r *http.Request) {
	p := body(c.t, r)
	if p.ID == 0 {
		return // cut while it came
	}
	hook := "/" + strings.Split(r.URL.Path, "/")[1]
	lane := hook + ":" + p.Chat
	c.arrive(p, lane, r.Header.Get("webhook-id"))
	final := false
	leave := sync.OnceFunc(func() { c.leave(lane, p.ID, final) })
	defer leave()
	status := http.StatusOK
	if !c.isCalm() {
		time.Sleep(time.Duration(c.draw(200)) * time.Millisecond)
		n := c.draw(100)
		if c.isBad(hook[1:], p.ID) {
			n = 60 + c.draw(40)
			if n >= 80 && n < 85 || n == 60 { // neither refused nor taken
				n = 99
			}
		}
		switch {
		case n < 60:
		case n == 60: // taken, and then the answer's body breaks off
			c.leave(lane, p.ID, true)
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			return
		case n < 68:
			status = http.StatusInternalServerError
		case n < 70:
			status = http.StatusMovedPermanently
			w.Header().Set("Location", "http://elsewhere.test/")
		case n < 75:
			status = http.StatusNotFound
		case n < 77:
			status = http.StatusServiceUnavailable
			w.Header().Set("Retry-After", time.Now().Add(time.Duration(c.draw(100))*time.Second).UTC().Format(http.TimeFormat))
		case n < 80:
			status = http.StatusTooManyRequests
			w.Header().Set("Retry-After", strconv.Itoa(c.draw(100)))
		case n < 85:
			status = http.StatusUnprocessableEntity
		case n < 90:
			// The sender may come back before this side has seen it go.
			leave()
			<-r.Context().Done()
			return
		default:
			panic(http.ErrAbortHandler)
		}
	}
	// A refusal is not final if the webhook's URL was changed meanwhile.
	final = status == http.StatusOK
	w.WriteHeader(status)
}

// restart ends the dispatcher, with or without losing what was not committed,
// and starts another.
func (c *chaos) restart(o Options, hooks map[string]pombo.Webhook) {
	c.stop()
	c.mu.Lock()
	crash := c.rnd.IntN(2) == 0
	c.run++
	clear(c.latest)
	clear(c.passed)
	clear(c.offLane)
	clear(c.over)
	c.mu.Unlock()
	if crash {
		c.store.crash()
	} else {
		c.store.commit()
	}
	if c.rnd.IntN(2) == 0 {
		c.jump()
	}
	c.start(o)
	for _, w := range hooks {
		c.d.SetWebhook(w)
	}
}

func TestChaos(t *testing.T) {
	runs, first := *chaosRuns, *chaosSeed
	if testing.Short() {
		runs = min(runs, 3)
	}
	if first == 0 {
		first = rand.Uint64()
	}
	for i := range runs {
		seed := first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Logf("again with -args -chaos.runs=1 -chaos.hooks=%d -chaos.events=%d -chaos.seed=%d", *chaosHooks, *chaosEvents, seed)
			oneChaos(t, seed)
		})
	}
}

func oneChaos(t *testing.T, seed uint64) {
	c := &chaos{
		rnd: rand.New(rand.NewPCG(seed, 1)), draws: rand.New(rand.NewPCG(seed, 2)),
		ids: map[int64]string{}, busy: map[string]int64{}, latest: map[string]int64{}, passed: map[string]int64{}, offLane: map[int64]bool{}, over: map[int64]int{},
		disabled: map[string]time.Time{}, replayed: map[int64]int{}, replayOf: map[string]int{}, poison: map[int64]bool{}, down: map[string]time.Time{},
	}
	p := DefaultPolicy()
	p.Concurrency = 1 + c.rnd.IntN(6)
	p.Timeout, p.InitialDelay = time.Second, 50*time.Millisecond
	o := Options{Policy: p, Grace: time.Second, MaxInFlight: 1 + c.rnd.IntN(4**chaosHooks)}
	onPipe(t, c.serve, o, func(b *bench) {
		c.bench = b
		if seed%2 == 0 { // so little memory that every bound is met
			b.bounds = &bounds{
				laneDepth: 1 + c.rnd.IntN(4), windowFloor: 3 * deliverySize, windowSize: int64(3+c.rnd.IntN(8)) * deliverySize,
				allWindows: 12 * deliverySize, laneFloor: 2, laneLimit: 3 + c.rnd.IntN(20), allLanes: 20,
				pageSize: 1 + c.rnd.IntN(20), inboxSize: c.rnd.IntN(4),
				parkedRoom: 1 + c.rnd.IntN(6), parkedPage: 1 + c.rnd.IntN(3), parkedLow: c.rnd.IntN(2),
			}
			b.stop()
			b.start(o)
		}
		b.store.onSettle = c.settled
		b.store.manual, b.store.fault = true, c.fault
		b.store.slow = func() {
			if c.draw(3) == 0 {
				time.Sleep(time.Duration(c.draw(300)) * time.Millisecond)
			}
		}
		hooks := map[string]pombo.Webhook{}
		for i := range *chaosHooks {
			hooks[hookName(i)] = hook(hookName(i))
			b.d.SetWebhook(hooks[hookName(i)])
		}
		for len(b.store.rows) < *chaosEvents { // this goroutine alone adds some
			c.step(o, hooks, seed/2%2 == 0)
		}
		c.mu.Lock()
		c.calm = true
		c.mu.Unlock()
		for range 500 {
			time.Sleep(time.Minute)
			b.store.commit()
		}
		synctest.Wait()
		c.verify()
	})
}

func hookName(i int) string { return "h" + strconv.Itoa(i) }

// step does one random thing. Restarts and switching off are only in half of
// the runs: they start over from the store, and so hide what was lost in memory.
func (c *chaos) step(o Options, hooks map[string]pombo.Webhook, restarts bool) {
	id := hookName(c.rnd.IntN(*chaosHooks))
	switch n := c.rnd.IntN(1000); {
	case n >= 990 && !restarts:
	case n < 600:
		chats := make([]string, 1+c.rnd.IntN(4))
		for i := range chats {
			chats[i] = strconv.Itoa(c.rnd.IntN(1 + c.rnd.IntN(40)))
		}
		if n < 10 { // a burst in one chat
			chats = make([]string, 100)
		}
		ds := c.store.add(id, chats...)
		if n%10 == 0 {
			c.mu.Lock()
			c.poison[ds[0].ID] = true
			c.mu.Unlock()
		}
		if n%50 == 0 { // something happens between the commit and the announcement
			time.Sleep(time.Duration(c.rnd.IntN(50)) * time.Millisecond)
		}
		c.d.Notify(ds)
	case n < 750:
		c.store.commit()
	case n < 755:
		c.mu.Lock()
		c.down[id] = time.Now().Add(time.Duration(c.rnd.IntN(30)) * time.Minute)
		c.mu.Unlock()
	case n < 760:
		c.replay(id)
	case n < 985:
		time.Sleep(time.Duration(c.rnd.IntN(1<<c.rnd.IntN(16))) * time.Millisecond)
	case n < 990:
		w := hooks[id]
		w.URL = fmt.Sprintf("http://receiver.test/%s/%d", id, c.rnd.Int())
		hooks[id] = w
		c.d.SetWebhook(w)
	case n < 995:
		c.mu.Lock()
		c.disabled[id] = time.Now()
		c.mu.Unlock()
		c.store.disable(id)
		if n%2 == 0 {
			c.d.RemoveWebhook(id)
		} else {
			off := hooks[id]
			off.Enabled = false
			c.d.SetWebhook(off)
		}
		time.Sleep(time.Duration(c.rnd.IntN(3000)) * time.Millisecond)
		c.d.SetWebhook(hooks[id])
	default:
		c.restart(o, hooks)
	}
}

// replay makes some deliveries of a webhook pending again.
func (c *chaos) replay(hook string) {
	c.store.commit()
	var ids []int64
	for range c.rnd.IntN(20 * *chaosHooks) {
		id := c.rnd.Int64N(int64(len(c.store.rows) + 1))
		if id == 0 || slices.Contains(ids, id) {
			continue
		}
		if d := c.store.row(id); d.WebhookID == hook && d.State != pombo.Pending {
			ids = append(ids, id)
		}
	}
	c.mu.Lock()
	if time.Since(c.disabled[hook]) < time.Minute {
		ids = nil // a POST may be under way of what is dead
	}
	c.replays++
	for _, id := range ids {
		c.replayed[id] = c.replays
		delete(c.over, id)
		delete(c.offLane, id)
	}
	c.mu.Unlock()
	if len(ids) > 0 {
		c.store.replay(ids...)
		c.d.Reload(hook)
	}
}

// verify looks at what became of everything.
func (c *chaos) verify() {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := map[string]int{}
	for id := int64(1); id <= int64(len(c.store.rows)); id++ {
		d := c.store.row(id)
		states[string(d.State)+" "+string(d.Reason)]++
		_, came := c.ids[id]
		switch {
		case d.State == pombo.Pending:
			c.t.Errorf("delivery %d of %s is still pending, after %d attempts", id, d.WebhookID, d.Attempts)
		case d.Reason == pombo.Disabled && c.disabled[d.WebhookID].IsZero():
			c.t.Errorf("delivery %d is dead: disabled, but its webhook never was", id)
		case d.Reason != pombo.Disabled && !came:
			c.t.Errorf("delivery %d is %s %s but never came", id, d.State, d.Reason)
		case d.Reason == pombo.Exhausted:
			c.t.Errorf("delivery %d was given up", id)
		}
	}
	c.t.Logf("%d webhooks, %v; %d requests, %d of them repeats, %d of parked ones, %d runs", *chaosHooks, states, c.requests, c.repeats, c.parked, c.run+1)
}
