package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"pombo"
)

// memoryStore is a strict Store in memory. Results are committed by commit, as
// in the real one; crash forgets those that were not. Reads cost what they return,
// so that large runs are possible.
type memoryStore struct {
	t testing.TB

	mu        sync.Mutex
	rows      []pombo.Delivery // by ID, from 1
	hooks     map[string]*index
	lanes     map[hookLane]*index
	queued    []pombo.Attempt
	last      map[int64]pombo.Attempt // of queued, the last of each delivery
	committed []pombo.Attempt
	loaded    int // rows returned by reads
	reads     int
	manual    bool // commit is called by the test
	fault     func(op string) error
	onSettle  func(pombo.Attempt)
	slow      func() // called before and after a read
}

// hookLane is a lane of one webhook.
type hookLane struct {
	webhook string
	lane    pombo.Lane
}

// index has the IDs of what is pending, ascending, and of some that are no more.
type index struct {
	ids   []int64
	ended int // of ids
}

// all yields those with IDs above after.
func (x *index) all(rows []pombo.Delivery, after int64) iter.Seq[*pombo.Delivery] {
	return func(yield func(*pombo.Delivery) bool) {
		if x == nil {
			return
		}
		i, found := slices.BinarySearch(x.ids, after)
		if found {
			i++
		}
		for _, id := range x.ids[i:] {
			if d := &rows[id-1]; d.State == pombo.Pending && !yield(d) {
				return
			}
		}
	}
}

// put takes in an ID that may be there already.
func (x *index) put(id int64) {
	if i, found := slices.BinarySearch(x.ids, id); !found {
		x.ids = slices.Insert(x.ids, i, id)
	}
}

// end notes that one of the IDs is pending no more.
func (x *index) end(rows []pombo.Delivery) {
	if x.ended++; x.ended > 16+len(x.ids)/2 {
		x.ids = slices.DeleteFunc(x.ids, func(id int64) bool { return rows[id-1].State != pombo.Pending })
		x.ended = 0
	}
}

func newMemoryStore(t testing.TB) *memoryStore {
	return &memoryStore{t: t, hooks: map[string]*index{}, lanes: map[hookLane]*index{}, last: map[int64]pombo.Attempt{}}
}

// indexes returns those that have d.
func (s *memoryStore) indexes(d *pombo.Delivery) [2]*index {
	lane := hookLane{d.WebhookID, d.Lane()}
	h, l := s.hooks[d.WebhookID], s.lanes[lane]
	if h == nil {
		h = &index{}
		s.hooks[d.WebhookID] = h
	}
	if l == nil {
		l = &index{}
		s.lanes[lane] = l
	}
	return [2]*index{h, l}
}

// add stores pending deliveries, one per chat named, and returns them.
func (s *memoryStore) add(webhook string, chats ...string) []pombo.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := len(s.rows)
	for _, chat := range chats {
		id := int64(len(s.rows) + 1)
		s.rows = append(s.rows, pombo.Delivery{
			ID: id, WebhookID: webhook, MessageID: fmt.Sprintf("msg_%d", id), State: pombo.Pending,
			Event: pombo.Event{
				ID: id, Instance: "instance", Name: pombo.MessagesUpsert, Chat: chat,
				Data: json.RawMessage(fmt.Sprintf(`{"id":%d,"chat":%q}`, id, chat)),
			},
			CreatedAt: time.Now().Round(0),
		})
		for _, x := range s.indexes(&s.rows[id-1]) {
			x.put(id)
		}
	}
	return slices.Clone(s.rows[first:])
}

func (s *memoryStore) row(id int64) pombo.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[id-1]
}

// handed is row with the results that are not committed yet.
func (s *memoryStore) handed(id int64) pombo.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.rows[id-1]
	if a, ok := s.last[id]; ok && d.State == pombo.Pending {
		d.State, d.Attempts, d.Parked = a.State, a.Number, a.Parked
	}
	return d
}

func (s *memoryStore) failing(op string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(op)
}

// Pending counts what was settled before if it reads from the start on, like the
// real one.
func (s *memoryStore) Pending(_ context.Context, webhook string, after int64, limit int) ([]pombo.Delivery, error) {
	return s.read("pending", limit, after == 0, func() []pombo.Delivery {
		return first(s.hooks[webhook].all(s.rows, after), limit)
	})
}

func (s *memoryStore) PendingInLane(_ context.Context, webhook string, lane pombo.Lane, after int64, limit int) ([]pombo.Delivery, error) {
	return s.read("lane", limit, false, func() []pombo.Delivery {
		return first(s.lanes[hookLane{webhook, lane}].all(s.rows, after), limit)
	})
}

func (s *memoryStore) Parked(_ context.Context, webhook string, limit int) ([]pombo.Delivery, error) {
	return s.read("parked", limit, true, func() (all []pombo.Delivery) {
		for d := range s.hooks[webhook].all(s.rows, 0) {
			if d.Parked {
				all = append(all, *d)
			}
		}
		slices.SortFunc(all, func(a, b pombo.Delivery) int { return a.NextAttempt.Compare(b.NextAttempt) })
		return all[:min(limit, len(all))]
	})
}

func (s *memoryStore) HurryParked(_ context.Context, webhook string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("hurry"); err != nil {
		return err
	}
	s.commitLocked()
	for d := range s.hooks[webhook].all(s.rows, 0) {
		if d.Parked && d.NextAttempt.After(time.Now()) {
			d.NextAttempt = time.Now().Round(0)
		}
	}
	return nil
}

// first returns the first limit of all.
func first(all iter.Seq[*pombo.Delivery], limit int) (found []pombo.Delivery) {
	for d := range all {
		if found = append(found, *d); len(found) == limit {
			break
		}
	}
	return found
}

// read does what all reads do. flush tells that what was settled must count.
func (s *memoryStore) read(op string, limit int, flush bool, find func() []pombo.Delivery) ([]pombo.Delivery, error) {
	if s.slow != nil {
		s.slow()
		defer s.slow()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing(op); err != nil {
		return nil, err
	}
	if limit < 1 {
		s.t.Errorf("%s was asked for %d rows", op, limit)
		return nil, nil
	}
	if flush {
		s.commitLocked()
	}
	found := find()
	s.reads++
	s.loaded += len(found)
	return found, nil
}

func (s *memoryStore) Settle(ctx context.Context, attempts ...pombo.Attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failing("settle"); err != nil {
		return err
	}
	for _, a := range attempts {
		s.check(a)
		s.queued = append(s.queued, a)
		s.last[a.Delivery] = a
		if s.onSettle != nil {
			s.onSettle(a)
		}
	}
	if !s.manual {
		s.commitLocked()
	}
	return nil
}

// check holds an attempt to what the schema's constraints demand.
func (s *memoryStore) check(a pombo.Attempt) {
	switch {
	case a.Delivery < 1 || a.Delivery > int64(len(s.rows)):
		s.t.Errorf("attempt of a delivery that does not exist: %+v", a)
	case a.At.IsZero() || a.Number < 1 || len(a.Response) > keptAnswer:
		s.t.Errorf("attempt that makes no sense: %+v", a)
	case (a.State == pombo.Delivered) != (a.ErrorCode == "") || (a.ErrorCode == "") != (a.Error == ""):
		s.t.Errorf("attempt whose error does not fit its state: %+v", a)
	case (a.State == pombo.Dead) != (a.Reason != "") || (a.State == pombo.Pending) == a.NextAttempt.IsZero():
		s.t.Errorf("attempt whose reason or next attempt does not fit its state: %+v", a)
	}
	if a.Parked && a.State != pombo.Pending {
		s.t.Errorf("attempt that ends a delivery and parks it: %+v", a)
	}
	last, parked := s.rows[a.Delivery-1].Attempts, s.rows[a.Delivery-1].Parked
	if q, ok := s.last[a.Delivery]; ok {
		last, parked = q.Number, q.Parked
	}
	if parked && a.State == pombo.Pending && !a.Parked {
		s.t.Errorf("delivery %d was parked and is not any more", a.Delivery)
	}
	if a.Number != last+1 {
		s.t.Errorf("delivery %d: attempt %d follows %d: the store would ignore it, or miss one", a.Delivery, a.Number, last)
	}
}

func (s *memoryStore) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitLocked()
}

func (s *memoryStore) commitLocked() {
	for _, a := range s.queued {
		d := &s.rows[a.Delivery-1]
		s.committed = append(s.committed, a)
		d.Attempts = a.Number
		if d.State == pombo.Pending {
			d.State, d.Reason, d.NextAttempt, d.Parked = a.State, a.Reason, a.NextAttempt, a.Parked
			s.ended(d)
		}
	}
	s.forget()
}

// crash forgets what was not committed.
func (s *memoryStore) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
}

func (s *memoryStore) forget() {
	s.queued = s.queued[:0]
	clear(s.last)
}

// ended takes d out of the indexes if it is pending no more.
func (s *memoryStore) ended(d *pombo.Delivery) {
	if d.State == pombo.Pending {
		return
	}
	for _, x := range s.indexes(d) {
		x.end(s.rows)
	}
}

// disable does what switching a webhook off does to its deliveries.
func (s *memoryStore) disable(webhook string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitLocked()
	for d := range s.hooks[webhook].all(s.rows, 0) {
		d.State, d.Reason, d.Parked = pombo.Dead, pombo.Disabled, false
	}
	delete(s.hooks, webhook)
	for lane := range s.lanes {
		if lane.webhook == webhook {
			delete(s.lanes, lane)
		}
	}
}

func (s *memoryStore) pending() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.rows {
		if s.rows[i].State == pombo.Pending {
			n++
		}
	}
	return n
}

func (s *memoryStore) attempts() []pombo.Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.committed)
}
